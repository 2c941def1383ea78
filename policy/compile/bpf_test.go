package compile

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// aluOps are the operations on which the two interpreters must agree. Shifts by
// X are left out: x/net's shift out at 32, the kernel's count modulo 32. So is
// negation, which x/net's cannot run. The kernel judges both (judge_test.go).
var aluOps = []uint16{unix.BPF_ADD, unix.BPF_SUB, unix.BPF_MUL, unix.BPF_DIV, unix.BPF_AND, unix.BPF_OR, unix.BPF_XOR, unix.BPF_LSH, unix.BPF_RSH}

// randomInsn is any instruction that seccomp allows, at place i of n.
func randomInsn(r *rand.Rand, i, n int) unix.SockFilter {
	k := uint32(interesting(r))
	left := n - i - 2
	switch r.IntN(10) {
	case 0, 1:
		return load(uint32(r.IntN(16)))
	case 2, 3, 4:
		compare := []uint16{unix.BPF_JEQ, unix.BPF_JGT, unix.BPF_JGE, unix.BPF_JSET}[r.IntN(4)]
		source := []uint16{unix.BPF_K, unix.BPF_X}[r.IntN(2)]
		return unix.SockFilter{Code: unix.BPF_JMP | compare | source, Jt: uint8(r.IntN(left + 1)), Jf: uint8(r.IntN(left + 1)), K: k}
	case 5:
		return jump(r.IntN(left + 1))
	case 6:
		op := aluOps[r.IntN(len(aluOps))]
		if op == unix.BPF_LSH || op == unix.BPF_RSH {
			k %= 32
		}
		return unix.SockFilter{Code: unix.BPF_ALU | op | unix.BPF_K, K: max(k, 1)}
	case 7:
		return unix.SockFilter{Code: unix.BPF_ALU | aluOps[r.IntN(len(aluOps)-2)] | unix.BPF_X}
	case 8:
		cell := uint32(r.IntN(4))
		return unix.SockFilter{Code: []uint16{unix.BPF_ST, unix.BPF_STX, unix.BPF_LD | unix.BPF_MEM, unix.BPF_LDX | unix.BPF_MEM}[r.IntN(4)], K: cell}
	}
	return unix.SockFilter{Code: []uint16{
		unix.BPF_LD | unix.BPF_IMM, unix.BPF_LDX | unix.BPF_IMM, unix.BPF_LD | unix.BPF_W | unix.BPF_LEN,
		unix.BPF_MISC | unix.BPF_TAX, unix.BPF_MISC | unix.BPF_TXA,
		unix.BPF_RET | unix.BPF_A, unix.BPF_RET | unix.BPF_K,
	}[r.IntN(7)], K: k}
}

func randomProgram(r *rand.Rand) Program {
	n := 2 + r.IntN(30)
	p := make(Program, n)
	for i := range n - 1 {
		p[i] = randomInsn(r, i, n)
	}
	p[n-1] = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A}
	return p
}

// xnet is the program in golang.org/x/net's interpreter.
func xnet(t *testing.T, p Program) *bpf.VM {
	raw := make([]bpf.RawInstruction, len(p))
	for i, f := range p {
		raw[i] = bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	insns, all := bpf.Disassemble(raw)
	if !all {
		t.Fatalf("x/net does not know all of %v", p)
	}
	vm, err := bpf.NewVM(insns)
	if err != nil {
		t.Fatalf("x/net refuses %v: %v", p, err)
	}
	return vm
}

// packet is the call's data as x/net's interpreter loads it: it takes 32-bit
// words as big-endian, so each is swapped by itself.
func packet(w *words) []byte {
	var b []byte
	for _, v := range w {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

func TestInterpreterAgreesWithXNet(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	ran := 0
	for range 30000 {
		p := randomProgram(r)
		m, err := decode(p)
		if err != nil {
			if !strings.Contains(err.Error(), "scratch memory") {
				t.Fatalf("%v: %v", p, err)
			}
			continue
		}
		vm := xnet(t, p)
		for range 4 {
			var w words
			for i := range w {
				w[i] = uint32(interesting(r))
			}
			got, _ := m.run(&w, nil)
			want, err := vm.Run(packet(&w))
			if err != nil {
				t.Fatal(err)
			}
			if got != uint32(want) {
				t.Fatalf("%v on %#x: got %#x, x/net has %#x", p, w, got, want)
			}
			ran++
		}
	}
	if ran < 50000 {
		t.Errorf("only %d runs: the generator makes too many programs that are refused", ran)
	}
}

func TestRunTellsWhetherArgumentsMatter(t *testing.T) {
	for word := range uint32(16) {
		m, err := decode(Program{load(word), {Code: unix.BPF_RET | unix.BPF_A}})
		if err != nil {
			t.Fatal(err)
		}
		if _, looked := m.run(&words{}, nil); looked != (word > wordArch) {
			t.Errorf("a load of word %d counts as a look at arguments: %v", word, looked)
		}
	}
}

func TestShiftsByXCountModulo32(t *testing.T) {
	p := Program{
		{Code: unix.BPF_LD | unix.BPF_IMM, K: 3}, {Code: unix.BPF_LDX | unix.BPF_IMM, K: 33},
		{Code: unix.BPF_ALU | unix.BPF_LSH | unix.BPF_X}, {Code: unix.BPF_RET | unix.BPF_A},
	}
	m, err := decode(p)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := m.run(&words{}, nil); got != 6 {
		t.Errorf("3 << 33 = %d, the kernel's ALU makes it 6", got)
	}
}

func TestDecodeRefusesWhatTheKernelRefuses(t *testing.T) {
	allow := ret(retAllow)
	for name, p := range map[string]Program{
		"instructions":                 {},
		"does not return":              {load(0)},
		"jumps past the end":           {unless(unix.BPF_JEQ, 1, 1), allow},
		"loads offset 64":              {load(16), allow},
		"loads offset 2":               {{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 2}, allow},
		"scratch cell 16":              {{Code: unix.BPF_ST, K: 16}, allow},
		"scratch memory that was not":  {{Code: unix.BPF_LD | unix.BPF_MEM, K: 1}, allow},
		"divides by zero":              {{Code: unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K}, allow},
		"shifts by 32":                 {{Code: unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K, K: 32}, allow},
		"which seccomp does not take":  {{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS}, allow},
		"opcode 0x94":                  {{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: 1}, allow},
		"opcode 0xb1":                  {{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH}, allow},
		"opcode 0x615":                 {{Code: 0x615}, allow},
		"jumps past the end (always)":  {jump(1), allow},
		"jumps past the end (by 2^32)": {jump(-1), allow},
	} {
		want, _, _ := strings.Cut(name, " (")
		if _, err := decode(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestDecodeRefusesLongPrograms(t *testing.T) {
	p := make(Program, maxInsns+1)
	for i := range p {
		p[i] = ret(retAllow)
	}
	if _, err := decode(p); err == nil {
		t.Error("4097 instructions pass")
	}
}
