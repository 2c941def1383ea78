package runs

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// state is what a user may change of a supervisor from outside, as it was at its start.
type state struct {
	limits     limits
	priorities priorities
}

// changed says whether a supervisor that waits is not what it was: its user has stopped it,
// or given it other limits or priorities. It gets back the CPUs that it was kept from.
func (s *supervisor) changed() bool {
	now, err := limitsOf(s.pid)
	return err != nil || now != s.state.limits || stopped(s.pid) || s.reprioritized()
}

// stopped says whether a signal has stopped a child (waitid(2)).
func stopped(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil && err != unix.EINTR || info.Signo != 0
}

// namesIn are the names in a folder, in less time than by package os, as with readOnce.
func namesIn(folder string) (names []string, err error) {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: folder, Err: err}
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return names, os.NewSyscallError("getdents64", err)
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// reprioritized looks at each thread: priorities are a thread's own.
func (s *supervisor) reprioritized() bool {
	names, err := namesIn("/proc/" + strconv.Itoa(s.pid) + "/task")
	if err != nil {
		return true
	}
	for _, name := range names {
		tid, _ := strconv.Atoi(name)
		now, err := prioritiesOf(tid)
		if err != nil { // the thread has ended, or the process has, which shows by and by
			continue
		}
		if now.cpus != s.state.priorities.cpus {
			var all unix.CPUSet
			all.Fill()
			_ = unix.SchedSetaffinity(tid, &all)
			now.cpus = s.state.priorities.cpus
		}
		if *now != s.state.priorities {
			return true
		}
	}
	return false
}
