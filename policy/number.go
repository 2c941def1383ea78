package policy

import "callgate/policy/abi"

// Number is a set as it bears on one number of an ABI: Decide with the number
// looked up, for who asks about many arguments of it.
type Number []Ruling

// Ruling is what one policy has on a number.
type Ruling struct {
	Clauses []Clause // as Policy.Clauses has them
	policy  *Policy
	rest    rest // the verdict where none of them holds
	arch    abi.Arch
}

// On is the set on one number. It uses room, if that is large enough.
func (s Set) On(a abi.Arch, nr uint32, room Number) Number {
	n := room[:0]
	for _, p := range s {
		n = append(n, p.on(a, nr))
	}
	return n
}

// Decide is Set.Decide for a call with the number and these argument registers.
func (n Number) Decide(args *[6]uint64) Verdict {
	if len(n) == 0 {
		return Verdict{Action: Kill, Cause: ByDefault}
	}
	worst := n[0].decide(args)
	for i := 1; i < len(n) && worst.Action < Kill; i++ { // nothing outdoes a kill
		if v := n[i].decide(args); v.Action > worst.Action {
			worst = v
		}
	}
	return worst
}

func (p *Policy) on(a abi.Arch, nr uint32) Ruling {
	t := p.table(a)
	if t == nil {
		return Ruling{policy: p, rest: restForeign, arch: a}
	}
	e := t.entry(a, nr)
	return Ruling{t.clauses[e.from:e.to:e.to], p, e.rest, a}
}

func (r *Ruling) decide(args *[6]uint64) Verdict {
	for i := range r.Clauses {
		if r.Clauses[i].Holds(args) {
			return r.policy.ruleVerdict(r.Clauses[i].Rule)
		}
	}
	return r.policy.restVerdict(r.rest, r.arch)
}
