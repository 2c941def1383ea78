// Package compile turns policies into a plan: what the kernel's filter decides
// by itself, and what the supervisor must be asked. It is the only importer of
// libseccomp, and it proves every filter against policy.Set.Decide before it
// lets anyone install it.
package compile

import (
	"callgate/policy"

	"golang.org/x/sys/unix"
)

// TraceData is the 16 bits that our filters give with SECCOMP_RET_TRACE. They
// are a hint, never a fact: a tracee's own filter can say the same.
const TraceData = 0x0ca1

// KillNr is a number, in every ABI's table unused, that the filter answers
// with SECCOMP_RET_KILL_PROCESS. The supervisor writes it over a call's number
// to have the kernel kill the process by SIGSYS: after a seccomp stop the
// filter runs again on what the tracer left (seccomp(2), SECCOMP_RET_TRACE).
const KillNr = 0x3ffffff0

// Options says what, beside the policies, decides which calls need a stop.
type Options struct {
	// Report sends what is denied, skipped or killed to the supervisor, so that
	// it can be told; without it the filter answers where it can.
	Report bool
}

// Plan is what a sandbox is started with.
type Plan struct {
	Set policy.Set
	// Filters are to be installed in this order; the kernel takes the most
	// restrictive answer of all.
	Filters []Program
}

// Program is a classic BPF program as struct sock_fprog wants it.
type Program []unix.SockFilter
