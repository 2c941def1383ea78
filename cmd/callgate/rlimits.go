package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// ordinaryLimits has a job begin with no more than a login has, whatever the daemon's
// unit gives that: the limits with which the kernel starts its first process
// (INIT_RLIMITS in asm-generic/resource.h), and no core files. What the daemon has
// less of, a job has less of too.
func ordinaryLimits() error {
	launch.FewFiles(softFiles)
	tasks, err := mostTasks()
	if err != nil {
		return err
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
		if err := narrow(resource, most); err != nil {
			return err
		}
	}
	return nil
}

// softFiles is the kernel's soft limit on descriptors. That on all that a job can
// have is limits.open-files'.
const softFiles = 1024

func narrow(resource int, most unix.Rlimit) error {
	var has unix.Rlimit
	if err := unix.Getrlimit(resource, &has); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	has.Max = min(has.Max, most.Max)
	has.Cur = min(has.Cur, most.Cur, has.Max)
	return os.NewSyscallError("setrlimit", unix.Setrlimit(resource, &has))
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
