package supervisor

import (
	"io"
	"time"

	"callgate/policy/abi"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// kernel is what the trace loop asks of the kernel: a ptrace.Tracer, or in
// tests a recorded sequence of stops. Any request can answer unix.ESRCH.
type kernel interface {
	Seize(tid int) error
	Wait() (ptrace.Stop, error)
	Poll() (ptrace.Stop, bool)
	WaitFor(tid int) (ptrace.Stop, bool)
	Take(tid int)
	Traced(tid int) bool
	ThreadOf(pid, tid int) bool
	Usage() *unix.Rusage
	CPU() time.Duration
	SyscallInfo(tid int, out *ptrace.SyscallInfo) error
	Message(tid int) (int, error)
	At(s ptrace.Stop) (bool, error)
	Memory(tid int) io.ReaderAt
	Registers(tid int, out *ptrace.Registers) error

	Resume(tid int, sig unix.Signal) error
	ResumeToExit(tid int, sig unix.Signal) error
	Listen(tid int) error
	Skip(tid int, value int64) error
	SetNr(tid int, nr uint32) error
	SetResult(tid int, value int64) error
	SetRegisters(tid int, regs *ptrace.Registers) error
	Replace(tid int, was, call *abi.Call) error
	Restore(tid int, args, now *[6]uint64) error
	Interrupt(tid int) error
	Detach(tid int) error
	Kill(tid int) error

	Write(pid int, addr uint64, p []byte) error
	Store(tid int, addr uint64, p []byte) error
	Peek(pid int, addr uint64, p []byte) error
	Forget(pid int)
}

var _ kernel = (*ptrace.Tracer)(nil)
