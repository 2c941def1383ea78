package supervisor

import (
	"math/bits"

	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// What a verdict rests on in the tracee's memory is copied, judged as the copy,
// and written to where the tracee cannot change it: the pinned area, mapped
// read-only into every address space at its execve (arm.go). The call then takes
// it from there.
//
// A piece of the area is one call's in all address spaces at once, so that
// nobody need know who shares memory with whom.

// grain is the unit in which the area is given out, in bytes.
const (
	grain  = 64
	grains = (compile.PinEnd - compile.PinBase) / grain
)

// pins says what of the area is in use.
type pins struct {
	used [grains / 64]uint64 // a bit a grain
}

// pinned is a piece of the area.
type pinned struct{ from, grains int }

func (p pinned) address() uint64 { return compile.PinBase + uint64(p.from)*grain }

// take finds room for n bytes, the lowest there is, so that few pages are ever
// touched; false if there is none.
func (p *pins) take(n int) (pinned, bool) {
	need := (n + grain - 1) / grain
	run := 0
	for i := 0; i < grains; {
		word := p.used[i/64] >> (i % 64)
		switch {
		case word == 0 && run == 0 && need <= 64-i%64:
			return p.mark(i, need), true
		case word&1 == 1:
			run = 0
			i += max(1, bits.TrailingZeros64(^word))
			continue
		}
		if run++; run == need {
			return p.mark(i-need+1, need), true
		}
		i++
	}
	return pinned{}, false
}

func (p *pins) mark(from, n int) pinned {
	for i := from; i < from+n; i++ {
		p.used[i/64] |= 1 << (i % 64)
	}
	return pinned{from, n}
}

// free gives a piece back; the zero piece is none.
func (p *pins) free(piece pinned) {
	for i := piece.from; i < piece.from+piece.grains; i++ {
		p.used[i/64] &^= 1 << (i % 64)
	}
}

// allocPinned finds room for n bytes in t's pinned area. Errors, of writePinned too,
// mean that the call cannot be let go: unix.ENOMEM where the area is full or the
// process has none.
func (s *sandbox) allocPinned(t *task, n int) (pinned, error) {
	if !t.process.armed {
		return pinned{}, unix.ENOMEM
	}
	piece, ok := s.pins.take(n)
	if !ok {
		return pinned{}, unix.ENOMEM
	}
	return piece, nil
}

// writePinned puts what was judged into a piece of t's pinned area.
func (s *sandbox) writePinned(t *task, piece pinned, data []byte) error {
	err := s.unlessGone(t, s.kernel.Write(t.process.pid, piece.address(), data))
	if err != nil {
		s.pins.free(piece)
	}
	return err
}
