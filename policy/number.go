package policy

import (
	"slices"

	"callgate/policy/abi"
)

// Number is a set as it bears on one number of an ABI: Decide with the number
// looked up, for who asks about many arguments of it.
type Number []Ruling

// Ruling is what one policy has on a number.
type Ruling struct {
	Clauses []Clause // as Policy.Clauses has them
	policy  *Policy
	rest    Verdict // where none of them holds
}

// On is the set on one number, without the policies behind one that kills for it
// whatever the arguments: nothing outdoes that. Those behind the first that allow it
// whatever the arguments are left out too: they outdo nothing. It uses room, if that is
// large enough.
func (s Set) On(a abi.Arch, nr uint32, room Number) Number {
	n := slices.Grow(room[:0], len(s))[:len(s)]
	used := 0
	for _, p := range s {
		r := &n[used]
		r.take(p, a, nr)
		switch {
		case len(r.Clauses) > 0:
		case r.rest.Action == Kill:
			return n[:used+1]
		case r.rest.Action == Allow && used > 0:
			continue
		}
		used++
	}
	return n[:used]
}

// Decide is Set.Decide for a call with the number and these argument registers.
func (n Number) Decide(args *[6]uint64) Verdict { return n.Verdict(n.Find(args)) }

// Find is what decides a call with these argument registers: the policy, by its
// ruling's index, and its rule, nil where none holds. The index is -1 in a set
// of no policies.
func (n Number) Find(args *[6]uint64) (by int, rule *Rule) {
	by = -1
	worst := Action(0)
	for i := range n {
		r := firstHolding(n[i].Clauses, args)
		a := n[i].rest.Action
		if r != nil {
			a = r.Action
		}
		if a > worst {
			by, rule, worst = i, r, a
		}
		if worst == Kill { // nothing outdoes it
			break
		}
	}
	return by, rule
}

// Verdict is that of what Find has found.
func (n Number) Verdict(by int, rule *Rule) Verdict {
	switch {
	case by < 0:
		return Set(nil).Decide(abi.Call{})
	case rule != nil:
		return n[by].policy.ruleVerdict(rule)
	}
	return n[by].rest
}

// Divides says whether some rule has conditions.
func (n Number) Divides() bool {
	return slices.ContainsFunc(n, func(r Ruling) bool {
		return slices.ContainsFunc(r.Clauses, func(c Clause) bool { return len(c.Conds) > 0 })
	})
}

// Comparisons is about as many of masked bits as Over makes for a region where nothing is
// known, a range being some aligned blocks.
func (n Number) Comparisons() (all int) {
	const ofRange = 16
	for i := range n {
		for _, c := range n[i].Clauses {
			for j := range c.Conds {
				for k := range c.Conds[j].Tests {
					if c.Conds[j].Tests[k].Op == Masked {
						all++
					} else {
						all += ofRange
					}
				}
			}
		}
	}
	return all
}

// take makes it p's on that number, field by field: a verdict that is copied
// right after it was made costs more than all else here, since the copy's wide
// loads wait for its narrow stores.
func (r *Ruling) take(p *Policy, a abi.Arch, nr uint32) {
	r.policy, r.Clauses = p, nil
	t := p.table(a)
	if t == nil {
		r.rest = p.restVerdict(restForeign, a)
		return
	}
	e := t.entry(a, nr)
	r.Clauses = t.clauses[e.from:e.to:e.to]
	r.rest = p.restVerdict(e.rest, a)
}

// SameCalls says whether both sets decide every call alike by its number and arguments,
// as far as can be told without comparing rules: a policy with some is like itself alone.
func (s Set) SameCalls(other Set) bool {
	return slices.EqualFunc(s, other, func(p, q *Policy) bool {
		return p == q || len(p.Rules)+len(q.Rules) == 0 &&
			p.Open == q.Open && p.Default == q.Default && p.Errno == q.Errno && p.Kernel == q.Kernel && p.Compat == q.Compat
	})
}
