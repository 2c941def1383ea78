package supervisor

import (
	"errors"
	"testing"

	"callgate/policy/abi"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// memoryless is a kernel whose tasks have no memory any more, or never could be
// reached.
type memoryless struct{ *recording }

func (memoryless) Write(int, uint64, []byte) error { return unix.EIO }

// TestKilledWhileArmed: memory that is gone because its task was killed is no failure of
// the sandbox's, and any other is one.
func TestKilledWhileArmed(t *testing.T) {
	for _, dead := range []bool{true, false} {
		s := newSandbox(&compile.Plan{}, Command{}, Options{})
		s.kernel = memoryless{&recording{dead: map[int]bool{child: dead}}}
		err := s.armed(&task{tid: child, process: &process{pid: child}, arming: &arming{}}, new([6]uint64))
		if dead != (err == unix.ESRCH) || dead == errors.Is(err, unix.EIO) {
			t.Errorf("dead %v: %v", dead, err)
		}
	}
}

// TestErrandsOwn: before a program's first instruction no call is let go but those of its
// errand, made from there and as they are.
func TestErrandsOwn(t *testing.T) {
	const from, size = 0x401000, 34
	a := &arming{from: from, size: size}
	maps := mapCall(abi.Native())
	mseal := callOf(abi.Native(), "mseal", maps.Args[0], maps.Args[1])
	told, elsewhere, larger, writable, other := maps, maps, maps, maps, callOf(abi.Native(), "execve", maps.Args[:]...)
	told.Args[0], elsewhere.Args[0], writable.Args[2] = compile.PinTold, compile.PinEnd, unix.PROT_READ|unix.PROT_WRITE
	larger.Args[1]++
	sealed := mseal
	sealed.Args[3] = ^uint64(0) // no argument of its
	flagged := mseal
	flagged.Args[2] = 1
	compat := told
	compat.Arch = abi.I386
	for _, c := range []struct {
		what string
		call abi.Call
		at   uint64
		want int
	}{
		{"mmap", maps, 7, errandOther},
		{"mseal", mseal, 19, errandOther},
		{"mseal with what mmap left", sealed, 19, errandOther},
		{"the last", told, size, errandLast},
		{"the last, too early", told, 7, errandNone},
		{"mmap, as the last", maps, size, errandNone},
		{"mseal, as the last", mseal, size, errandNone},
		{"mmap elsewhere", elsewhere, 7, errandNone},
		{"a larger mmap", larger, 7, errandNone},
		{"mmap to be written to", writable, 7, errandNone},
		{"mseal with flags", flagged, 19, errandNone},
		{"another", other, 7, errandNone},
		{"another, as the last", other, size, errandNone},
		{"of another ABI", compat, size, errandNone},
		{"before the errand", maps, 0, errandNone},
		{"beyond the errand", told, size + 2, errandNone},
		{"far before it", told, ^uint64(from) + 1, errandNone},
	} {
		if got := a.own(&c.call, from+c.at); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}
