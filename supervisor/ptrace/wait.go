package ptrace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Kind is what has happened to a tracee. A wait status becomes a Kind here,
// once, and nobody else looks at it.
type Kind uint8

const (
	Unknown    Kind = iota
	Exited          // it is gone: Status is its exit status
	Killed          // it is gone: Signal ended it
	Seccomp         // seccomp stop: a filter answered SECCOMP_RET_TRACE
	Syscall         // syscall-enter-stop or syscall-exit-stop
	Cloned          // event stop in fork, vfork, clone or clone3: the message is the child
	Execed          // event stop in execve: the message is the caller's former tid
	GroupStop       // Signal stopped its thread group
	EventStop       // PTRACE_EVENT_STOP with SIGTRAP: a new tracee's first stop, or SIGCONT's
	SignalStop      // signal-delivery-stop: Signal is about to reach it
)

func (k Kind) String() string {
	names := [...]string{"unknown stop", "exit", "death by signal", "seccomp stop", "syscall stop", "clone event",
		"exec event", "group-stop", "event stop", "signal-delivery-stop"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown stop"
}

// Stop is one answer of wait4(2).
type Stop struct {
	TID    int
	Kind   Kind
	Signal unix.Signal
	Status int // Exited
	Raw    unix.WaitStatus
}

// Gone says whether the task is no more.
func (s Stop) Gone() bool { return s.Kind == Exited || s.Kind == Killed }

func (s Stop) String() string {
	return fmt.Sprintf("%s of task %d (wait status %#x)", s.Kind, s.TID, uint32(s.Raw))
}

// classify says what a wait status of tid means (ptrace(2), "Stopped states").
func classify(tid int, ws unix.WaitStatus) Stop {
	s := Stop{TID: tid, Raw: ws}
	switch {
	case ws.Exited():
		s.Kind, s.Status = Exited, ws.ExitStatus()
	case ws.Signaled():
		s.Kind, s.Signal = Killed, ws.Signal()
	case ws.Stopped():
		s.Signal = ws.StopSignal()
		s.Kind = stopKind(int(ws>>16), s.Signal)
		if s.Kind == Syscall {
			s.Signal = 0
		}
	}
	return s
}

// syscallTrap is how PTRACE_O_TRACESYSGOOD marks a syscall stop.
const syscallTrap = unix.SIGTRAP | 0x80

func stopKind(event int, sig unix.Signal) Kind {
	switch event {
	case 0:
		if sig == syscallTrap {
			return Syscall
		}
		return SignalStop
	case unix.PTRACE_EVENT_SECCOMP:
		return Seccomp
	case unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK, unix.PTRACE_EVENT_CLONE:
		return Cloned
	case unix.PTRACE_EVENT_EXEC:
		return Execed
	case unix.PTRACE_EVENT_STOP:
		return eventStopKind(sig)
	}
	return Unknown
}

func eventStopKind(sig unix.Signal) Kind {
	switch sig {
	case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return GroupStop
	case unix.SIGTRAP:
		return EventStop
	}
	return Unknown
}
