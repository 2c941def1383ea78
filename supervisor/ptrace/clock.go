package ptrace

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuClockSched is CPUCLOCK_SCHED of linux/posix-timers.h: the clock of a whole
// process, which counts its threads that have ended as well.
const cpuClockSched = 2

// CPUTime is the processor time of a process (clock_getcpuclockid(3)), as long as
// it has not been waited for; it is 0 for one that has, and for a thread that is
// not its process's first.
func CPUTime(pid int) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClockSched), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
