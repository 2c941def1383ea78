package compile

import (
	"callgate/policy"
	"callgate/policy/abi"
)

// Case is a kind of arguments of one call that the policies tell apart: what
// becomes of them, and one example.
type Case struct {
	Call    abi.Call
	Verdict policy.Verdict
	Tier    Tier
	Why     string // why it is traced
}

// Cases are the kinds of arguments of one number, in the order in which the
// policies try them; what no condition names comes last. A call whose
// conditions take too many comparisons has one case, of zeros.
func (p *Plan) Cases(arch abi.Arch, nr uint32) []Case {
	var cases []Case
	for _, args := range examples(p.Set, arch, nr) {
		c := Case{Call: abi.Call{Arch: arch, Nr: nr, Args: args}}
		c.Verdict = p.Set.Decide(c.Call)
		c.Tier, c.Why = p.Tier(c.Call)
		cases = append(cases, c)
	}
	return cases
}

// examples gives arguments from each piece of a number's partition that lie in
// no earlier piece, and some that lie in none.
func examples(set policy.Set, arch abi.Arch, nr uint32) [][6]uint64 {
	parts, ok := partitionOf(set, arch, nr)
	if !ok {
		return [][6]uint64{{}}
	}
	var list [][6]uint64
	var earlier []cube
	for _, c := range append(parts.where(func(*policy.Verdict) bool { return true }), everything()...) {
		if left, ok := subtractAll([]cube{c}, earlier, maxCubes); ok && len(left) > 0 {
			list = append(list, left[0].value)
		}
		earlier = append(earlier, c)
	}
	return list
}
