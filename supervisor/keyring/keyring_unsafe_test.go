package keyring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filter has the calling thread's calls of these numbers fail.
func filter(errno unix.Errno, numbers ...uint32) error {
	code := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // seccomp_data.nr
	for _, nr := range numbers {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	code = append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}

func needsKeys(t *testing.T) {
	t.Helper()
	if err := join(); errors.Is(err, unix.ENOSYS) {
		fmt.Fprintf(os.Stderr, "%s is skipped: this kernel has no keys\n", t.Name())
		t.SkipNow()
	}
}

// TestOwnBehindAFilter: without a keyring of its own a thread gets on only where nothing
// that it starts could use any.
func TestOwnBehindAFilter(t *testing.T) {
	needsKeys(t)
	const keyctl, add, request = unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY
	for _, c := range []struct {
		answer  unix.Errno
		numbers []uint32
		want    error
	}{
		{unix.EPERM, []uint32{keyctl, add, request}, nil},
		{unix.ENOSYS, []uint32{keyctl, add, request}, nil},
		{unix.EPERM, []uint32{keyctl}, unix.EPERM},
		{unix.ENOSYS, []uint32{keyctl, add}, unix.ENOSYS},
		{unix.EPERM, []uint32{add, request}, nil},
		{unix.EDQUOT, []uint32{keyctl}, unix.EDQUOT},
	} {
		got := make(chan error)
		go func() {
			runtime.LockOSThread() // for good
			if err := filter(c.answer, c.numbers...); err != nil {
				t.Error(err)
			}
			got <- Own()
		}()
		if err := <-got; !errors.Is(err, c.want) {
			t.Errorf("%v of %d: %v", c.answer, c.numbers, err)
		}
	}
}

// TestOwn: the keyring is a new one each time, and the thread's alone.
func TestOwn(t *testing.T) {
	needsKeys(t)
	session := func() int {
		id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
		if err != nil {
			t.Error(err)
		}
		return id
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := session()
	ids := make(chan int)
	go func() {
		runtime.LockOSThread() // for good
		for range 2 {
			if err := Own(); err != nil {
				t.Error(err)
			}
			ids <- session()
		}
	}()
	one, other := <-ids, <-ids
	if one == before || other == before || one == other || session() != before {
		t.Errorf("%x and %x after %x, which is %x", one, other, before, session())
	}
}
