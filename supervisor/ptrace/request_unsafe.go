package ptrace

import (
	"fmt"
	"time"
	"unsafe"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// syscallInfo is struct ptrace_syscall_info of linux/ptrace.h:
//
//	struct ptrace_syscall_info {
//		__u8 op;
//		__u8 reserved;
//		__u16 flags;
//		__u32 arch __attribute__((__aligned__(sizeof(__u32))));
//		__u64 instruction_pointer;
//		__u64 stack_pointer;
//		union {
//			struct { __u64 nr; __u64 args[6]; } entry;
//			struct { __s64 rval; __u8 is_error; } exit;
//			struct { __u64 nr; __u64 args[6]; __u32 ret_data; __u32 reserved2; } seccomp;
//		};
//	};
type syscallInfo struct {
	op       uint8
	reserved uint8
	flags    uint16
	arch     uint32
	ip, sp   uint64
	nr       uint64
	args     [6]uint64
	retData  uint32
	_        uint32
}

const (
	commonSize  = 24 // op to stack_pointer: what every kernel that has the request fills
	exitSize    = 32 // to the end of rval
	seccompSize = 84 // to the end of ret_data
)

// Tracer is one thread's side of ptrace, with the buffers that requests need,
// so that a stop allocates nothing.
type Tracer struct {
	info     syscallInfo
	msg      uint64
	happened siginfo
	status   uint32
	usage    unix.Rusage
	cpu      time.Duration
	local    unix.Iovec
	remote   remoteIovec
	mem      memories
	reader   memory
	unset    bool // the kernel has no PTRACE_SET_SYSCALL_INFO

	//lint:ignore U1000 arm64 changes one register by way of all
	regs Registers
}

// Seize makes the calling thread tid's tracer (PTRACE_SEIZE) and, by
// PTRACE_O_TRACE*, that of all its descendants.
func (t *Tracer) Seize(tid int) error {
	return t.request("PTRACE_SEIZE", unix.PTRACE_SEIZE, tid, 0, Options)
}

// Resume lets tid go on and delivers sig, if not 0 (PTRACE_CONT).
func (t *Tracer) Resume(tid int, sig unix.Signal) error {
	return t.request("PTRACE_CONT", unix.PTRACE_CONT, tid, 0, uintptr(sig))
}

// ResumeToExit lets tid go on to the next syscall stop (PTRACE_SYSCALL): from a
// seccomp stop that is the syscall-exit-stop of the same call.
func (t *Tracer) ResumeToExit(tid int, sig unix.Signal) error {
	return t.request("PTRACE_SYSCALL", unix.PTRACE_SYSCALL, tid, 0, uintptr(sig))
}

// Listen leaves tid in its group-stop, to be woken by SIGCONT (PTRACE_LISTEN).
func (t *Tracer) Listen(tid int) error {
	return t.request("PTRACE_LISTEN", unix.PTRACE_LISTEN, tid, 0, 0)
}

// Detach ends the tracing of tid, which goes on (PTRACE_DETACH).
func (t *Tracer) Detach(tid int) error {
	return t.request("PTRACE_DETACH", unix.PTRACE_DETACH, tid, 0, 0)
}

// Interrupt takes tid out of a call that waits, which begins anew when the task
// goes on, and has it stop with an event stop (PTRACE_INTERRUPT).
func (t *Tracer) Interrupt(tid int) error {
	return t.request("PTRACE_INTERRUPT", unix.PTRACE_INTERRUPT, tid, 0, 0)
}

// Message is the event stop's message: the child's or the former tid.
func (t *Tracer) Message(tid int) (int, error) {
	err := t.request("PTRACE_GETEVENTMSG", unix.PTRACE_GETEVENTMSG, tid, 0, uintptr(unsafe.Pointer(&t.msg)))
	return int(t.msg), err
}

// At says whether s is the stop that its task is at now. It can be at another:
// a thread that executes a program takes its dead leader's tid over. It is for
// signal-delivery-stops and event stops, which PTRACE_GETSIGINFO tells apart
// (ptrace(2): si_code of an event stop is what the wait status had).
func (t *Tracer) At(s Stop) (bool, error) {
	err := t.request("PTRACE_GETSIGINFO", unix.PTRACE_GETSIGINFO, s.TID, 0, uintptr(unsafe.Pointer(&t.happened)))
	if err != nil {
		return false, err
	}
	if status := int32(s.Raw >> 8); status>>8 != 0 {
		return t.happened.code == status, nil
	}
	return t.happened.signo == int32(s.Signal) && t.happened.code>>8 != unix.PTRACE_EVENT_EXEC, nil
}

// SyscallInfo asks at what tid is stopped and, at a seccomp stop, for its call
// (PTRACE_GET_SYSCALL_INFO). The kernel's answer may be shorter than the struct
// we know; what it does not cover is an error, not a guess.
func (t *Tracer) SyscallInfo(tid int, out *SyscallInfo) error {
	n, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(t.info), uintptr(unsafe.Pointer(&t.info)), 0, 0)
	if errno != 0 {
		return requestError("PTRACE_GET_SYSCALL_INFO", errno)
	}
	if n < commonSize || Op(t.info.op) == OpSeccomp && n < seccompSize || Op(t.info.op) == OpExit && n < exitSize {
		return fmt.Errorf("PTRACE_GET_SYSCALL_INFO: %d bytes for a %v", n, Op(t.info.op))
	}
	*out = SyscallInfo{Op: Op(t.info.op), Audit: t.info.arch, IP: t.info.ip}
	switch out.Op {
	case OpSeccomp:
		out.Nr, out.Args, out.Data = t.info.nr, t.info.args, t.info.retData
	case OpExit:
		out.Return = int64(t.info.nr) // the union's other member, exit.rval
	}
	return nil
}

// setSyscallInfo changes the call at tid's seccomp stop (PTRACE_SET_SYSCALL_INFO,
// Linux 6.16).
func (t *Tracer) setSyscallInfo(tid int, call *abi.Call) error {
	t.info = syscallInfo{op: uint8(OpSeccomp), nr: uint64(call.Nr), args: call.Args}
	return t.request("PTRACE_SET_SYSCALL_INFO", unix.PTRACE_SET_SYSCALL_INFO, tid, unsafe.Sizeof(t.info), uintptr(unsafe.Pointer(&t.info)))
}

// siginfo is what waitid(2) fills in of siginfo_t, whose size is 128 bytes.
type siginfo struct {
	signo, errno, code int32
	_                  int32
	pid, uid, status   int32
	_                  [100]byte
}

// CLD_EXITED, CLD_KILLED and CLD_DUMPED of asm-generic/siginfo.h: the task is
// gone. Above them are the stops.
const codeDumped = 3

// Wait blocks until something happens to a task that this thread traces. A
// stop stays to be waited for until the task goes on, or Take takes it: then
// it is not reported again. unix.ECHILD says that no task is left.
//
// It is waitid(2) with WNOWAIT, so that what a task has used is asked for at
// its death only: that costs as much as the rest of a wait.
func (t *Tracer) Wait() (Stop, error) {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&t.happened)),
			unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return Stop{}, errno
		}
		if stop, ok := t.stop(); ok {
			return stop, nil
		}
	}
}

// WaitFor is Wait for one task, which does not block; ok is false where there is
// nothing to say of it.
func (t *Tracer) WaitFor(tid int) (s Stop, ok bool) {
	t.happened.pid = 0
	_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(tid), uintptr(unsafe.Pointer(&t.happened)),
		unix.WEXITED|unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, 0, 0)
	if errno != 0 || t.happened.pid == 0 {
		return Stop{}, false
	}
	return t.stop()
}

// Poll takes a stop, if there is one to take. It reports no deaths.
func (t *Tracer) Poll() (s Stop, ok bool) {
	t.happened.pid = 0
	_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&t.happened)),
		unix.WSTOPPED|unix.WNOHANG|unix.WALL|unix.WNOTHREAD, 0, 0)
	if errno != 0 || t.happened.pid == 0 {
		return Stop{}, false
	}
	return t.stop()
}

// Take takes tid's present stop, which is to last.
func (t *Tracer) Take(tid int) {
	unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(tid), uintptr(unsafe.Pointer(&t.happened)),
		unix.WSTOPPED|unix.WNOHANG|unix.WALL|unix.WNOTHREAD, 0, 0)
}

// Traced says whether tid is a task that this thread traces, alive or not
// waited for yet: as long as it is, its number is no other's.
func (t *Tracer) Traced(tid int) bool {
	_, _, errno := unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(tid), uintptr(unsafe.Pointer(&t.happened)),
		unix.WEXITED|unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, 0, 0)
	return errno == 0
}

// ThreadOf says whether tid is a thread of process pid: tgkill(2) takes signal 0
// only for one that is.
func (t *Tracer) ThreadOf(pid, tid int) bool { return unix.Tgkill(pid, tid, 0) == nil }

// stop is what waitid reported. A death is waited for once more, for the usage.
func (t *Tracer) stop() (Stop, bool) {
	tid := int(t.happened.pid)
	if t.happened.code > codeDumped {
		return classify(tid, unix.WaitStatus(t.happened.status<<8|0x7f)), true
	}
	t.cpu = CPUTime(tid)
	got, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&t.status)),
		unix.WALL|unix.WNOTHREAD|unix.WNOHANG, uintptr(unsafe.Pointer(&t.usage)), 0, 0)
	if errno != 0 || int(got) != tid {
		return Stop{}, false
	}
	return classify(tid, unix.WaitStatus(t.status)), true
}

// Usage is what the task whose death Wait reported last has used: of a process,
// the whole of it and of the children it waited for (getrusage(2)).
func (t *Tracer) Usage() *unix.Rusage { return &t.usage }

// CPU is what the process whose death Wait reported last has used by itself,
// without its children; 0 where it was another thread than a process's first.
func (t *Tracer) CPU() time.Duration { return t.cpu }

// Kill kills tid's process (kill(2) with SIGKILL). Precondition: Traced.
func (t *Tracer) Kill(tid int) error {
	err := unix.Kill(tid, unix.SIGKILL)
	if err == nil || err == unix.ESRCH {
		return err
	}
	return fmt.Errorf("kill: %w", err)
}

func (t *Tracer) request(name string, request, tid int, addr, data uintptr) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if errno != 0 {
		return requestError(name, errno)
	}
	return nil
}

// requestError keeps ESRCH bare: it is no failure but a task that was killed,
// and it happens too often to allocate for.
func requestError(name string, errno unix.Errno) error {
	if errno == unix.ESRCH {
		return unix.ESRCH
	}
	return &Error{Request: name, Errno: errno}
}

// Error is a request that the kernel refused.
type Error struct {
	Request string
	Errno   unix.Errno
}

func (e *Error) Error() string { return e.Request + ": " + e.Errno.Error() }
func (e *Error) Unwrap() error { return e.Errno }
