package host

import (
	"strings"

	"callgate/policy"
	"callgate/supervisor/cgroup"
)

// memoryCgroup says whether this user can make a cgroup with a limit on memory.
func memoryCgroup() Feature {
	f := Feature{Name: "memory cgroup", Use: "holding a sandbox's memory exactly; else it is looked at in /proc, and can be exceeded for milliseconds", Status: Yes}
	detail, err := cgroup.Probe()
	if err != nil {
		f.Status, detail = No, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	f.Detail = detail
	return f
}

// Hold says how a limit is held on this host.
func Hold(r policy.Resource) string {
	switch r {
	case policy.WallTime:
		return "a timer"
	case policy.CPUTime:
		return "a timer for the earliest time at which it can be reached, and the clocks of all processes"
	case policy.Memory:
		detail, err := cgroup.Probe()
		if err == nil {
			return detail
		}
		return "looking at what each process holds, every 5 to 500 ms, and twice that on the data of one (RLIMIT_DATA), for want of a cgroup"
	case policy.Processes:
		return "one stop for each fork, vfork, clone and clone3"
	case policy.OpenFiles:
		return "the kernel, for each process (RLIMIT_NOFILE)"
	case policy.FileSize:
		return "the kernel, for each file (RLIMIT_FSIZE)"
	case policy.Output:
		return "pipes in place of standard output and error, but for terminals"
	case policy.Disk, policy.Inodes:
		return "looking at the folders of its own, as soon as it can be reached and at least once a second"
	}
	return "unknown"
}
