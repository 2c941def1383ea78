package attack

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Of the decoy process these take what is secret, which is in its memory and behind its
// descriptor FD; its working folder is the decoy's.
var outside = []Attack{
	{Name: "ptrace", What: "tracing a process outside", permitted: wantsOutside, attempt: trace},
	{Name: "process-memory", What: "process_vm_readv and process_vm_writev of it", permitted: wantsOutside, attempt: processMemory},
	{Name: "proc-mem", What: "its /proc/PID/mem", permitted: wantsOutside, attempt: func(a *attacker) {
		if fd, ok := a.open(a.process("mem"), unix.O_RDONLY); ok {
			a.run(bySyscall, []step{{name: "pread64", nr: unix.SYS_PREAD64, args: [6]uintptr{uintptr(fd), a.found, textBytes, uintptr(a.Address)}}})
		}
	}},
	{Name: "environment", What: "its environment (/proc/PID/environ)", permitted: wantsKept, attempt: func(a *attacker) {
		if fd, ok := a.open(a.process("environ"), unix.O_RDONLY); ok {
			a.run(bySyscall, []step{{name: "pread64", nr: unix.SYS_PREAD64, args: [6]uintptr{uintptr(fd), a.found, textBytes}}})
		}
	}},
	{Name: "proc-links", What: "its /proc/PID/root, cwd and fd", permitted: wantsGoal, attempt: func(a *attacker) {
		each(func() bool { return a.run(bySyscall, a.take(a.process("root")+a.Folder, true)) },
			func() bool { return a.run(bySyscall, a.take(a.process("cwd"), true)) },
			func() bool {
				return a.Goal != Make && a.run(bySyscall, a.take(a.process("fd/"+strconv.Itoa(a.FD)), false))
			})
	}},
	{Name: "pidfd-getfd", What: "its descriptors, by pidfd_getfd", permitted: wantsOutside, attempt: func(a *attacker) {
		pidfd := bySyscall(unix.SYS_PIDFD_OPEN, &[6]uintptr{uintptr(a.PID)})
		if pidfd.errno != 0 {
			a.failed("pidfd_open", pidfd.errno)
			return
		}
		fd := bySyscall(unix.SYS_PIDFD_GETFD, &[6]uintptr{pidfd.value, uintptr(a.FD)})
		if fd.errno != 0 {
			a.failed("pidfd_getfd", fd.errno)
			return
		}
		a.run(bySyscall, []step{{name: "pread64", nr: unix.SYS_PREAD64, args: [6]uintptr{fd.value, a.found, textBytes}}})
	}},
	{Name: "signals", What: "signals to it, by each call", permitted: wantsSignals, attempt: signals},
	{Name: "its-limits", What: "its limits, niceness and CPUs", permitted: wantsOutside, attempt: itsLimits},
	{Name: "terminal", What: "typing into the terminal (TIOCSTI)", Terminal: true, permitted: wantsTerminal, attempt: func(a *attacker) {
		letter := a.mem.text("\n")
		for _, request := range []uintptr{unix.TIOCSTI, unix.TIOCSTI | highBit} {
			if got := bySyscall(unix.SYS_IOCTL, &[6]uintptr{0, request, letter}); got.errno != 0 {
				a.failed("ioctl", got.errno)
			}
		}
	}},
}

// highBit is in the half of a request that the kernel does not look at.
const highBit = 1 << 40

// process is a file of the decoy's in proc(5).
func (a *attacker) process(name string) string { return fmt.Sprintf("/proc/%d/%s", a.PID, name) }

// trace seizes the decoy, stops it, reads what is secret, and lets it go.
func trace(a *attacker) {
	pid := uintptr(a.PID)
	call := func(what string, request, address, data uintptr) bool {
		got := bySyscall(unix.SYS_PTRACE, &[6]uintptr{request, pid, address, data})
		if got.errno != 0 {
			a.failed(what, got.errno)
		}
		return got.errno == 0
	}
	if !call("ptrace", unix.PTRACE_SEIZE, 0, 0) {
		return
	}
	a.did("ptrace")
	if !call("ptrace", unix.PTRACE_INTERRUPT, 0, 0) {
		return
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(a.PID, &status, unix.WALL, nil); err != nil {
		a.failed("wait4", err)
		return
	}
	for i := range uintptr(textBytes / 8) {
		call("ptrace", unix.PTRACE_PEEKDATA, uintptr(a.Address)+8*i, a.found+8*i)
	}
	a.tell()
	call("ptrace", unix.PTRACE_DETACH, 0, 0)
}

func processMemory(a *attacker) {
	local, remote := a.mem.words(a.found, textBytes), a.mem.words(uintptr(a.Address), textBytes)
	args := [6]uintptr{uintptr(a.PID), local, 1, remote, 1}
	each(func() bool {
		return a.run(bySyscall, []step{{name: "process_vm_readv", nr: unix.SYS_PROCESS_VM_READV, args: args}})
	}, func() bool {
		copy(a.mem.at(local, 8), a.mem.at(a.mem.words(a.mem.text(changedText)), 8))
		binary.NativeEndian.PutUint64(a.mem.at(local+8, 8), 1)
		args[2] = 1
		got := bySyscall(unix.SYS_PROCESS_VM_WRITEV, &args)
		if got.errno == 0 {
			a.did("process_vm_writev")
		} else {
			a.failed("process_vm_writev", got.errno)
		}
		return got.errno == 0
	})
}

// signals sends SIGUSR1, which the decoy ignores.
func signals(a *attacker) {
	pid, sig := uintptr(a.PID), uintptr(unix.SIGUSR1)
	const queued = -1 // SI_QUEUE
	info := a.mem.room(128)
	binary.NativeEndian.PutUint32(a.mem.at(info, 4), uint32(sig))
	minus := int32(queued)
	binary.NativeEndian.PutUint32(a.mem.at(info+8, 4), uint32(minus))
	list := []step{
		{name: "kill", nr: unix.SYS_KILL, args: [6]uintptr{pid, sig}},
		{name: "tkill", nr: unix.SYS_TKILL, args: [6]uintptr{pid, sig}},
		{name: "tgkill", nr: unix.SYS_TGKILL, args: [6]uintptr{pid, pid, sig}},
		{name: "rt_sigqueueinfo", nr: unix.SYS_RT_SIGQUEUEINFO, args: [6]uintptr{pid, sig, info}},
	}
	if pidfd := bySyscall(unix.SYS_PIDFD_OPEN, &[6]uintptr{pid}); pidfd.errno == 0 {
		list = append(list, step{name: "pidfd_send_signal", nr: unix.SYS_PIDFD_SEND_SIGNAL, args: [6]uintptr{pidfd.value, sig}})
	}
	a.calls(list)
}

// calls makes each of a list, and tells which succeeded.
func (a *attacker) calls(list []step) {
	for _, s := range list {
		if got := bySyscall(s.nr, &s.args); got.errno != 0 {
			a.failed(s.name, got.errno)
		} else {
			a.did(s.name)
		}
	}
}

// itsLimits sets what the decoy can do without.
func itsLimits(a *attacker) {
	pid := uintptr(a.PID)
	a.calls([]step{
		{name: "prlimit64", nr: unix.SYS_PRLIMIT64, args: [6]uintptr{pid, unix.RLIMIT_CORE, a.mem.words(0, 0)}},
		{name: "setpriority", nr: unix.SYS_SETPRIORITY, args: [6]uintptr{unix.PRIO_PROCESS, pid, 19}},
		{name: "sched_setaffinity", nr: unix.SYS_SCHED_SETAFFINITY, args: [6]uintptr{pid, 128, a.mem.put(allBits())}},
	})
}

func allBits() []byte {
	b := make([]byte, 128)
	for i := range b {
		b[i] = 0xff
	}
	return b
}
