package decode

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// start makes a call that starts a process, which exits at once. The process
// has its own memory, so that nothing of the Go runtime's is disturbed.
func start(c abi.Call) syscall.Errno {
	a := &c.Args
	pid, _, errno := syscall.RawSyscall6(uintptr(c.Nr), uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), 0)
	if pid == 0 && errno == 0 {
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if errno == 0 {
		unix.Wait4(int(pid), nil, unix.WALL, nil)
	}
	return errno
}

// TestDirectCloneAsClone3 starts processes by clone3 and by the clone that
// Unfold gives for it: both must fail alike, or neither.
func TestDirectCloneAsClone3(t *testing.T) {
	const tried = unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_PIDFD | unix.CLONE_VFORK | unix.CLONE_THREAD |
		unix.CLONE_SYSVSEM | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID | unix.CLONE_UNTRACED | unix.CLONE_CHILD_SETTID | unix.CLONE_IO
	rnd := rand.New(rand.NewPCG(5, 6))
	page, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	word := (*[2]int32)(unsafe.Pointer(&page[0])) // not on a stack, which can move
	direct, failed := 0, 0
	for range 400 {
		block := make([]uint64, 11)
		block[0] = rnd.Uint64() & rnd.Uint64() & tried
		block[1] = uint64(uintptr(unsafe.Pointer(&word[0])))
		block[2] = uint64(uintptr(unsafe.Pointer(&word[1])))
		block[3] = block[2]
		block[4] = []uint64{0, 0, uint64(unix.SIGCHLD), uint64(unix.SIGURG)}[rnd.IntN(4)]
		addr := uintptr(unsafe.Pointer(&block[0]))
		c := abi.Call{Arch: abi.Native(), Nr: 435, Args: [6]uint64{uint64(addr), 88}}
		d, err := Unfold(c, self{addr, unsafe.Slice((*byte)(unsafe.Pointer(&block[0])), 88)})
		if err != nil {
			continue
		}
		direct++
		*word = [2]int32{-1, -1}
		three := start(c)
		if three == syscall.ENOSYS {
			return // a sandbox around the tests
		}
		after := *word
		forget(word)
		*word = [2]int32{-1, -1}
		one := start(d.Call)
		if one != three || (word[0] < 0) != (after[0] < 0) || (word[1] < 0) != (after[1] < 0) {
			t.Errorf("%x: clone3 gives %v and writes %v, clone %v and %v", block, three, after, one, *word)
		}
		forget(word)
		if one != 0 {
			failed++
		}
	}
	if direct < 100 || failed == 0 || failed == direct {
		t.Errorf("%d direct, %d of them failed", direct, failed)
	}
}

// forget closes the pidfd that a call may have left in word[0].
func forget(word *[2]int32) {
	if word[0] > 2 {
		unix.Close(int(word[0]))
	}
}
