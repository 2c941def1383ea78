package supervisor

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"callgate/policy"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// usage is what a sandbox's processes use, as far as it must be asked for.
type usage struct {
	live   map[int]struct{} // processes; nil where nobody asks
	dead   time.Duration    // processor time of those that are gone
	memory int64            // the greatest sum
	cpus   int
}

func (u *usage) born(pid int) {
	if u.live != nil {
		u.live[pid] = struct{}{}
	}
}

func (u *usage) died(pid int, cpu time.Duration) {
	delete(u.live, pid)
	u.dead += cpu
}

// cpu is the processor time of all processes.
func (u *usage) cpu() time.Duration {
	sum := u.dead
	for pid := range u.live {
		sum += ptrace.CPUTime(pid)
	}
	return sum
}

// The least time between two looks: processor time that others take passes as wall
// time, and memory can grow by some GiB a second.
const (
	cpuLook    = 5 * time.Millisecond
	memoryLook = 5 * time.Millisecond
	memoryRest = 500 * time.Millisecond
	groupLook  = 250 * time.Millisecond
	memoryRate = 4 << 30 // bytes a second
)

// watch has what must be asked for looked at. Precondition: mu is held.
func (b *bounds) watch() {
	if b.limits.Has(policy.CPUTime) {
		b.usage.cpus = onlineCPUs()
		b.after(cpuAlarm, b.cpuDue(0), b.lookCPU)
	}
	if b.folders.fds != nil {
		b.after(folderAlarm, b.folderDue(holding{}), b.lookFolders)
	}
	switch {
	case !b.limits.Has(policy.Memory):
	case b.group != nil:
		b.after(memoryAlarm, groupLook, b.lookGroup)
	default:
		b.after(memoryAlarm, memoryLook, b.lookMemory)
	}
}

// cpuDue is the earliest time at which the limit can be reached, on all CPUs.
func (b *bounds) cpuDue(used time.Duration) time.Duration {
	left := time.Duration(b.limits[policy.CPUTime].Most) - used
	return max(left/time.Duration(b.usage.cpus), cpuLook)
}

// onlineCPUs counts those of /sys/devices/system/cpu/online, "0-3,6". Affinities do not
// tell: this process's may be narrow, and the command's can be widened.
func onlineCPUs() int {
	const many = 1024
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return many
	}
	n := 0
	for part := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || last < first {
			return many
		}
		n += last - first + 1
	}
	return n
}

func (b *bounds) lookCPU() {
	b.mu.Lock()
	used := b.usage.cpu()
	over := int64(used) >= b.limits[policy.CPUTime].Most
	if !over {
		b.after(cpuAlarm, b.cpuDue(used), b.lookCPU)
	}
	b.mu.Unlock()
	if over {
		b.reach(policy.CPUTime, int64(used))
	}
}

// lookGroup ends a sandbox of which a process has left the cgroup: who may make one may
// move processes out of it, unless the policy keeps the command from that.
func (b *bounds) lookGroup() {
	b.mu.Lock()
	left := false
	for pid := range b.usage.live {
		left = left || !b.group.Holds(pid)
	}
	if !left {
		b.after(memoryAlarm, groupLook, b.lookGroup)
	}
	b.mu.Unlock()
	if left {
		b.reach(policy.Memory, b.limits[policy.Memory].Most)
	}
}

func (b *bounds) lookMemory() {
	b.mu.Lock()
	most := b.limits[policy.Memory].Most
	sum, rest := b.usage.resident(), memoryLook
	if sum > most {
		sum, rest = b.usage.proportional(), 4*memoryLook
	}
	b.usage.memory = max(b.usage.memory, sum)
	if sum <= most {
		b.after(memoryAlarm, min(max(time.Duration(float64(most-sum)/memoryRate*float64(time.Second)), rest), memoryRest), b.lookMemory)
	}
	b.mu.Unlock()
	if sum > most {
		b.reach(policy.Memory, sum)
	}
}

// resident is the sum of the resident sets, in which what is shared counts once for
// each process: no less than what they hold.
func (u *usage) resident() int64 {
	sum := int64(0)
	for pid := range u.live {
		sum += residentOf(pid)
	}
	return sum
}

// residentOf is the second number of /proc/PID/statm (proc(5)).
func residentOf(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// proportional is the sum of what each process holds, of what is shared its part. A
// child of vfork(2) has its parent's memory, which counts once.
func (u *usage) proportional() int64 {
	sum := int64(0)
	seen := map[int64][]int{}
	for pid := range u.live {
		held := proportionalOf(pid)
		if !sharesMemory(pid, seen[held]) {
			sum += held
		}
		seen[held] = append(seen[held], pid)
	}
	return sum
}

// proportionalOf is Pss of /proc/PID/smaps_rollup, the whole resident set where that
// must not be read.
func proportionalOf(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return residentOf(pid)
	}
	if _, rest, ok := bytes.Cut(text, []byte("\nPss:")); ok {
		if fields := bytes.Fields(rest); len(fields) > 0 {
			if kib, err := strconv.ParseInt(string(fields[0]), 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return residentOf(pid)
}

// kcmpVM is KCMP_VM of linux/kcmp.h.
const kcmpVM = 1

func sharesMemory(pid int, with []int) bool {
	for _, other := range with {
		if n, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(other), kcmpVM, 0, 0, 0); errno == 0 && n == 0 {
			return true
		}
	}
	return false
}
