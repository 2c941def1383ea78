#include "textflag.h"

// func int80(nr, b, c, d, si, di uintptr) uintptr
TEXT ·int80(SB), NOSPLIT, $0-56
	MOVQ nr+0(FP), AX
	MOVQ b+8(FP), BX
	MOVQ c+16(FP), CX
	MOVQ d+24(FP), DX
	MOVQ si+32(FP), SI
	MOVQ di+40(FP), DI
	INT  $0x80
	MOVQ AX, ret+48(FP)
	RET

// func far32(nr, b, c, d, target, stack uintptr) uintptr
//
// The way back restores nothing but the stack, which R12 has meanwhile.
TEXT ·far32(SB), NOSPLIT, $8-56
	MOVQ nr+0(FP), AX
	MOVQ b+8(FP), BX
	MOVQ c+16(FP), CX
	MOVQ d+24(FP), DX
	MOVQ target+32(FP), SI
	MOVQ stack+40(FP), DI
	MOVQ SP, R12
	CALL jump<>(SB)
	MOVQ R12, SP
	MOVQ AX, ret+48(FP)
	RET

// jump goes on where it was called from when 64-bit code jumps to R15.
TEXT jump<>(SB), NOSPLIT|NOFRAME, $0
	POPQ R15
	MOVQ DI, SP
	BYTE $0xff; BYTE $0x2e // ljmp *(%rsi)
