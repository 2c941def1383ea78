package host

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// actionAvailable asks whether filters may answer with action
// (SECCOMP_GET_ACTION_AVAIL; EOPNOTSUPP says no).
func actionAvailable(action uint32) error {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	return orNil(errno)
}

// setSyscallInfo tries the request with an operation that no stop has: a kernel
// that knows the request answers EINVAL, one that does not EIO (ptrace(2)).
// Nothing changes either way.
func setSyscallInfo(tid int) error {
	info := struct {
		op       uint8
		reserved uint8
		flags    uint16
		rest     [21]uint32
	}{op: 0xff}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno == unix.EINVAL {
		return nil
	}
	return orNil(errno)
}

// sealNothing is mseal(2) of no bytes: it succeeds where the call exists.
func sealNothing() error {
	_, _, errno := unix.Syscall(unix.SYS_MSEAL, 0, 0, 0)
	return orNil(errno)
}

func orNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
