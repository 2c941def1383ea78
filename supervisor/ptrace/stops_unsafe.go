package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalAction is the kernel's struct sigaction, the same on amd64 and arm64.
type signalAction struct {
	action   uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// noChildStops is SA_NOCLDSTOP of asm-generic/signal-defs.h.
const noChildStops = 1

// QuietStops keeps the kernel from sending SIGCHLD to this process for every
// stop of a tracee (kernel/signal.c, do_notify_parent_cldstop). Go's runtime
// takes them on whatever thread they reach, often one of another CPU: it made a
// stop half as dear again. Deaths still signal.
func QuietStops() error {
	var now signalAction
	if err := setAction(unix.SIGCHLD, nil, &now); err != nil {
		return err
	}
	if now.flags&noChildStops != 0 {
		return nil
	}
	now.flags |= noChildStops
	return setAction(unix.SIGCHLD, &now, nil)
}

// setAction is rt_sigaction(2); either pointer may be nil.
func setAction(sig unix.Signal, set, was *signalAction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)),
		uintptr(unsafe.Pointer(was)), unsafe.Sizeof(signalAction{}.mask), 0, 0)
	if errno != 0 {
		return &Error{Request: "rt_sigaction", Errno: errno}
	}
	return nil
}
