package compile

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// rawCall is a call as testdata/judge.c makes it. Its registers have 64 bits at
// int $0x80 too, and so has struct seccomp_data then: only what the call does
// with them is cut to 32.
type rawCall struct {
	nr    uint32
	int80 uint32 // 1: by int $0x80, else by syscall
	args  [6]uint64
}

func (c *rawCall) audit() uint32 {
	if c.int80 != 0 {
		return abi.AuditI386
	}
	return abi.AuditX86_64
}

// kernel is the real one, asked through testdata/judge.c.
type kernel struct {
	in  *bufio.Writer
	out io.Reader
}

// newKernel builds and starts the judge.
func newKernel(t *testing.T) *kernel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "judge")
	if out, err := exec.Command("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", file, "testdata/judge.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	cmd := exec.Command(file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("judge: %v", err)
		}
	})
	return &kernel{in: bufio.NewWriterSize(in, 1<<16), out: bufio.NewReaderSize(out, 1<<16)}
}

// returns is what each call returns under filters installed in this order,
// whose answers are all ERRNO or harmless; killed where a filter killed.
func (k *kernel) returns(t *testing.T, filters []Program, calls []rawCall) []int32 {
	t.Helper()
	b := binary.NativeEndian.AppendUint32(nil, uint32(len(filters)))
	b = binary.NativeEndian.AppendUint32(b, uint32(len(calls)))
	for _, p := range filters {
		b = binary.NativeEndian.AppendUint32(b, uint32(len(p)))
		for _, f := range p {
			b = binary.NativeEndian.AppendUint16(b, f.Code)
			b = append(b, f.Jt, f.Jf)
			b = binary.NativeEndian.AppendUint32(b, f.K)
		}
	}
	for i := range calls {
		c := &calls[i]
		b = binary.NativeEndian.AppendUint32(b, c.nr)
		b = binary.NativeEndian.AppendUint32(b, c.int80)
		for _, a := range c.args {
			b = binary.NativeEndian.AppendUint64(b, a)
		}
	}
	// The judge writes nothing before it has read the whole job.
	if _, err := k.in.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := k.in.Flush(); err != nil {
		t.Fatal(err)
	}
	out := make([]int32, len(calls))
	if err := binary.Read(k.out, binary.NativeEndian, out); err != nil {
		t.Fatalf("the judge ended: %v", err)
	}
	return out
}

// killed is KILLED of testdata/judge.c.
const killed = 1

const firstTag = 1000 // an errno that no call returns by itself

// tagged is the program with each answer replaced by an ERRNO of its own, so
// that nothing executes, and the answers by tag.
func tagged(p Program) (Program, []uint32) {
	out := append(Program(nil), p...)
	var answers []uint32
	for i := range out {
		if out[i].Code != unix.BPF_RET|unix.BPF_K {
			continue
		}
		tag := 0
		for tag < len(answers) && answers[tag] != out[i].K {
			tag++
		}
		if tag == len(answers) {
			answers = append(answers, out[i].K)
		}
		out[i].K = unix.SECCOMP_RET_ERRNO | uint32(firstTag+tag)
	}
	return out, answers
}

// answers is what the kernel's own interpretation of a program answers.
func (k *kernel) answers(t *testing.T, p Program, calls []rawCall) []uint32 {
	t.Helper()
	prog, byTag := tagged(p)
	out := make([]uint32, len(calls))
	for i, r := range k.returns(t, []Program{prog}, calls) {
		tag := int(-r) - firstTag
		if tag < 0 || tag >= len(byTag) {
			t.Fatalf("call %+v returned %d, which is no tag", calls[i], r)
		}
		out[i] = byTag[tag]
	}
	return out
}

// judgedCases is how many (policies, call) cases the three judges see.
const judgedCases = 200_000

func TestThreeJudgesAgree(t *testing.T) {
	k := newKernel(t)
	g := newGenerator(1)
	cases, answers := 0, map[uint32]int{}
	for cases < judgedCases {
		set := g.set(t)
		opts := Options{Report: g.IntN(3) == 0, Holders: g.holders()}
		plan, groups, err := build(set, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := prove(plan, groups, 4*probesPerCall, nil); err != nil {
			t.Fatalf("%v\n%s", err, texts(set))
		}
		calls := g.calls(plan, 1500)
		byKernel := make([]uint32, len(calls))
		for i := range byKernel {
			byKernel[i] = retAllow
		}
		for f := range plan.Filters {
			for i, a := range k.answers(t, plan.Filters[f], calls) {
				d := seccompData(calls[i].audit(), calls[i].nr, &calls[i].args)
				if own, _ := plan.machines[f].run(&d, nil); own != a {
					t.Fatalf("filter %d, %+v: the interpreter answers %s, the kernel %s", f, calls[i], actionName(own), actionName(a))
				}
				if restricts(a, byKernel[i]) {
					byKernel[i] = a
				}
			}
		}
		for i := range calls {
			answers[byKernel[i]&unix.SECCOMP_RET_ACTION_FULL]++
			plan.judge(t, &calls[i], byKernel[i])
		}
		cases += len(calls)
	}
	for _, a := range []uint32{retAllow, unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_ERRNO, retKill} {
		if answers[a] < cases/100 {
			t.Errorf("only %d of %d calls were answered %s: the cases are lopsided", answers[a], cases, actionName(a))
		}
	}
}

// texts is the policies as the language prints them.
func texts(set policy.Set) string {
	var b strings.Builder
	for _, p := range set {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// judge compares the kernel's answer with the reference.
func (p *Plan) judge(t *testing.T, c *rawCall, got uint32) {
	t.Helper()
	arch, _ := abi.Of(c.audit(), uint64(c.nr))
	call := abi.Call{Arch: arch, Nr: c.nr, Args: c.args}
	want := Expect(p.Set, p.opts, c.audit(), call)
	if _, loose := p.marked(arch, c.nr); got != want && !(got == retTrace && loose) {
		t.Fatalf("%+v: the kernel answers %s, wanted is %s", call, actionName(got), actionName(want))
	}
	if own := p.Answer(call); own != got {
		t.Fatalf("%+v: Answer says %s, the kernel %s", call, actionName(own), actionName(got))
	}
}

// calls are ones at and around all that the policies name, and some others.
func (g *generator) calls(p *Plan, n int) []rawCall {
	var named, out []rawCall
	for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
		for s := range arch.All() {
			if arch == abi.X86_64 && uprobe(s.Nr) {
				continue
			}
			c := rawCall{nr: s.Nr}
			if arch == abi.I386 {
				c.int80 = 1
			}
			var b bounds
			own := exceptionsOf(s, &p.opts)
			if !b.collect(p.Set.On(arch, s.Nr, nil), &own) {
				continue
			}
			for range 40 {
				for r := range c.args {
					c.args[r] = interesting(g.Rand)
					if vs := b.values[r]; len(vs) > 0 && g.IntN(8) > 0 {
						c.args[r] = vs[g.IntN(len(vs))]
					}
				}
				named = append(named, c)
			}
		}
	}
	for range n {
		if len(named) > 0 && g.IntN(4) > 0 {
			out = append(out, named[g.IntN(len(named))])
			continue
		}
		out = append(out, g.anyCall())
	}
	return out
}

// edgeNumbers are where a comparison could go wrong by one, by the sign or by
// x32's bit.
var edgeNumbers = []uint32{
	KillNr - 1, KillNr, KillNr + 1, abi.X32Bit - 1, abi.X32Bit, abi.X32Bit + 511, abi.X32Bit + 1023,
	abi.X32Bit | KillNr, 1<<31 - 1, 1 << 31, 1<<31 + 59, 1<<31 | abi.X32Bit, 1<<32 - 2, 1<<32 - 1,
}

// anyCall is any number, in the tables or not, with any arguments.
func (g *generator) anyCall() rawCall {
	c := rawCall{nr: uint32(g.IntN(600)), int80: uint32(g.IntN(2))}
	switch g.IntN(6) {
	case 0:
		c.nr |= abi.X32Bit
	case 1:
		c.nr = edgeNumbers[g.IntN(len(edgeNumbers))]
	}
	if c.int80 == 0 && uprobe(c.nr) {
		c.nr = 0
	}
	for r := range c.args {
		c.args[r] = interesting(g.Rand)
	}
	return c
}

// uprobe says whether a number of x86_64 goes around seccomp: uretprobe and
// uprobe, which the kernel's own trampolines call, are let through before any
// filter is run (since Linux 6.14, and 6.18 for uprobe). Called from elsewhere they
// raise SIGILL.
func uprobe(nr uint32) bool { return nr == 335 || nr == 336 }

// TestKernelRunsEveryInstructionAsWeDo has the kernel run random programs, with
// the shifts and negations that x/net's interpreter cannot judge.
func TestKernelRunsEveryInstructionAsWeDo(t *testing.T) {
	k := newKernel(t)
	r := rand.New(rand.NewPCG(9, 10))
	for range 400 {
		p := errnoProgram(r)
		m, err := decode(p)
		if err != nil {
			continue
		}
		calls := make([]rawCall, 20)
		for i := range calls {
			calls[i] = (&generator{Rand: r}).anyCall()
		}
		for i, got := range k.returns(t, []Program{p}, calls) {
			d := seccompData(calls[i].audit(), calls[i].nr, &calls[i].args)
			want, _ := m.run(&d, nil)
			if uint32(-got) != want&unix.SECCOMP_RET_DATA {
				t.Fatalf("%v on %+v: the kernel's errno is %d, ours %d", p, calls[i], -got, want&unix.SECCOMP_RET_DATA)
			}
		}
	}
}

// errnoProgram is a random program that answers ERRNO with 11 bits of what it
// calculated. It loads nothing of the instruction pointer, which we do not know.
func errnoProgram(r *rand.Rand) Program {
	p := Program{{Code: unix.BPF_LDX | unix.BPF_IMM, K: uint32(interesting(r))}}
	for i := range 30 {
		f := randomInsn(r, i, 31) // jumps no further than the AND below
		switch r.IntN(8) {
		case 0:
			f = unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_NEG}
		case 1:
			f = unix.SockFilter{Code: unix.BPF_ALU | []uint16{unix.BPF_LSH, unix.BPF_RSH}[r.IntN(2)] | unix.BPF_X}
		}
		if f.Code == unix.BPF_LD|unix.BPF_W|unix.BPF_ABS && (f.K == 8 || f.K == 12) {
			f.K = 16
		}
		if f.Code&7 == unix.BPF_RET {
			f = unix.SockFilter{Code: unix.BPF_MISC | unix.BPF_TAX}
		}
		// No division by X: by zero it ends the program with 0, which kills.
		if f.Code == unix.BPF_ALU|unix.BPF_DIV|unix.BPF_X {
			f.Code = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X
		}
		p = append(p, f)
	}
	return append(p,
		unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 2047},
		unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_OR | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | 1},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A})
}

// TestKernelStacksFiltersAsWeDo: the most restrictive answer wins, of equal
// ones the last installed filter's.
func TestKernelStacksFiltersAsWeDo(t *testing.T) {
	const getppid = 110
	k := newKernel(t)
	all := []uint32{retAllow, retTrace, unix.SECCOMP_RET_ERRNO | 1001, unix.SECCOMP_RET_ERRNO | 1002, retKill}
	for _, first := range all {
		for _, last := range all {
			var filters []Program
			var machines []machine
			for _, a := range []uint32{first, last} {
				p := Program{load(wordNr), unless(unix.BPF_JEQ, getppid, 1), ret(a), ret(retAllow)}
				m, err := decode(p)
				if err != nil {
					t.Fatal(err)
				}
				filters, machines = append(filters, p), append(machines, m)
			}
			got := k.returns(t, filters, []rawCall{{nr: getppid}})[0]
			want := strongest(machines, &words{wordNr: getppid})
			if !looksLike(got, want) {
				t.Errorf("%s, then %s: the call returned %d, we say %s", actionName(first), actionName(last), got, actionName(want))
			}
		}
	}
}

// looksLike says whether getppid's return value tells of an answer. Without a
// tracer TRACE fails with ENOSYS (seccomp(2)).
func looksLike(returned int32, answer uint32) bool {
	switch answer & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return returned > killed
	case unix.SECCOMP_RET_TRACE:
		return returned == -int32(unix.ENOSYS)
	case unix.SECCOMP_RET_ERRNO:
		return returned == -int32(answer&unix.SECCOMP_RET_DATA)
	}
	return returned == killed
}
