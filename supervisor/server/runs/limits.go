package runs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits are a process's, by resource (setrlimit(2)).
type limits [unix.RLIMIT_RTTIME + 1]unix.Rlimit

// limitsOf reads them from proc(5): prlimit(2) has it that root, to read another user's,
// needs CAP_SYS_RESOURCE, which it has not in most containers.
func limitsOf(pid int) (l limits, err error) {
	file := "/proc/" + strconv.Itoa(pid) + "/limits"
	var buf [4096]byte
	n, err := readOnce(file, buf[:])
	if err != nil {
		return l, err
	}
	if l, err = readLimits(string(buf[:n])); err != nil {
		return l, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

// readOnce reads what is not longer than buf. Package os would take three times as long: it
// asks whether the file can be polled, and how large it is.
func readOnce(file string, buf []byte) (n int, err error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: file, Err: err}
	}
	defer unix.Close(fd)
	n, err = unix.Read(fd, buf)
	return n, os.NewSyscallError("read", err)
}

// readLimits reads a heading, and a line for each resource in the order of their numbers:
// "%-25s %-20s %-20s %-10s" (fs/proc/base.c, proc_pid_limits).
func readLimits(text string) (l limits, err error) {
	_, text, _ = strings.Cut(text, "\n")
	for resource := range l {
		line, rest, _ := strings.Cut(text, "\n")
		if len(line) < 67 {
			return l, errors.New("it is cut off")
		}
		if l[resource].Cur, err = amount(line[26:46]); err == nil {
			l[resource].Max, err = amount(line[47:67])
		}
		if err != nil {
			return l, err
		}
		text = rest
	}
	return l, nil
}

func amount(text string) (uint64, error) {
	text = strings.TrimRight(text, " ")
	if text == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	return strconv.ParseUint(text, 10, 64)
}

// narrow has a supervisor, and so its jobs, have no more than a login has, whatever the
// daemon's unit gives that: the limits with which the kernel starts its first process
// (INIT_RLIMITS in asm-generic/resource.h), and no core files. What the daemon has less of,
// a job has less of too. The supervisor narrows the one on descriptors for jobs itself.
func narrow(pid int) (l limits, err error) {
	tasks, err := mostTasks()
	if err != nil {
		return l, err
	}
	if l, err = limitsOf(pid); err != nil {
		return l, err
	}
	const mib = 1 << 20
	for resource, most := range map[int]unix.Rlimit{
		unix.RLIMIT_STACK:      {Cur: 8 * mib, Max: unix.RLIM_INFINITY},
		unix.RLIMIT_CORE:       {},
		unix.RLIMIT_NPROC:      {Cur: tasks, Max: tasks},
		unix.RLIMIT_MEMLOCK:    {Cur: 8 * mib, Max: 8 * mib},
		unix.RLIMIT_SIGPENDING: {Cur: tasks, Max: tasks},
		unix.RLIMIT_MSGQUEUE:   {Cur: 819200, Max: 819200},
		unix.RLIMIT_NICE:       {},
		unix.RLIMIT_RTPRIO:     {},
	} {
		has := &l[resource]
		has.Max = min(has.Max, most.Max)
		has.Cur = min(has.Cur, most.Cur, has.Max)
		if err := unix.Prlimit(pid, resource, has, nil); err != nil {
			return l, os.NewSyscallError("prlimit", err)
		}
	}
	l[unix.RLIMIT_NOFILE].Cur = l[unix.RLIMIT_NOFILE].Max // as Go has it when the process begins (os/rlimit.go)
	return l, nil
}

// mostTasks is how many tasks and pending signals the kernel gives its first
// process, and so a user: half of what there can be (kernel/fork.c, fork_init).
func mostTasks() (uint64, error) {
	const file = "/proc/sys/kernel/threads-max"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n / 2, nil
}
