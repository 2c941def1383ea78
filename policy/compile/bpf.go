package compile

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// words is struct seccomp_data as the sixteen 32-bit words that a filter can
// load, in the byte order of the machine (little-endian on all that callgate
// runs on): nr, arch, the instruction pointer's halves, then each argument's
// low and high half.
type words [16]uint32

const (
	wordNr   = 0
	wordArch = 1
	wordArgs = 4 // the first word that belongs to an argument
	wordLast = 15
)

func seccompData(audit, nr uint32, args *[6]uint64) words {
	w := words{wordNr: nr, wordArch: audit}
	w.arguments(args)
	return w
}

func (w *words) arguments(args *[6]uint64) {
	for i, a := range args {
		w[wordArgs+2*i], w[wordArgs+2*i+1] = uint32(a), uint32(a>>32)
	}
}

// op is an instruction in the decoded program: exactly the ones that
// seccomp_check_filter (kernel/seccomp.c) lets pass.
type op uint8

const (
	opLoad  op = iota // A = word K (decoded from a byte offset)
	opImm             // A = K
	opImmX            // X = K
	opMem             // A = M[K]
	opMemX            // X = M[K]
	opStore           // M[K] = A
	opStoreX
	opTAX
	opTXA
	opRetK
	opRetA
	opJump
	opJeqK
	opJgtK
	opJgeK
	opJsetK
	opJeqX
	opJgtX
	opJgeX
	opJsetX
	opNeg
	opAluK // the operation is alu's
	opAluX
)

type inst struct {
	op     op
	alu    uint8 // BPF_ADD .. BPF_XOR for opAluK and opAluX
	jt, jf uint8
	k      uint32
}

// machine is a checked, decoded program.
type machine []inst

// Limits of the kernel: BPF_MAXINSNS, and MAX_INSNS_PER_PATH with the penalty
// of four for each filter (kernel/seccomp.c).
const (
	maxInsns      = 4096
	maxTotalInsns = (1 << 18) / 8
	filterPenalty = 4
)

// errTooLong is a plan that the kernel would not take for its length.
var errTooLong = errors.New("program length")

// decode checks a program as bpf_check_classic, check_load_and_stores and
// seccomp_check_filter do, and refuses what they would.
func decode(p Program) (machine, error) {
	if len(p) == 0 || len(p) > maxInsns {
		return nil, fmt.Errorf("%w: %d instructions, the kernel takes 1 to %d", errTooLong, len(p), maxInsns)
	}
	m := make(machine, len(p))
	for i, f := range p {
		in, err := decodeOne(f)
		if err == nil {
			err = checkTarget(in, i, len(p))
		}
		if err != nil {
			return nil, fmt.Errorf("instruction %d: %w", i, err)
		}
		m[i] = in
	}
	if last := m[len(m)-1].op; last != opRetK && last != opRetA {
		return nil, errors.New("the last instruction does not return")
	}
	return m, m.checkMemory()
}

func checkTarget(in inst, at, n int) error {
	far := uint64(0)
	switch {
	case in.op == opJump:
		far = uint64(in.k)
	case in.op >= opJeqK && in.op <= opJsetX:
		far = uint64(max(in.jt, in.jf))
	default:
		return nil
	}
	if uint64(at)+far+1 >= uint64(n) {
		return errors.New("jumps past the end")
	}
	return nil
}

// checkMemory refuses a program that reads a scratch cell which some path to
// it has not written (check_load_and_stores, net/core/filter.c).
func (m machine) checkMemory() error {
	masks := make([]uint16, len(m))
	for i := range masks {
		masks[i] = ^uint16(0)
	}
	valid := uint16(0)
	for pc, in := range m {
		valid &= masks[pc]
		switch {
		case in.op == opStore || in.op == opStoreX:
			valid |= 1 << in.k
		case in.op == opMem || in.op == opMemX:
			if valid&(1<<in.k) == 0 {
				return fmt.Errorf("instruction %d: reads scratch memory that was not written", pc)
			}
		case in.op == opJump:
			masks[pc+1+int(in.k)] &= valid
			valid = ^uint16(0)
		case in.op >= opJeqK && in.op <= opJsetX:
			masks[pc+1+int(in.jt)] &= valid
			masks[pc+1+int(in.jf)] &= valid
			valid = ^uint16(0)
		}
	}
	return nil
}

// plain are the instructions that stand for one op whatever K is.
var plain = [...]struct {
	code uint16
	op   op
}{
	{unix.BPF_LD | unix.BPF_IMM, opImm},
	{unix.BPF_LDX | unix.BPF_IMM, opImmX},
	{unix.BPF_MISC | unix.BPF_TAX, opTAX},
	{unix.BPF_MISC | unix.BPF_TXA, opTXA},
	{unix.BPF_RET | unix.BPF_K, opRetK},
	{unix.BPF_RET | unix.BPF_A, opRetA},
	{unix.BPF_JMP | unix.BPF_JA, opJump},
	{unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, opJeqK},
	{unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, opJgtK},
	{unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, opJgeK},
	{unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, opJsetK},
	{unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X, opJeqX},
	{unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X, opJgtX},
	{unix.BPF_JMP | unix.BPF_JGE | unix.BPF_X, opJgeX},
	{unix.BPF_JMP | unix.BPF_JSET | unix.BPF_X, opJsetX},
	{unix.BPF_ALU | unix.BPF_NEG, opNeg},
}

func decodeOne(f unix.SockFilter) (inst, error) {
	in := inst{jt: f.Jt, jf: f.Jf, k: f.K}
	for _, p := range plain {
		if p.code == f.Code {
			in.op = p.op
			return in, nil
		}
	}
	switch f.Code {
	case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
		if f.K%4 != 0 || f.K >= 64 {
			return in, fmt.Errorf("loads offset %d of struct seccomp_data", f.K)
		}
		in.op, in.k = opLoad, f.K/4
		return in, nil
	case unix.BPF_LD | unix.BPF_W | unix.BPF_LEN:
		in.op, in.k = opImm, 64 // sizeof(struct seccomp_data)
		return in, nil
	case unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN:
		in.op, in.k = opImmX, 64
		return in, nil
	case unix.BPF_LD | unix.BPF_MEM, unix.BPF_LDX | unix.BPF_MEM, unix.BPF_ST, unix.BPF_STX:
		return decodeMemory(in, f)
	}
	return decodeALU(in, f)
}

func decodeMemory(in inst, f unix.SockFilter) (inst, error) {
	if f.K >= 16 { // BPF_MEMWORDS
		return in, fmt.Errorf("scratch cell %d, there are 16", f.K)
	}
	switch f.Code {
	case unix.BPF_LD | unix.BPF_MEM:
		in.op = opMem
	case unix.BPF_LDX | unix.BPF_MEM:
		in.op = opMemX
	case unix.BPF_ST:
		in.op = opStore
	default:
		in.op = opStoreX
	}
	return in, nil
}

func decodeALU(in inst, f unix.SockFilter) (inst, error) {
	if f.Code&7 != unix.BPF_ALU || f.Code > 0xff {
		return in, unknownOpcode(f.Code)
	}
	in.alu = uint8(f.Code & 0xf0)
	in.op = opAluK
	if f.Code&unix.BPF_X != 0 {
		in.op = opAluX
	}
	switch in.alu {
	case unix.BPF_ADD, unix.BPF_SUB, unix.BPF_MUL, unix.BPF_AND, unix.BPF_OR, unix.BPF_XOR:
	case unix.BPF_DIV:
		if in.op == opAluK && f.K == 0 {
			return in, errors.New("divides by zero")
		}
	case unix.BPF_LSH, unix.BPF_RSH:
		if in.op == opAluK && f.K >= 32 {
			return in, errors.New("shifts by 32 or more")
		}
	default:
		return in, unknownOpcode(f.Code)
	}
	return in, nil
}

func unknownOpcode(code uint16) error {
	return fmt.Errorf("opcode %#x, which seccomp does not take", code)
}
