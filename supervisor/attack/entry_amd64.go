package attack

import "golang.org/x/sys/unix"

const mapLow = unix.MAP_32BIT

// X32Bit marks x32's numbers.
const x32Bit = 0x40000000

// int80 makes a call by i386's int $0x80 from 64-bit code.
func int80(nr, b, c, d, si, di uintptr) uintptr

// far32 makes the same call by 32-bit code, at the low address code, to which it
// jumps by the far pointer at target; stack has the way back, by way of stub.
func far32(nr, b, c, d, target, stack uintptr) uintptr

func byInt80(nr uintptr, a *[6]uintptr) result { return of32(int80(nr, a[0], a[1], a[2], a[3], a[4])) }

// of32 is a result of 32 bits.
func of32(value uintptr) result {
	if v := int32(value); v < 0 && v > -4096 {
		return result{errno: unix.Errno(-v)}
	}
	return result{value: value & 0xffffffff}
}

// in32 is the goal's first step in i386's table.
func (a *attacker) in32() []step {
	steps := a.goal()
	s := &steps[0]
	switch s.nr {
	case unix.SYS_OPENAT:
		s.name, s.nr, s.args = "open", 5, [6]uintptr{s.args[1], s.args[2]}
	case unix.SYS_MKDIRAT:
		s.name, s.nr, s.args = "mkdir", 39, [6]uintptr{s.args[1], s.args[2]}
	}
	return steps
}

var otherEntries = []Attack{
	{Name: "int80", What: "i386's int 0x80 from 64-bit code", permitted: wantsGoal,
		attempt: func(a *attacker) { a.run(byInt80, a.in32()) }},
	{Name: "far-jump", What: "a far jump to 32-bit code", permitted: wantsGoal, attempt: farJump},
	{Name: "x32", What: "a number with x32's bit", permitted: wantsGoal, attempt: func(a *attacker) {
		steps := a.goal()
		steps[0].nr |= x32Bit
		a.run(bySyscall, steps)
	}},
	{Name: "high-halves", What: "a number, a flag and a descriptor with high halves", permitted: wantsGoal, attempt: func(a *attacker) {
		steps := a.goal()
		const high = 0xdeadbeef << 32
		steps[0].nr |= high
		steps[0].args[0] = steps[0].args[0]&0xffffffff | high
		steps[0].args[2] |= high
		a.run(bySyscall, steps)
	}},
}

// farJump has code, stub and stack in memory of 32-bit addresses: code is int $0x80 and
// lret, stub the jump to r15 that 64-bit code comes back by.
func farJump(a *attacker) {
	const page = 4096
	b, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|mapLow)
	if err != nil {
		a.failed("mmap", err)
		return
	}
	code := uintptr(addressOf(b))
	stub := code + 16
	copy(b, []byte{0xcd, 0x80, 0xcb})
	copy(b[16:], []byte{0x41, 0xff, 0xe7})
	if err := unix.Mprotect(b[:page], unix.PROT_READ|unix.PROT_EXEC); err != nil {
		a.failed("mprotect", err)
		return
	}
	const user32, user64 = 0x23, 0x33 // code segments: __USER32_CS, __USER_CS
	target := a.mem.words(code | user32<<32)
	stack := uintptr(addressOf(b)) + 2*page
	copy(b[2*page:], a.mem.at(a.mem.words(stub|user64<<32), 8))
	by := func(nr uintptr, args *[6]uintptr) result {
		unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, a.allSignals, a.oldSignals, 8, 0, 0) // no handler runs on that stack
		value := far32(nr, args[0], args[1], args[2], target, stack)
		unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, a.oldSignals, 0, 8, 0, 0)
		return of32(value)
	}
	a.run(by, a.in32())
}
