package compile

import "golang.org/x/sys/unix"

// run is the program's answer to one call, and whether it looked at the
// call's arguments or instruction pointer to find it: where it did not, the
// answer is the same for all of them. seen, if not nil, gets a true for every
// instruction executed.
func (m machine) run(d *words, seen []bool) (answer uint32, looked bool) {
	var s standing
	var mem [16]uint32
	if answer, done := m.advance(&s, &mem, d, wordArch, seen); done {
		return answer, false
	}
	answer, _ = m.advance(&s, &mem, d, wordLast, seen)
	return answer, true
}

// standing is where a program stands between two instructions, its scratch
// memory apart.
type standing struct {
	pc   int
	a, x uint32
}

// advance runs the program on from where it stands, to its answer or up to a
// load of a word beyond last. Only in the latter case it stands elsewhere then.
func (m machine) advance(s *standing, mem *[16]uint32, d *words, last uint32, seen []bool) (answer uint32, done bool) {
	a, x := s.a, s.x
	for pc := s.pc; ; pc++ {
		in := &m[pc]
		if in.op == opLoad && in.k > last {
			*s = standing{pc, a, x}
			return 0, false
		}
		if seen != nil {
			seen[pc] = true
		}
		switch in.op {
		case opLoad:
			a = d[in.k&15]
		case opRetK:
			return in.k, true
		case opRetA:
			return a, true
		case opJump:
			pc += int(in.k)
		case opJeqK:
			pc += in.jump(a == in.k)
		case opJgtK:
			pc += in.jump(a > in.k)
		case opJgeK:
			pc += in.jump(a >= in.k)
		case opJsetK:
			pc += in.jump(a&in.k != 0)
		case opJeqX:
			pc += in.jump(a == x)
		case opJgtX:
			pc += in.jump(a > x)
		case opJgeX:
			pc += in.jump(a >= x)
		case opJsetX:
			pc += in.jump(a&x != 0)
		case opAluK:
			a, _ = calculate(in.alu, a, in.k)
		case opAluX:
			ok := true
			if a, ok = calculate(in.alu, a, x); !ok {
				return 0, true // bpf_convert_filter: division by zero ends the program with 0
			}
		case opNeg:
			a = -a
		case opImm:
			a = in.k
		case opImmX:
			x = in.k
		case opMem:
			a = mem[in.k&15]
		case opMemX:
			x = mem[in.k&15]
		case opStore:
			mem[in.k&15] = a
		case opStoreX:
			mem[in.k&15] = x
		case opTAX:
			x = a
		case opTXA:
			a = x
		}
	}
}

// jump is written so that it becomes a conditional move: a processor cannot
// guess which way the next call goes.
func (in *inst) jump(taken bool) int {
	far := in.jf
	if taken {
		far = in.jt
	}
	return int(far)
}

// calculate is one ALU operation on 32 bits; false on division by zero.
func calculate(alu uint8, a, b uint32) (uint32, bool) {
	switch alu {
	case unix.BPF_ADD:
		return a + b, true
	case unix.BPF_SUB:
		return a - b, true
	case unix.BPF_MUL:
		return a * b, true
	case unix.BPF_DIV:
		if b == 0 {
			return 0, false
		}
		return a / b, true
	case unix.BPF_AND:
		return a & b, true
	case unix.BPF_OR:
		return a | b, true
	case unix.BPF_XOR:
		return a ^ b, true
	case unix.BPF_LSH:
		return a << (b & 31), true // the kernel's shifts take the count modulo 32
	default: // BPF_RSH, decodeALU lets nothing else pass
		return a >> (b & 31), true
	}
}
