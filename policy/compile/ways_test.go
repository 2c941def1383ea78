package compile

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// numberProgram is a random program that compares the number, the audit arch and, now and
// then, an argument.
func numberProgram(r *rand.Rand, near []uint32) Program {
	n := 3 + r.IntN(20)
	p := Program{load(wordArch)}
	for i := 1; i < n; i++ {
		left := n - i // to the first of the returns at the end
		far := func() uint8 { return uint8(r.IntN(left)) }
		switch r.IntN(8) {
		case 0:
			p = append(p, load(wordArch))
		case 1, 2:
			p = append(p, load(wordNr))
		case 3:
			p = append(p, jump(int(far())))
		case 4:
			if r.IntN(4) == 0 {
				p = append(p, load(wordLast))
				continue
			}
			fallthrough
		default:
			code := []uint16{unix.BPF_JEQ, unix.BPF_JGT, unix.BPF_JGE}[r.IntN(3)]
			p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | code, Jt: far(), Jf: far(), K: near[r.IntN(len(near))]})
		}
	}
	for range 1 + r.IntN(2) {
		p = append(p, ret([]uint32{retAllow, retKill, retTrace}[r.IntN(3)]))
	}
	return p
}

// TestShippedAreProvenWhole: of no number of a shipped policy, with the guards, some arguments
// are left to probes, one filter is enough, and no call stops for want of a filter that tells
// its arguments apart.
func TestShippedAreProvenWhole(t *testing.T) {
	guards := slices.Concat(builtin(t, "guard-names"), builtin(t, "guard-room"))
	for _, name := range []string{"base", "build", "ci", "compute", "default", "trace-all"} {
		for _, h := range []Holders{{}, {Files: Kernel, Network: Supervisor}, {Files: Kernel, Network: Supervisor, Mounts: true}, {Files: Supervisor, Hides: true, Network: Supervisor, Exec: true}, {Files: Kernel, Memory: true}} {
			for _, report := range []bool{true, false} {
				plan, err := Compile(append(builtin(t, name), guards...), Options{Report: report, Holders: h})
				if err != nil {
					t.Fatal(err)
				}
				if len(plan.Filters) != 1 {
					t.Errorf("%s with %q, report %t: %d filters", name, h, report, len(plan.Filters))
				}
				p := newProver(plan, probesPerCall, nil)
				for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
					for s := range arch.All() {
						p.take(arch.Audit(), s.Nr, arch, s, compatDecides(plan.Set, arch))
						i, marked := plan.marked(arch, s.Nr)
						if marked && i.why == tooMany {
							t.Errorf("%s with %q, report %t: %s of %s stops, since %s", name, h, report, s.Name, arch, tooMany)
						}
						if p.loose = marked; !p.everywhere() {
							t.Errorf("%s with %q, report %t: %s of %s is not", name, h, report, s.Name, arch)
						}
					}
				}
			}
		}
	}
}

// alike is what the programs answer to every call with a number of the span, if it is said
// to be the same.
func alike(machines []machine, audit uint32, s span) (answer uint32, ok bool) {
	some := false
	effort := mostEffort
	w := ways{programs: newRuns(machines, nil).programs, audit: audit, effort: &effort}
	w.end = func(_ *way, got uint32) bool {
		same := !some || got == answer
		answer, some = got, true
		return same
	}
	return answer, w.all(s) && some
}

// TestAlike: what is said of all numbers of a span is so of each.
func TestAlike(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	near := []uint32{0, 1, 2, 59, 400, KillNr - 1, KillNr, KillNr + 1, abi.X32Bit, 1<<31 - 1, 1 << 31, math.MaxUint32 - 1, math.MaxUint32, abi.AuditI386}
	found := 0
	for range 20000 {
		machines := make([]machine, 1+r.IntN(2))
		for i := range machines {
			m, err := decode(numberProgram(r, near))
			if err != nil {
				t.Fatal(err)
			}
			machines[i] = m
		}
		s := span{near[r.IntN(len(near))], near[r.IntN(len(near))]}
		if s.empty() {
			s.first, s.last = s.last, s.first
		}
		answer, ok := alike(machines, abi.AuditI386, s)
		if !ok {
			continue
		}
		found++
		for _, at := range near {
			for _, nr := range []uint32{at - 1, at, at + 1} {
				if nr < s.first || nr > s.last {
					continue
				}
				d := seccompData(abi.AuditI386, nr, &[6]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
				if got := strongest(machines, &d); got != answer {
					t.Fatalf("%v: number %#x gets %s, and all of %#x to %#x are said to get %s", machines, nr, actionName(got), s.first, s.last, actionName(answer))
				}
			}
		}
	}
	if found < 1000 {
		t.Errorf("it was said of %d of 20000", found)
	}
}

// TestBlanket: an ABI that a policy refuses is proven whole, and what is wrong with any
// number of it is found.
func TestBlanket(t *testing.T) {
	for _, name := range []string{"default", "build", "compute"} {
		plan, _, err := build(builtin(t, name), Options{Report: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, arch := range []abi.Arch{abi.I386, abi.X32} {
			for _, s := range numbersOf(arch) {
				if answer, ok := alike(plan.machines, arch.Audit(), s); !ok || answer != retTrace {
					t.Errorf("%s: %s: %t, %s", name, arch, ok, actionName(answer))
				}
			}
		}
		for _, wrong := range []uint32{0, 11, KillNr + 1, 1 << 20, 1 << 31, math.MaxUint32} {
			bad := *plan
			bad.Filters = slices.Clone(plan.Filters)
			bad.Filters[0] = slices.Concat(Program{load(wordArch), unless(unix.BPF_JEQ, abi.AuditI386, 3), load(wordNr), unless(unix.BPF_JEQ, wrong, 1), ret(retAllow)}, plan.Filters[0])
			bad.machines = nil
			if err := bad.decode(); err != nil {
				t.Fatal(err)
			}
			p := newProver(&bad, probesPerCall, nil)
			if p.blanket(abi.AuditI386, abi.I386) {
				t.Errorf("%s: number %#x of i386 is allowed, and that is not found", name, wrong)
			}
		}
	}
}

// TestIs: an answer that is said to be that of a whole region is that of each call in it.
func TestIs(t *testing.T) {
	g := newGenerator(5)
	said, without := 0, 0
	for range 150 {
		set := g.set(t)
		e := expectation{opts: Options{Report: g.IntN(2) == 0, Holders: g.holders()}, effort: new(int)}
		for s := range abi.X86_64.All() {
			e.take(set, abi.X86_64, s.Nr, s, false)
			var b bounds
			if !b.collect(e.number, &e.own) {
				continue
			}
			for range 20 {
				r, inside := policy.Region{}, [][6]uint64{}
				for range 60 {
					args := [6]uint64{}
					for _, reg := range b.regs {
						args[reg] = b.values[reg][g.IntN(len(b.values[reg]))]
					}
					inside = append(inside, args)
				}
				for range g.IntN(3) { // as the first of them has it
					reg := b.regs[g.IntN(len(b.regs))]
					mask := ^uint64(0) << g.IntN(40)
					r.Keep(&policy.Comparison{Reg: reg, Mask: mask &^ r.Mask[reg], Value: inside[0][reg] & mask &^ r.Mask[reg]})
				}
				whole := r
				for range g.IntN(6) { // without what it does not have
					reg := b.regs[g.IntN(len(b.regs))]
					mask := ^uint64(0) << g.IntN(40)
					c := policy.Comparison{Reg: reg, Mask: mask, Value: b.values[reg][g.IntN(len(b.values[reg]))] & mask}
					if inside[0][reg]&mask != c.Value {
						r.Leave(&c)
					}
				}
				is := func(answer uint32, r policy.Region) bool {
					*e.effort = mostEffort
					divisions := mostDivisions
					return e.is(answer, &r, &divisions)
				}
				for _, answer := range []uint32{retAllow, retTrace, e.answer(&inside[0])} {
					if !is(answer, r) {
						continue
					}
					if said++; !is(answer, whole) {
						without++
					}
					for _, args := range inside {
						if contains(&r, &args) && e.answer(&args) != answer {
							t.Fatalf("%s %x gets %s, not %s as all of %x\n%s", s.Name, args, actionName(e.answer(&args)), actionName(answer), r, texts(set))
						}
					}
				}
			}
		}
	}
	if said < 1000 || without < 100 {
		t.Errorf("it was said of %d, and of %d for what is not in them", said, without)
	}
}

func contains(r *policy.Region, args *[6]uint64) bool {
	c := cube{r.Mask, r.Value}
	return c.contains(args) && !slices.ContainsFunc(r.Not, func(n policy.Comparison) bool { return args[n.Reg]&n.Mask == n.Value })
}
