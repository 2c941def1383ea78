// Package ptrace is the kernel's interface to a tracer: the requests, what
// wait(2) says of a stop, the system call at a seccomp stop, the registers and
// the memory of a tracee. It is mechanism only; what to do about a stop is the
// supervisor's matter.
//
// A Tracer belongs to the operating-system thread that made the first SEIZE:
// ptrace(2) takes requests from that thread alone. All its methods can return
// unix.ESRCH at any time: a SIGKILL takes a tracee out of its stop.
//
// # Limits
//
// PTRACE_GET_SYSCALL_INFO, and so Linux 5.3, is required: without it nobody can
// tell a compat call from a native one (commit 201766a20e30).
package ptrace

import (
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Options are those of PTRACE_SEIZE: every descendant is traced from its birth,
// exec and seccomp stops are told apart from signals, and no tracee outlives its
// tracer.
const Options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
	unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_EXITKILL

// Op is at what a tracee is stopped, as the kernel says.
type Op uint8

// PTRACE_SYSCALL_INFO_* of linux/ptrace.h.
const (
	OpNone Op = iota
	OpEntry
	OpExit
	OpSeccomp
)

func (o Op) String() string {
	names := [...]string{"none", "syscall-enter-stop", "syscall-exit-stop", "seccomp stop"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// SyscallInfo is what PTRACE_GET_SYSCALL_INFO says of a stop.
type SyscallInfo struct {
	Op    Op
	Audit uint32 // AUDIT_ARCH_*
	IP    uint64
	// At OpSeccomp:
	Nr   uint64 // -1 shows as 1<<64-1
	Args [6]uint64
	Data uint32 // SECCOMP_RET_DATA: a hint, which a tracee's own filter can forge
	// At OpExit:
	Return int64 // what the call returns, -errno if it failed
}

// Call is the call that the stop is about; ok is false where the audit arch is
// none that package abi knows. Precondition: Op is OpSeccomp.
func (i *SyscallInfo) Call() (c abi.Call, ok bool) {
	arch, ok := abi.Of(i.Audit, i.Nr)
	return abi.Call{Arch: arch, Nr: uint32(i.Nr), Args: i.Args}, ok
}

// The arguments of an errand's last call that are the results of those before.
const (
	ErrandFirst  = 3
	ErrandSecond = 4
)
