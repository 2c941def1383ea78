package ptrace

import (
	"encoding/binary"

	"callgate/policy/abi"
)

// MostErrand is the length of the longest errand, in bytes.
const MostErrand = 34

// Errand is code by which a task, after Begin, makes the supervisor's calls: first; with its
// first two arguments second, whose third is 0, unless second is the zero call; and last,
// whose first argument counts alone. The results of the others are last's arguments
// ErrandFirst and ErrandSecond.
//
// No call changes a register but that of its result, and with syscall rcx and r11
// (syscall(2), "Architecture calling conventions").
func Errand(first, second, last abi.Call) []byte {
	code := make([]byte, 0, MostErrand)
	add := func(instruction ...byte) { code = append(code, instruction...) }
	load := func(register byte, value uint32) { // mov $value, %register
		add(0xb8 + register)
		code = binary.LittleEndian.AppendUint32(code, value)
	}
	const eax, ebx, edi = 0, 3, 7
	if first.Arch == abi.I386 {
		load(eax, first.Nr)
		add(0xcd, 0x80) // int $0x80
		add(0x89, 0xc6) // mov %eax, %esi
		if second.Arch != 0 {
			add(0x31, 0xd2) // xor %edx, %edx
			load(eax, second.Nr)
			add(0xcd, 0x80)
			add(0x89, 0xc7) // mov %eax, %edi
		}
		load(ebx, uint32(last.Args[0]))
		load(eax, last.Nr)
		add(0xcd, 0x80)
		return code
	}
	load(eax, first.Nr)
	add(0x0f, 0x05)       // syscall
	add(0x49, 0x89, 0xc2) // mov %rax, %r10
	if second.Arch != 0 {
		add(0x31, 0xd2) // xor %edx, %edx
		load(eax, second.Nr)
		add(0x0f, 0x05)
		add(0x49, 0x89, 0xc0) // mov %rax, %r8
	}
	load(edi, uint32(last.Args[0]))
	load(eax, last.Nr)
	add(0x0f, 0x05)
	return code
}
