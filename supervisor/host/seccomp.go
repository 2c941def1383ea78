package host

import (
	"errors"
	"fmt"
	"runtime"

	"callgate/supervisor/launch"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

func actions() []Feature {
	list := []Feature{
		{Name: "seccomp KILL_PROCESS", Use: "kill rules"},
		{Name: "seccomp ERRNO", Use: "denials without a stop"},
		{Name: "seccomp TRACE", Use: "rules that the filter cannot decide"},
	}
	for i, action := range []uint32{unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ERRNO, unix.SECCOMP_RET_TRACE} {
		use := list[i].Use
		list[i] = found(list[i].Name, use, actionAvailable(action), unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL)
		list[i].Required = true
	}
	return list
}

// tracing starts a first stage whose filter stops it at its own execve, and
// looks at that stop as a run would. The program is never executed.
func tracing() []Feature {
	const name, use = "PTRACE_GET_SYSCALL_INFO", "reading which call a task makes, and by which ABI"
	set := Feature{Name: "PTRACE_SET_SYSCALL_INFO", Use: "changing a call in one request; registers serve instead"}
	var setErr error
	err := atExecve(func(t *ptrace.Tracer, tid int) error {
		var info ptrace.SyscallInfo
		if err := t.SyscallInfo(tid, &info); err != nil {
			return err
		}
		if info.Op != ptrace.OpSeccomp || info.Nr != unix.SYS_EXECVE {
			return fmt.Errorf("the kernel shows a %v in call %d", info.Op, info.Nr)
		}
		setErr = setSyscallInfo(tid)
		return nil
	})
	get := Feature{Name: name, Use: use, Status: Yes, Required: true}
	if err != nil {
		get.Status, get.Detail = No, err.Error()
		set.Detail = "not tried"
		return []Feature{get, set}
	}
	set = found(set.Name, set.Use, setErr, unix.EIO)
	if set.Status == No {
		set.Detail = "comes with Linux 6.16"
	}
	return []Feature{get, set}
}

// atExecve calls look with a tracee that is in the seccomp stop of an execve.
func atExecve(look func(t *ptrace.Tracer, tid int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	stage, err := launch.Start(&launch.Command{
		Path:    "/proc/self/exe",
		Args:    []string{"callgate"},
		Files:   []int{-1, -1, -1},
		Filters: [][]unix.SockFilter{stopAtExecve()},
	})
	if err != nil {
		return err
	}
	defer stage.Close()
	var t ptrace.Tracer
	seized := t.Seize(stage.PID)
	defer reap(&t, stage.PID)
	if seized != nil {
		return seized
	}
	stage.Go()
	for {
		stop, err := t.Wait()
		switch {
		case err != nil:
			return err
		case stop.TID != stage.PID:
		case stop.Kind == ptrace.Seccomp:
			return look(&t, stop.TID)
		case stop.Gone():
			return errors.Join(errors.New("the first stage ended early"), stage.Err())
		default:
			if err := t.Resume(stop.TID, 0); err != nil {
				return err
			}
		}
	}
}

// stopAtExecve is a filter that answers execve with RET_TRACE and lets all
// else be.
func stopAtExecve() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_EXECVE, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
}

// reap kills the child and waits until it is gone.
func reap(t *ptrace.Tracer, pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	for {
		stop, err := t.Wait()
		if err != nil || stop.TID == pid && stop.Gone() {
			return
		}
	}
}
