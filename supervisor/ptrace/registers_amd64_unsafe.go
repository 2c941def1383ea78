//go:build amd64

package ptrace

import (
	"unsafe"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Registers are a stopped task's. A 64-bit tracer gets and sets them in their
// 64-bit layout whatever the tracee runs (arch/x86/kernel/ptrace.c:
// PTRACE_GETREGS takes user_x86_64_view of the tracer).
type Registers unix.PtraceRegs

// Offsets in struct user (sys/user.h) for PTRACE_POKEUSER.
const (
	userRAX     = unsafe.Offsetof(unix.PtraceRegs{}.Rax)
	userOrigRAX = unsafe.Offsetof(unix.PtraceRegs{}.Orig_rax)
)

// argOffsets are those of the arguments of a 64-bit call.
var argOffsets = [6]uintptr{unsafe.Offsetof(unix.PtraceRegs{}.Rdi), unsafe.Offsetof(unix.PtraceRegs{}.Rsi), unsafe.Offsetof(unix.PtraceRegs{}.Rdx),
	unsafe.Offsetof(unix.PtraceRegs{}.R10), unsafe.Offsetof(unix.PtraceRegs{}.R8), unsafe.Offsetof(unix.PtraceRegs{}.R9)}

// codeSegment32 is __USER32_CS (arch/x86/include/asm/segment.h).
const codeSegment32 = 0x23

// Registers reads tid's registers.
func (t *Tracer) Registers(tid int, out *Registers) error {
	return t.request("PTRACE_GETREGS", unix.PTRACE_GETREGS, tid, 0, uintptr(unsafe.Pointer(out)))
}

// SetRegisters writes tid's registers.
func (t *Tracer) SetRegisters(tid int, regs *Registers) error {
	return t.request("PTRACE_SETREGS", unix.PTRACE_SETREGS, tid, 0, uintptr(unsafe.Pointer(regs)))
}

// Skip has the call at tid's seccomp stop not executed and return value: the
// number becomes -1, which the kernel takes as "already done" (seccomp(2),
// SECCOMP_RET_TRACE).
func (t *Tracer) Skip(tid int, value int64) error {
	if err := t.poke(tid, userOrigRAX, ^uintptr(0)); err != nil {
		return err
	}
	return t.poke(tid, userRAX, uintptr(value))
}

// SetNr has the kernel execute another call with the same arguments; the
// filters see it.
func (t *Tracer) SetNr(tid int, nr uint32) error {
	return t.poke(tid, userOrigRAX, uintptr(nr))
}

// SetResult has the call that tid has just returned from return value, and not be
// restarted.
func (t *Tracer) SetResult(tid int, value int64) error {
	return t.poke(tid, userRAX, uintptr(value))
}

// Light says whether Replace and Restore do for calls of an ABI: it has each
// argument in a register of its own, all of which is shown.
func Light(arch abi.Arch) bool { return arch == abi.X86_64 }

// Replace puts call in the place of was, which is what tid's seccomp stop is for.
// It costs a quarter of what reading and writing all registers does.
func (t *Tracer) Replace(tid int, was, call *abi.Call) error {
	if !t.unset {
		err := t.setSyscallInfo(tid, call)
		if e, ok := err.(*Error); !ok || e.Errno != unix.EIO {
			return err
		}
		t.unset = true // Linux before 6.16
	}
	if err := t.SetNr(tid, call.Nr); err != nil {
		return err
	}
	return t.Restore(tid, &call.Args, &was.Args)
}

// Restore gives tid's argument registers the values that they are to have, where
// now they have others.
func (t *Tracer) Restore(tid int, args, now *[6]uint64) error {
	for i, value := range args {
		if value == now[i] {
			continue
		}
		if err := t.poke(tid, argOffsets[i], uintptr(value)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracer) poke(tid int, offset, value uintptr) error {
	return t.request("PTRACE_POKEUSER", unix.PTRACE_POKEUSR, tid, offset, value)
}

// Code32 says whether the task runs 32-bit code: what tells a 32-bit program's
// call from an int 0x80 out of 64-bit code.
func (r *Registers) Code32() bool { return r.Cs == codeSegment32 }

// SetCall puts call's number and arguments where its ABI has them.
func (r *Registers) SetCall(call abi.Call) {
	r.Orig_rax = uint64(call.Nr)
	for i, value := range call.Args {
		*r.arg(call.Arch, i) = value
	}
}

// RestoreCall puts back the number and the arguments that before had, and
// leaves what the call has returned.
func (r *Registers) RestoreCall(arch abi.Arch, before *Registers) {
	r.Orig_rax = before.Orig_rax
	for i := range 6 {
		*r.arg(arch, i) = *before.arg(arch, i)
	}
}

// Repeat has the task make the call again that has just returned, with the
// arguments that before had. Every instruction that enters the kernel has two
// bytes: syscall, int 0x80; sysenter returns behind an int 0x80 of the vdso's
// (arch/x86/entry/vdso/vdso32/system_call.S).
func (r *Registers) Repeat(before *Registers) {
	*r = *before
	r.Rax = before.Orig_rax
	r.Rip -= 2
}

// Begin has a task that has executed a program go on at ip, with the arguments of call.
// execve is to return still, and needs its number for that.
func (r *Registers) Begin(ip uint64, call abi.Call) {
	nr := r.Orig_rax
	r.SetCall(call)
	r.Rip, r.Orig_rax = ip, nr
}

// Leave has the task be at no call: none is executed, or restarted. That is how a program
// begins.
func (r *Registers) Leave() { r.Rax, r.Orig_rax = 0, ^uint64(0) }

// Arguments are those of a call that the task is at.
func (r *Registers) Arguments(arch abi.Arch) (args [6]uint64) {
	for i := range args {
		args[i] = *r.arg(arch, i)
	}
	return args
}

// CloneFlags are the flags of the clone that a task at its event stop has made,
// by whichever ABI; those that fork and vfork stand for are 0. The kernel takes 32 bits of
// the number (do_syscall_64 in arch/x86/entry/syscall_64.c), and leaves the others where they are.
func (r *Registers) CloneFlags() uint64 {
	switch nr := uint32(r.Orig_rax) &^ abi.X32Bit; nr {
	case unix.SYS_CLONE:
		return r.Rdi
	case i386Clone:
		return r.Rbx
	}
	return 0
}

// i386Clone is clone's number in the i386 table; in x86_64's it is no call that
// has children.
const i386Clone = 120

// IP is where the task goes on.
func (r *Registers) IP() uint64 { return r.Rip }

// arg is the register of an ABI's argument i (syscall(2), "Architecture calling
// conventions").
func (r *Registers) arg(arch abi.Arch, i int) *uint64 {
	if arch == abi.I386 {
		return [6]*uint64{&r.Rbx, &r.Rcx, &r.Rdx, &r.Rsi, &r.Rdi, &r.Rbp}[i]
	}
	return [6]*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9}[i]
}
