package decode

import (
	"errors"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// TestClone3AsTheKernel has the running kernel judge random argument blocks:
// what Unfold calls invalid must fail with that very errno. What Unfold takes
// is not tried: it would start processes.
func TestClone3AsTheKernel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	native := abi.Call{Arch: abi.Native(), Nr: 435}
	tried := 0
	for range 20000 {
		block := randomCloneArgs(rnd)
		addr := uintptr(unsafe.Pointer(&block[0]))
		size := []uintptr{64, 80, 88, 96, 104, 63, 70, 5000}[rnd.IntN(8)]
		c := native
		c.Args = [6]uint64{uint64(addr), uint64(size)}
		_, err := Unfold(c, self{addr, unsafe.Slice((*byte)(unsafe.Pointer(&block[0])), 8*len(block))})
		var unfit *Unfit
		if !errors.As(err, &unfit) || unfit.Errno == unix.ENOSYS {
			continue
		}
		tried++
		_, _, got := syscall.RawSyscall(435, addr, size, 0)
		if got == syscall.ENOSYS {
			return // a sandbox around the tests
		}
		if got != unfit.Errno {
			t.Fatalf("%x, size %d: the kernel says %v, Unfold %v (%s)", block[:13], size, got, unfit.Errno, unfit.Reason)
		}
	}
	if tried < 5000 {
		t.Errorf("only %d of 20000 blocks were invalid", tried)
	}
}

// self is this process's memory, as far as one block.
type self struct {
	base  uintptr
	block []byte
}

func (s self) ReadAt(p []byte, off int64) (int, error) {
	i := off - int64(s.base)
	if i < 0 || i >= int64(len(s.block)) {
		return 0, io.EOF
	}
	n := copy(p, s.block[i:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// randomCloneArgs is a page and a half of struct clone_args, mostly zero.
func randomCloneArgs(rnd *rand.Rand) []uint64 {
	b := make([]uint64, 768)
	maybe := func(i int, values ...uint64) {
		if rnd.IntN(3) == 0 {
			b[i] = values[rnd.IntN(len(values))]
		}
	}
	b[0] = uint64(1) << rnd.IntN(36)
	if rnd.IntN(2) == 0 {
		b[0] |= uint64(1) << rnd.IntN(36)
	}
	maybe(1, 0x10, 0x20)
	maybe(3, 0x10, 0x20)
	maybe(4, 17, 64, 65, 255, 256, 1<<32)
	maybe(5, 0x1000, 1<<63, 0)
	maybe(6, 0x1000, ^uint64(0), 0)
	maybe(9, 1, 33)
	maybe(10, 1<<31, 1<<40)
	maybe(11, 1)
	maybe(12, 1<<60)
	return b
}
