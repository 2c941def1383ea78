//go:build arm64

package ptrace

import (
	"unsafe"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Registers are a stopped task's: struct user_pt_regs and the number of its
// call, which arm64 keeps in a set of its own.
type Registers struct {
	unix.PtraceRegs
	nr int32
}

// Registers reads tid's registers.
func (t *Tracer) Registers(tid int, out *Registers) error {
	err := t.set("PTRACE_GETREGSET", unix.PTRACE_GETREGSET, tid, unix.NT_PRSTATUS, unsafe.Pointer(&out.PtraceRegs), unsafe.Sizeof(out.PtraceRegs))
	if err != nil {
		return err
	}
	return t.set("PTRACE_GETREGSET", unix.PTRACE_GETREGSET, tid, unix.NT_ARM_SYSTEM_CALL, unsafe.Pointer(&out.nr), unsafe.Sizeof(out.nr))
}

// SetRegisters writes tid's registers.
func (t *Tracer) SetRegisters(tid int, regs *Registers) error {
	err := t.set("PTRACE_SETREGSET", unix.PTRACE_SETREGSET, tid, unix.NT_PRSTATUS, unsafe.Pointer(&regs.PtraceRegs), unsafe.Sizeof(regs.PtraceRegs))
	if err != nil {
		return err
	}
	return t.set("PTRACE_SETREGSET", unix.PTRACE_SETREGSET, tid, unix.NT_ARM_SYSTEM_CALL, unsafe.Pointer(&regs.nr), unsafe.Sizeof(regs.nr))
}

// Skip has the call at tid's seccomp stop not executed and return value: the
// number becomes -1, which the kernel takes as "already done" (seccomp(2),
// SECCOMP_RET_TRACE).
func (t *Tracer) Skip(tid int, value int64) error {
	if err := t.Registers(tid, &t.regs); err != nil {
		return err
	}
	t.regs.nr = -1
	t.regs.Regs[0] = uint64(value)
	return t.SetRegisters(tid, &t.regs)
}

// SetNr has the kernel execute another call with the same arguments; the
// filters see it.
func (t *Tracer) SetNr(tid int, nr uint32) error {
	t.regs.nr = int32(nr)
	return t.set("PTRACE_SETREGSET", unix.PTRACE_SETREGSET, tid, unix.NT_ARM_SYSTEM_CALL, unsafe.Pointer(&t.regs.nr), unsafe.Sizeof(t.regs.nr))
}

// SetResult has the call that tid has just returned from return value, and not be
// restarted.
func (t *Tracer) SetResult(tid int, value int64) error {
	if err := t.Registers(tid, &t.regs); err != nil {
		return err
	}
	t.regs.Regs[0] = uint64(value)
	return t.SetRegisters(tid, &t.regs)
}

// Light says whether Replace and Restore do for calls of an ABI: here the first
// argument's register is the result's too.
func Light(abi.Arch) bool { return false }

// Replace is for what Light permits.
func (t *Tracer) Replace(int, *abi.Call, *abi.Call) error { return unix.ENOSYS }

// Restore is for what Light permits.
func (t *Tracer) Restore(int, *[6]uint64, *[6]uint64) error { return unix.ENOSYS }

func (t *Tracer) set(name string, request, tid, note int, base unsafe.Pointer, size uintptr) error {
	t.local.Base = (*byte)(base)
	t.local.SetLen(int(size))
	err := t.request(name, request, tid, uintptr(note), uintptr(unsafe.Pointer(&t.local)))
	t.local.Base = nil
	return err
}

// Code32 says whether the task runs 32-bit code; arm64's compat calls have an
// audit arch of their own, so nobody needs to ask.
func (r *Registers) Code32() bool { return false }

// SetCall puts call's number and arguments where the ABI has them.
func (r *Registers) SetCall(call abi.Call) {
	r.nr = int32(call.Nr)
	copy(r.Regs[:6], call.Args[:])
	r.Regs[8] = uint64(call.Nr)
}

// RestoreCall puts back the number and the arguments that before had, and
// leaves what the call has returned in x0.
func (r *Registers) RestoreCall(_ abi.Arch, before *Registers) {
	r.nr = before.nr
	copy(r.Regs[1:6], before.Regs[1:6])
	r.Regs[8] = before.Regs[8]
}

// Repeat has the task make the call again that has just returned, with the
// arguments that before had.
func (r *Registers) Repeat(before *Registers) {
	*r = *before
	r.Pc -= 4
}

// Begin has a task that has executed a program go on at ip, with the arguments of call but
// for the first, whose register is that of execve's result.
func (r *Registers) Begin(ip uint64, call abi.Call) {
	copy(r.Regs[1:6], call.Args[1:])
	r.Pc = ip
}

// Leave has the task be at no call: none is executed, or restarted. That is how a program
// begins.
func (r *Registers) Leave() { r.Regs[0], r.nr = 0, -1 }

// Arguments are those of a call that the task is at.
func (r *Registers) Arguments(abi.Arch) (args [6]uint64) {
	copy(args[:], r.Regs[:6])
	return args
}

// CloneFlags are the flags of the clone that a task at its event stop has made.
func (r *Registers) CloneFlags() uint64 { return r.Regs[0] }

// IP is where the task goes on.
func (r *Registers) IP() uint64 { return r.Pc }
