package ptrace

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestClassify(t *testing.T) {
	stopped := func(sig unix.Signal, event int) unix.WaitStatus {
		return unix.WaitStatus(event<<16 | int(sig)<<8 | 0x7f)
	}
	for _, c := range []struct {
		name string
		ws   unix.WaitStatus
		want Stop
	}{
		{"exit 0", 0, Stop{Kind: Exited}},
		{"exit 255", 255 << 8, Stop{Kind: Exited, Status: 255}},
		{"killed", unix.WaitStatus(unix.SIGKILL), Stop{Kind: Killed, Signal: unix.SIGKILL}},
		{"dumped core", unix.WaitStatus(unix.SIGSYS | 0x80), Stop{Kind: Killed, Signal: unix.SIGSYS}},
		{"seccomp", stopped(unix.SIGTRAP, unix.PTRACE_EVENT_SECCOMP), Stop{Kind: Seccomp, Signal: unix.SIGTRAP}},
		{"syscall", stopped(unix.SIGTRAP|0x80, 0), Stop{Kind: Syscall}},
		{"fork", stopped(unix.SIGTRAP, unix.PTRACE_EVENT_FORK), Stop{Kind: Cloned, Signal: unix.SIGTRAP}},
		{"vfork", stopped(unix.SIGTRAP, unix.PTRACE_EVENT_VFORK), Stop{Kind: Cloned, Signal: unix.SIGTRAP}},
		{"clone", stopped(unix.SIGTRAP, unix.PTRACE_EVENT_CLONE), Stop{Kind: Cloned, Signal: unix.SIGTRAP}},
		{"exec", stopped(unix.SIGTRAP, unix.PTRACE_EVENT_EXEC), Stop{Kind: Execed, Signal: unix.SIGTRAP}},
		{"group-stop", stopped(unix.SIGTSTP, unix.PTRACE_EVENT_STOP), Stop{Kind: GroupStop, Signal: unix.SIGTSTP}},
		{"first stop", stopped(unix.SIGTRAP, unix.PTRACE_EVENT_STOP), Stop{Kind: EventStop, Signal: unix.SIGTRAP}},
		{"signal", stopped(unix.SIGUSR1, 0), Stop{Kind: SignalStop, Signal: unix.SIGUSR1}},
		{"SIGTRAP sent by kill", stopped(unix.SIGTRAP, 0), Stop{Kind: SignalStop, Signal: unix.SIGTRAP}},
		{"SIGSTOP on its way", stopped(unix.SIGSTOP, 0), Stop{Kind: SignalStop, Signal: unix.SIGSTOP}},
		{"an event nobody asked for", stopped(unix.SIGTRAP, 99), Stop{Kind: Unknown, Signal: unix.SIGTRAP}},
		{"an event stop by another signal", stopped(unix.SIGUSR1, unix.PTRACE_EVENT_STOP), Stop{Kind: Unknown, Signal: unix.SIGUSR1}},
		{"continued", 0xffff, Stop{Kind: Unknown}},
	} {
		c.want.TID, c.want.Raw = 7, c.ws
		if got := classify(7, c.ws); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(uint32(0x0007057f))
	f.Fuzz(func(t *testing.T, ws uint32) {
		s := classify(1, unix.WaitStatus(ws))
		if s.Kind.String() == "" || s.String() == "" {
			t.Errorf("%#x has no name", ws)
		}
	})
}
