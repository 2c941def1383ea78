package compile

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// probesPerCall bounds the proof's combinations of arguments for one call.
const probesPerCall = 256

// mostDivisions bounds how far one way's calls are divided to know their verdicts.
const mostDivisions = 64

// Counterexample is a call that the programs answer otherwise than they
// should: a bug in this package or in libseccomp, never a user's mistake.
type Counterexample struct {
	Audit  uint32
	Call   abi.Call
	Name   string // "" if no table has the number
	Wanted uint32
	Got    uint32
	By     string // what decides the call in the policies
}

func (c *Counterexample) Error() string {
	name := c.Name
	if name == "" {
		name = "unknown call"
	}
	args := make([]string, len(c.Call.Args))
	for i, a := range c.Call.Args {
		args[i] = fmt.Sprintf("%#x", a)
	}
	return fmt.Sprintf("the compiled filter is wrong (a bug in callgate or libseccomp): %s %s (number %d, audit arch %#x) with arguments %s gets %s, but %s wants %s",
		c.Call.Arch, name, c.Call.Nr, c.Audit, strings.Join(args, ", "), actionName(c.Got), c.By, actionName(c.Wanted))
}

// prover compares the programs with the reference, call by call.
type prover struct {
	plan  *Plan
	depth int

	// The number at hand.
	arch   abi.Arch
	nr     uint32
	entry  *abi.Syscall // nil if its table lacks it
	loose  bool         // it may be traced without need
	killed bool         // no policy is asked: it is KillNr, or of an arch that the host has not
	runs   *runs
	ways   ways // of the number
	whole  ways // of any number
	wanted expectation

	effort int // that is left: see mostEffort
	bounds bounds
}

func newProver(plan *Plan, depth int, seen [][]bool) *prover {
	p := &prover{plan: plan, depth: depth, runs: newRuns(plan.machines, seen), wanted: expectation{opts: plan.opts}, effort: mostEffort}
	p.wanted.effort, p.ways.effort, p.whole.effort = &p.effort, &p.effort, &p.effort
	p.whole.programs = newRuns(plan.machines, seen).programs
	p.ways.programs = p.runs.programs
	p.ways.Not = make([]policy.Comparison, 0, 64)
	p.ways.end = func(w *way, got uint32) bool {
		divisions := mostDivisions
		return got == retTrace && p.loose || p.wanted.is(got, &w.Region, &divisions)
	}
	return p
}

// prove compares the plan's programs with the reference on every number of every ABI's
// table, on numbers and audit archs beside them, and for all arguments that conditions
// tell apart. seen, if not nil, gets a true for each instruction, by program, that this
// executed.
//
// A number without conditions takes one probe: no program may look at the arguments. For
// one with conditions the programs are followed along every way that its calls can take
// (ways.go), and each is held against the reference as a whole. A number for which that
// shows nothing is probed instead: with the boundary values of all conditions, at most
// depth combinations of them, and around what the rules were compiled to.
//
// Numbers that the table lacks are followed at once, and so are all of an ABI's where
// compat answers them alike, and those of an arch that the host has not. Of those for which
// that shows nothing, some are probed.
//
// With a depth of 0, for programs that are not known to be compiled from the rules, what
// following does not show is refused, and calls with conditions may be traced without need.
func prove(plan *Plan, groups []*group, depth int, seen [][]bool) error {
	if slices.ContainsFunc(plan.machines, machine.asksWhence) {
		return errors.New("the compiled filter is wrong (a bug in callgate or libseccomp): it looks at the instruction pointer")
	}
	p := newProver(plan, depth, seen)
	for _, g := range groups {
		for _, part := range g.parts {
			if blanketed(plan.Set, part.arch) && p.blanket(g.audit, part.arch) {
				continue
			}
			if err := p.table(g.audit, part); err != nil {
				return err
			}
			if err := p.unlisted(g.audit, part); err != nil {
				return err
			}
		}
		p.take(g.audit, KillNr, g.parts[0].arch, nil, false)
		if err := p.anyArgs(); err != nil {
			return err
		}
	}
	return p.foreign(groups)
}

// take makes a number the one at hand.
func (p *prover) take(audit, nr uint32, arch abi.Arch, entry *abi.Syscall, ruled bool) {
	p.arch, p.nr, p.entry, p.loose = arch, nr, entry, false
	p.killed = arch == 0 || nr == KillNr
	if p.depth > 0 {
		p.effort = mostEffort
	}
	if !p.killed {
		p.wanted.take(p.plan.Set, arch, nr, entry, ruled)
	}
	p.runs.take(audit, nr)
}

// table probes the numbers of one ABI.
func (p *prover) table(audit uint32, part *part) error {
	ruled := compatDecides(p.plan.Set, part.arch)
	rest := part.calls
	for s := range part.arch.All() {
		for len(rest) > 0 && rest[0].nr < s.Nr {
			rest = rest[1:]
		}
		p.take(audit, s.Nr, part.arch, s, ruled)
		var compiled *call
		if len(rest) > 0 && rest[0].nr == s.Nr {
			compiled = &rest[0]
			p.loose = compiled.why != ""
		}
		if err := p.number(compiled); err != nil {
			return err
		}
	}
	return nil
}

// blanket says whether the programs answer all numbers of an ABI as they shall, where that
// is the same for all. If not, the numbers are proven one by one, to tell which.
func (p *prover) blanket(audit uint32, arch abi.Arch) bool {
	want := p.unknown(audit, arch)
	return !slices.ContainsFunc(numbersOf(arch), func(s span) bool { return !p.alike(audit, s, want) })
}

// unknown is the answer to a number that an ABI's table lacks.
func (p *prover) unknown(audit uint32, arch abi.Arch) uint32 {
	p.take(audit, unknownNr(arch), arch, nil, true)
	return p.wanted.answer(&[6]uint64{})
}

// alike says whether the programs give this answer to all numbers of a span.
func (p *prover) alike(audit uint32, s span, want uint32) bool {
	p.whole.audit = audit
	p.whole.end = func(_ *way, got uint32) bool { return got == want }
	return p.whole.all(s)
}

// number proves the number at hand, compiled being what it was compiled to if that is known.
func (p *prover) number(compiled *call) error {
	divided := p.wanted.divides()
	p.loose = p.loose || divided && p.depth == 0
	if err := p.probe(&[6]uint64{}); err != nil {
		return err
	}
	switch {
	case !divided:
		p.plan.hinges = p.plan.hinges || p.loose
		return p.blind()
	case p.everywhere():
		return nil
	case p.depth == 0:
		return notShown(p.runs.data[wordArch], span{p.nr, p.nr})
	}
	p.plan.hinges = true
	if err := p.probe(&p.wanted.doubt); err != nil {
		return err
	}
	var failed error
	p.bounds.collect(p.wanted.number, &p.wanted.own)
	p.bounds.each(p.depth, func(args *[6]uint64) bool {
		failed = p.probe(args)
		return failed == nil
	})
	if failed != nil || compiled == nil {
		return failed
	}
	return p.cubes(compiled.cubes(), p.depth)
}

// notShown is why programs that may be anybody's are refused.
func notShown(audit uint32, s span) error {
	return fmt.Errorf("the programs are not shown to be right for all calls with numbers from %d to %d of audit arch %#x", s.first, s.last, audit)
}

// everywhere says whether the programs are shown to be right for all arguments.
func (p *prover) everywhere() bool {
	p.ways.audit = p.runs.data[wordArch]
	return p.ways.all(span{p.nr, p.nr})
}

// cubes probes inside and just outside of every cube that the rules on a number
// were made from: with its free bits all zero and all one, and with each fixed
// bit flipped while all others are right, about depth of these.
func (p *prover) cubes(list []cube, depth int) error {
	var failed error
	try := func(args *[6]uint64) bool {
		failed = p.probe(args)
		return failed == nil
	}
	step := 1 + fixedBits(list)/depth
	for i := range list {
		if !list[i].corners(i%step, step, try) {
			break
		}
	}
	return failed
}

// probe compares one call of the number.
func (p *prover) probe(args *[6]uint64) error {
	got, want := p.runs.answer(args), uint32(retKill)
	if !p.killed {
		want = p.wanted.answer(args)
	}
	if got == want || got == retTrace && p.loose {
		return nil
	}
	c := abi.Call{Arch: p.arch, Nr: p.nr, Args: *args}
	bad := &Counterexample{Audit: p.runs.data[wordArch], Call: c, Wanted: want, Got: got, By: p.decidedBy(c)}
	if p.entry != nil {
		bad.Name = p.entry.Name
	}
	return bad
}

// decidedBy says what in the policies decides a call.
func (p *prover) decidedBy(c abi.Call) string {
	v := p.plan.Set.Decide(c)
	if v.Rule != nil {
		return v.Rule.Pos.Place()
	}
	name := "the policy"
	if v.Policy != nil {
		name = v.Policy.Name
	}
	switch v.Cause {
	case policy.ByCompat:
		return name + "'s compat line"
	case policy.ByUnknown:
		return name + "'s default for unknown numbers"
	case policy.ByForeign:
		return "callgate, which does not know this ABI,"
	}
	return name + "'s default"
}

// unlisted proves the numbers of an ABI that its table lacks, which are all answered
// alike.
func (p *prover) unlisted(audit uint32, part *part) error {
	want := p.unknown(audit, part.arch)
	for _, s := range part.unlisted() {
		if p.alike(audit, s, want) {
			continue
		}
		if p.depth == 0 {
			return notShown(audit, s)
		}
		p.plan.hinges = true
		for _, nr := range p.within(s) {
			p.take(audit, nr, part.arch, nil, compatDecides(p.plan.Set, part.arch))
			if err := p.anyArgs(); err != nil {
				return err
			}
		}
	}
	return nil
}

// within is numbers of a span, one of each run that the programs' comparisons tell apart.
func (p *prover) within(s span) []uint32 {
	nrs := []uint32{s.first, s.first + (s.last-s.first)/2, s.last}
	for _, m := range p.plan.machines {
		for i := range m {
			if m[i].op >= opJeqK && m[i].op <= opJgeK {
				nrs = append(nrs, m[i].k-1, m[i].k, m[i].k+1)
			}
		}
	}
	nrs = slices.DeleteFunc(nrs, func(nr uint32) bool { return nr < s.first || nr > s.last })
	slices.Sort(nrs)
	return slices.Compact(nrs)
}

// anyArgs probes a number on which no policy has conditions.
func (p *prover) anyArgs() error {
	if err := p.probe(&[6]uint64{}); err != nil {
		return err
	}
	return p.blind()
}

// blind refuses a program that looks at the arguments of a number on which no
// policy has conditions. If none looks, one probe has shown the answer for all.
func (p *prover) blind() error {
	if !p.runs.looked {
		return nil
	}
	return fmt.Errorf("the compiled filter is wrong (a bug in callgate or libseccomp): "+
		"it looks at the arguments of number %d of audit arch %#x, on which no policy has conditions", p.nr, p.runs.data[wordArch])
}

// foreign proves audit archs that the host has not.
func (p *prover) foreign(groups []*group) error {
	every := span{0, math.MaxUint32}
	for _, audit := range foreignArchs(groups) {
		if p.alike(audit, every, retKill) {
			continue
		}
		if p.depth == 0 {
			return notShown(audit, every)
		}
		p.plan.hinges = true
		for _, nr := range [...]uint32{0, 1, 59, 221, KillNr, abi.X32Bit, 1<<32 - 1} {
			p.take(audit, nr, 0, nil, false)
			if err := p.anyArgs(); err != nil {
				return err
			}
		}
	}
	return nil
}

// foreignArchs are audit archs that are none of the groups', and neighbours of
// those.
func foreignArchs(groups []*group) []uint32 {
	archs := []uint32{0, 1<<32 - 1, unix.AUDIT_ARCH_PPC64LE, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64,
		abi.AuditX86_64, abi.AuditI386, abi.AuditAArch64}
	for _, g := range groups {
		archs = append(archs, g.audit-1, g.audit+1, g.audit^1<<31, g.audit^1<<30)
	}
	var out []uint32
	for _, a := range archs {
		own := false
		for _, g := range groups {
			own = own || g.audit == a
		}
		if !own {
			out = append(out, a)
		}
	}
	return out
}
