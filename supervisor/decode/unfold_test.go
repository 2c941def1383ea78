package decode

import (
	"errors"
	"testing"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

func i386(nr uint32, args ...uint64) abi.Call {
	c := abi.Call{Arch: abi.I386, Nr: nr}
	copy(c.Args[:], args)
	return c
}

// unfolds checks one call's direct form by name, so that the numbers here are
// checked against abi's tables.
func unfolds(t *testing.T, c abi.Call, mem memory, carrier string, rewrite bool, name string, args ...uint64) {
	t.Helper()
	d, err := Unfold(c, mem)
	if err != nil {
		t.Errorf("%v: %v", c, err)
		return
	}
	want := abi.Call{Arch: c.Arch}
	copy(want.Args[:], args)
	s, ok := c.Arch.ByName(name)
	if !ok {
		t.Fatalf("no call %s", name)
	}
	want.Nr = s.Nr
	if d.Call != want || d.Carrier != carrier || d.Rewrite != rewrite {
		t.Errorf("%v: got %+v, want %+v", c, d, want)
	}
}

func refuses(t *testing.T, c abi.Call, mem memory, errno unix.Errno) {
	t.Helper()
	d, err := Unfold(c, mem)
	var unfit *Unfit
	if !errors.As(err, &unfit) || unfit.Errno != errno {
		t.Errorf("%v: got %+v, %v; want %v", c, d, err, errno)
	}
}

func TestEveryCarrierUnfolds(t *testing.T) {
	for _, arch := range abi.Arches() {
		for s := range arch.All() {
			c := abi.Call{Arch: arch, Nr: s.Nr}
			d, err := Unfold(c, memory{})
			direct := err == nil && d.Carrier == "" && d.Call == c
			if carries := s.Block || s.Multiplexer; carries == direct {
				t.Errorf("%v %s: carries %v, unfolds to %+v, %v", arch, s.Name, carries, d, err)
			}
		}
	}
}

func TestUnfoldSocketcall(t *testing.T) {
	mem := memory{0x1000: le(4, 1, 2, 3, 4, 5, 6)}
	for _, c := range []struct {
		op   uint64
		name string
		n    int
	}{
		{1, "socket", 3}, {2, "bind", 3}, {3, "connect", 3}, {4, "listen", 2}, {5, "accept4", 3},
		{6, "getsockname", 3}, {7, "getpeername", 3}, {8, "socketpair", 4}, {9, "sendto", 4},
		{10, "recvfrom", 4}, {11, "sendto", 6}, {12, "recvfrom", 6}, {13, "shutdown", 2},
		{14, "setsockopt", 5}, {15, "getsockopt", 5}, {16, "sendmsg", 3}, {17, "recvmsg", 3},
		{18, "accept4", 4}, {19, "recvmmsg", 5}, {20, "sendmmsg", 4},
	} {
		args := []uint64{1, 2, 3, 4, 5, 6}[:c.n]
		unfolds(t, i386(102, c.op, 0x1000), mem, "socketcall", true, c.name, args...)
		// Only as many words as the call takes are read, and high halves of
		// the registers do not matter.
		short := memory{0x1000: le(4, args...)}
		unfolds(t, i386(102, c.op|7<<32, 0x1000|9<<32), short, "socketcall", true, c.name, args...)
		refuses(t, i386(102, c.op, 0x1000), memory{0x1000: short[0x1000][1:]}, unix.EFAULT)
	}
	for _, op := range []uint64{0, 21, 0xffffffff} {
		refuses(t, i386(102, op, 0x1000), mem, unix.EINVAL)
	}
}

func TestUnfoldMmapAndSelect(t *testing.T) {
	mem := memory{0x1000: le(4, 0x10000, 8192, 3, 0x22, 0xffffffff, 0x5000), 0x2000: le(4, 0, 1, 0, 0, 0, 0x5001), 0x3ffc: le(4, 1)}
	unfolds(t, i386(90, 0x1000), mem, "mmap", true, "mmap2", 0x10000, 8192, 3, 0x22, 0xffffffff, 5)
	unfolds(t, i386(82, 0x1000), mem, "select", true, "_newselect", 0x10000, 8192, 3, 0x22, 0xffffffff)
	refuses(t, i386(90, 0x2000), mem, unix.EINVAL)
	refuses(t, i386(90, 0x3ffc), mem, unix.EFAULT)
	refuses(t, i386(82, 0x3ffc), mem, unix.EFAULT)
	refuses(t, i386(82, 0), mem, unix.EFAULT)
}

func TestUnfoldIPC(t *testing.T) {
	mem := memory{0x1000: le(4, 0x77, 0xffffffff)}
	ipc := func(args ...uint64) abi.Call { return i386(117, args...) }
	view := func(c abi.Call, name string, args ...uint64) {
		t.Helper()
		unfolds(t, c, mem, "ipc", false, name, args...)
	}
	view(ipc(1, 9, 2, 3, 0x1000, 5), "semtimedop_time64", 9, 0x1000, 2, 0)
	view(ipc(4, 9, 2, 3, 0x1000, 5), "semtimedop_time64", 9, 0x1000, 2, 5)
	view(ipc(2, 9, 2, 3, 0x1000, 5), "semget", 9, 2, 3)
	view(ipc(11, 9, 2, 3, 0x1000, 5), "msgsnd", 9, 0x1000, 2, 3)
	view(ipc(12|1<<16, 9, 2, 3, 0x1000, 5), "msgrcv", 9, 0x1000, 2, 5, 3)
	view(ipc(13, 9, 2), "msgget", 9, 2)
	view(ipc(14, 9, 0x102, 3, 0x1000), "msgctl", 9, 2, 0x1000)
	view(ipc(21, 9, 2, 3, 0x1000), "shmat", 9, 0x1000, 2)
	view(ipc(21|2<<16, 9, 2, 3, 0x1000), "shmat", 9, 0x1000, 2)
	view(ipc(22, 9, 2, 3, 0x1000), "shmdt", 0x1000)
	view(ipc(23, 9, 2, 3), "shmget", 9, 2, 3)
	view(ipc(24, 9, 0x100, 3, 0x1000), "shmctl", 9, 0, 0x1000)
	view(ipc(3, 9, 2, 1, 0x1000), "semctl", 9, 2, 1, 0x77) // IPC_SET of the old layout
	unfolds(t, ipc(3, 9, 2, 0x101, 0x1000), mem, "ipc", true, "semctl", 9, 2, 1, 0x77)
	unfolds(t, ipc(3, 9, 2, 16, 0x1000), mem, "ipc", true, "semctl", 9, 2, 16, 0x77) // SETVAL
	unfolds(t, ipc(12, 9, 2, 3, 0x1000), mem, "ipc", true, "msgrcv", 9, 0x77, 2, 0xffffffff, 3)

	refuses(t, ipc(3, 9, 2, 0x101, 0), mem, unix.EINVAL)
	refuses(t, ipc(3, 9, 2, 0x101, 0x9000), mem, unix.EFAULT)
	refuses(t, ipc(12, 9, 2, 3, 0), mem, unix.EINVAL)
	refuses(t, ipc(12, 0x80000000, 2, 3, 0x1000), mem, unix.EINVAL)
	refuses(t, ipc(12, 9, 2, 3, 0x9000), mem, unix.EFAULT)
	refuses(t, ipc(21|1<<16), mem, unix.EINVAL)
	for _, op := range []uint64{0, 5, 10, 15, 20, 25, 0xffff} {
		refuses(t, ipc(op), mem, unix.ENOSYS)
	}
}

func TestUnfoldKeepsDirectCalls(t *testing.T) {
	for _, c := range []abi.Call{
		{Arch: abi.X86_64, Nr: 102, Args: [6]uint64{1 << 40}}, // getuid there
		{Arch: abi.X32, Nr: 90 | abi.X32Bit},
		{Arch: abi.AArch64, Nr: 117},
		{Arch: abi.I386, Nr: 5, Args: [6]uint64{1 << 40}},
		{Arch: 0, Nr: 435},
		{Arch: abi.X32, Nr: 435},
	} {
		if d, err := Unfold(c, nil); err != nil || d != (Direct{Call: c}) {
			t.Errorf("%v: %+v, %v", c, d, err)
		}
	}
}

func TestUnfoldUnreadable(t *testing.T) {
	for _, c := range []abi.Call{i386(102, 1, 0x1000), i386(90, 0x1000), i386(117, 3, 1, 1, 1, 0x1000), {Arch: abi.X86_64, Nr: 435, Args: [6]uint64{0x1000, 88}}} {
		_, err := Unfold(c, refusing{unix.EACCES})
		var unfit *Unfit
		var f *Fault
		if errors.As(err, &unfit) || !errors.As(err, &f) || !errors.Is(err, unix.EACCES) {
			t.Errorf("%v: %v", c, err)
		}
	}
}
