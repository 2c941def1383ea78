// Package decode reads what a system call's arguments mean: it shows them as
// strace does, and finds the call that a multiplexer or an argument block
// stands for.
//
// It is pure. A tracee's memory is an io.ReaderAt whose offsets are the
// tracee's addresses (/proc/PID/mem is one). All that is read from it is
// hostile: every read is bounded, goes page by page, and may fail anywhere.
//
// # Limits
//
// What Args shows is for people. It is read once, at the stop, from memory
// that other threads may change: no verdict may rest on it. Verdicts rest on
// registers, on Unfold's Direct call (which the supervisor writes into them
// first), or on memory that the supervisor has pinned.
//
// /proc/PID/mem reads pages that the tracee itself may not read (PROT_NONE).
// Unfold then gives a direct call where the kernel would have failed with
// EFAULT.
package decode

import (
	"io"

	"callgate/policy/abi"
)

// Args shows the arguments of c, one string each, as strace writes them. s is
// c's entry in its ABI's table; where it is nil the six registers are shown in
// hexadecimal. A pointer that cannot be read is shown as its address. All text
// is printable: control characters and invalid UTF-8 of the tracee's are
// escaped.
func Args(c abi.Call, s *abi.Syscall, mem io.ReaderAt) []string {
	if s == nil {
		return registers(c)
	}
	sh := shower{call: &c, sys: s, mem: mem}
	list := make([]string, 0, len(s.Params))
	for i := range s.Params {
		if sh.ignored(i) {
			continue
		}
		list = append(list, sh.param(i))
	}
	return list
}

func registers(c abi.Call) []string {
	list := make([]string, len(c.Args))
	for i := range c.Args {
		list[i] = hex(reg(&c, i))
	}
	return list
}

// reg is argument register i as c's ABI has it. int 0x80 from 64-bit code can
// leave high halves in the registers, which the kernel's i386 table drops
// (SC_IA32_REGS_TO_ARGS in arch/x86/include/asm/syscall_wrapper.h).
func reg(c *abi.Call, i int) uint64 {
	if c.Arch == abi.I386 {
		return uint64(uint32(c.Args[i]))
	}
	return c.Args[i]
}

// pointerSize is the width in bytes of the pointers in c's argument arrays:
// execve of x32 is compat_sys_execve (arch/x86/entry/syscalls/syscall_64.tbl).
func pointerSize(arch abi.Arch) int {
	if arch == abi.I386 || arch == abi.X32 {
		return 4
	}
	return 8
}
