package main

// #include "relay.h"
import "C"

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stopSelf stops this process by a signal of job control, as if nobody caught
// it, and returns when it goes on. signal.Reset would not do: Go's handler
// stays in place after it, and swallows these signals. In an orphaned process
// group the kernel does not stop for them (setpgid(2)), and it returns at once.
//
// Precondition: the calling thread is locked to its goroutine.
func stopSelf(sig unix.Signal) {
	// struct sigaction as rt_sigaction has it; all zeros are SIG_DFL.
	var standard, ours [4]uint64
	const maskSize = 8
	if sig != unix.SIGSTOP {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&standard)),
			uintptr(unsafe.Pointer(&ours)), maskSize, 0, 0)
		if errno != 0 {
			return
		}
	}
	// To this thread, so that it is stopped before the call returns.
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
	if sig != unix.SIGSTOP {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ours)), 0, maskSize, 0, 0)
	}
}

// passOn has a signal passed on to the command (relay.c): always, or not if it
// counts as the terminal's.
func passOn(sig unix.Signal, always bool) {
	asked := C.int(0)
	if always {
		asked = 1
	}
	C.relay_pass(C.int(sig), asked)
}

// hold has a signal caught, so that it does nothing.
func hold(sig unix.Signal) { C.relay_hold(C.int(sig)) }

// passOnTo says which process the command is.
func passOnTo(pid int) { C.relay_started(C.int(pid)) }

// killAfter has the command killed that long after it was told to end.
func killAfter(grace time.Duration) { C.relay_grace(C.long(grace.Microseconds())) }

// tellTo has a byte written to a descriptor where callgate is told to end, now that the
// command is gone.
func tellTo(fd int) { C.relay_left(C.int(fd)) }
