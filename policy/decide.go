package policy

import (
	"slices"

	"callgate/policy/abi"
)

// Decide is the verdict of several policies at once: the most restrictive
// one, and of equally restrictive ones the first. It depends on nothing but
// the call. A set of no policies kills: nobody has permitted anything.
func (s Set) Decide(c abi.Call) Verdict {
	if len(s) == 0 {
		return Verdict{Action: Kill, Cause: ByDefault}
	}
	worst := s[0].Decide(c)
	for _, p := range s[1:] {
		if v := p.Decide(c); v.Action > worst.Action {
			worst = v
		}
	}
	return worst
}

// Decide is the verdict of one policy: what its `compat` says of the call's
// ABI, else the first rule that matches, else its default. It allocates
// nothing and may be called from several goroutines.
func (p *Policy) Decide(c abi.Call) Verdict {
	t := p.table(c.Arch)
	if t == nil {
		return p.restVerdict(restForeign, c.Arch)
	}
	e := t.entry(c.Arch, c.Nr)
	if r := firstHolding(t.clauses[e.from:e.to], &c.Args); r != nil {
		return p.ruleVerdict(r)
	}
	return p.restVerdict(e.rest, c.Arch)
}

// DefaultFor is the verdict on a number where none of its Clauses holds.
func (p *Policy) DefaultFor(a abi.Arch, nr uint32) Verdict {
	t := p.table(a)
	if t == nil {
		return p.restVerdict(restForeign, a)
	}
	return p.restVerdict(t.entry(a, nr).rest, a)
}

func (p *Policy) ruleVerdict(r *Rule) Verdict {
	return Verdict{Action: r.Action, Errno: r.Errno, Value: r.Value, Policy: p, Rule: r}
}

func (p *Policy) restVerdict(r rest, a abi.Arch) Verdict {
	v := Verdict{Action: p.Default, Policy: p, Cause: ByDefault}
	switch r {
	case restAllow:
		v.Action = Allow
	case restUnknown:
		v.Cause, v.Errno = ByUnknown, errnoENOSYS
	case restCompat:
		v.Action, v.Cause, v.Errno = Kill, ByCompat, errnoENOSYS
		if p.compat(a) == CompatDeny {
			v.Action = Deny
		}
	case restForeign:
		v.Action, v.Cause = Kill, ByForeign
	case restDefault:
		v.Errno = p.Errno
	}
	if v.Action != Deny && v.Action != Ask {
		v.Errno = 0
	}
	return v
}

// firstHolding is the rule of the first clause that holds, nil if none does.
func firstHolding(clauses []Clause, args *[6]uint64) *Rule {
	for i := range clauses {
		if clauses[i].Holds(args) {
			return clauses[i].Rule
		}
	}
	return nil
}

// Holds says whether the clause's rule matches a call with these argument
// registers.
func (c *Clause) Holds(args *[6]uint64) bool {
	for i := range c.Conds {
		if !c.Conds[i].Holds(args) {
			return false
		}
	}
	return true
}

// Holds says whether the parameter's value is one that the condition asks for.
func (c *Cond) Holds(args *[6]uint64) bool {
	v := c.Param.Value(args)
	for i := range c.Tests {
		if c.Tests[i].passes(v, c.Param) {
			return !c.Negate
		}
	}
	return c.Negate
}

func (t *Test) passes(v uint64, p *abi.Param) bool {
	if t.Op == Masked {
		return v&t.A == t.B
	}
	if p.Signed {
		w := width(p)
		x := signExtend(v, w)
		return signExtend(t.A, w) <= x && x <= signExtend(t.B, w)
	}
	return t.A <= v && v <= t.B
}

// Restricts says whether some call would not simply be executed under the set:
// denied, skipped or killed, if only by its ABI. A policy with a section on
// files, exec or network restricts whatever its rules: even one that only logs
// must not be gone around.
func (s Set) Restricts() bool {
	for _, p := range s {
		if p.restricts() {
			return true
		}
	}
	return len(s) == 0
}

// Asks says whether somebody may be asked under the set.
func (s Set) Asks() bool {
	for _, p := range s {
		if p.Default == Ask {
			return true
		}
		for sec := Syscalls; sec <= Network; sec++ {
			rules, _ := p.Section(sec)
			if slices.ContainsFunc(rules, func(r *Rule) bool { return r.Action == Ask }) {
				return true
			}
		}
	}
	return false
}

func (p *Policy) restricts() bool {
	if p.Limits.Has(Processes) { // a listener could make tasks that nobody counts
		return true
	}
	if p.Compat.I386 != CompatSame || p.Compat.X32 != CompatSame || p.sections.any() {
		return true
	}
	if p.Open {
		return false
	}
	if p.Default.Restricts() {
		return true
	}
	for _, r := range p.Rules {
		if r.Action.Restricts() {
			return true
		}
	}
	return false
}
