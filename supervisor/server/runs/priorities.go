package runs

import (
	"os"

	"golang.org/x/sys/unix"
)

// priorities are how the kernel treats a task beside others.
type priorities struct {
	policy uint32 // sched(7)
	nice   int
	io     int // ioprio_set(2)
	cpus   unix.CPUSet
}

// I/O priorities (linux/ioprio.h): a class above so many bits of level.
const (
	ioLevelBits  = 13
	ioBestEffort = 2<<ioLevelBits | 4 // which a niceness of 0 gives
	ioWhoProcess = 1
)

// ordinary has the calling thread, and what it starts, come before others no more than a
// login does, and run on all CPUs of its cpuset. What comes after others stays so. It gives
// what that comes to.
func ordinary() (*priorities, error) {
	p, err := prioritiesOf(0)
	if err != nil {
		return nil, err
	}
	if err := p.moderate(); err != nil {
		return nil, err
	}
	return prioritiesOf(0)
}

// moderate is ordinary, for the calling thread, whose priorities p are.
func (p *priorities) moderate() error {
	p.cpus.Fill()
	if err := unix.SchedSetaffinity(0, &p.cpus); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	if p.nice < 0 {
		p.nice = 0
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, p.nice); err != nil {
			return os.NewSyscallError("setpriority", err)
		}
	}
	if p.realTime() { // only the privileged may take the flag away; it ends with the fork
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Flags: unix.SCHED_FLAG_RESET_ON_FORK, Nice: int32(p.nice)}
		if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
			return os.NewSyscallError("sched_setattr", err)
		}
	}
	if p.io != 0 && p.io < ioBestEffort {
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioWhoProcess, 0, 0); errno != 0 {
			return os.NewSyscallError("ioprio_set", errno)
		}
	}
	return nil
}

func (p *priorities) realTime() bool {
	return p.policy == unix.SCHED_FIFO || p.policy == unix.SCHED_RR || p.policy == unix.SCHED_DEADLINE
}

// prioritiesOf are a task's, 0 for the calling thread.
func prioritiesOf(tid int) (*priorities, error) {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return nil, os.NewSyscallError("sched_getattr", err)
	}
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err != nil {
		return nil, os.NewSyscallError("getpriority", err)
	}
	io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioWhoProcess, uintptr(tid), 0)
	if errno != 0 {
		return nil, os.NewSyscallError("ioprio_get", errno)
	}
	p := &priorities{policy: attr.Policy, nice: 20 - nice, io: int(io)} // getpriority(2), "C library/kernel differences"
	return p, os.NewSyscallError("sched_getaffinity", unix.SchedGetaffinity(tid, &p.cpus))
}
