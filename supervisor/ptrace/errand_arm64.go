package ptrace

import (
	"encoding/binary"

	"callgate/policy/abi"
)

// MostErrand is the length of the longest errand, in bytes.
const MostErrand = 60

// Errand is code by which a task, after Begin, makes the supervisor's calls: first; with its
// first two arguments second, whose third is 0, unless second is the zero call; and last,
// whose first argument counts alone. The results of the others are last's arguments
// ErrandFirst and ErrandSecond. First arguments have 32 bits.
//
// No call changes a register but that of its result (syscall(2), "Architecture calling
// conventions"), which is the first argument's.
func Errand(first, second, last abi.Call) []byte {
	code := make([]byte, 0, MostErrand)
	add := func(instruction uint32) { code = binary.LittleEndian.AppendUint32(code, instruction) }
	enter := func(call *abi.Call) {
		address := uint32(call.Args[0])
		add(0xd2800000 | address&0xffff<<5) // movz x0, #low
		add(0xf2a00000 | address>>16<<5)    // movk x0, #high, lsl #16
		add(0xd2800008 | call.Nr<<5)        // movz x8, #nr
		add(0xd4000001)                     // svc #0
	}
	enter(&first)
	add(0xaa0003e3) // mov x3, x0
	if second.Arch != 0 {
		add(0xd2800002) // movz x2, #0
		enter(&second)
		add(0xaa0003e4) // mov x4, x0
	}
	enter(&last)
	return code
}
