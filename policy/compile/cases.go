package compile

import (
	"slices"

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
// policies try them; what no condition names comes last. all is false where the
// conditions take too many comparisons: then some kinds are missing.
func (p *Plan) Cases(arch abi.Arch, nr uint32) (cases []Case, all bool) {
	list, all := examples(p.Set, arch, nr)
	for _, args := range list {
		c := Case{Call: abi.Call{Arch: arch, Nr: nr, Args: args}}
		c.Verdict = p.Set.Decide(c.Call)
		c.Tier, c.Why = p.Tier(c.Call)
		cases = append(cases, c)
	}
	return cases, all
}

// Deciders are the rules that decide some of the Cases of one number, for
// policy.LintCalls.
func Deciders(set policy.Set, arch abi.Arch, nr uint32) (rules []*policy.Rule, all bool) {
	list, all := examples(set, arch, nr)
	for _, args := range list {
		v := set.Decide(abi.Call{Arch: arch, Nr: nr, Args: args})
		if v.Rule != nil && !slices.Contains(rules, v.Rule) {
			rules = append(rules, v.Rule)
		}
	}
	return rules, all
}

// examples gives arguments from each piece of a number's partition that lie in
// no earlier piece, and some that lie in none; those of a call that takes too many
// comparisons are zeros.
func examples(set policy.Set, arch abi.Arch, nr uint32) (list [][6]uint64, all bool) {
	if _, plain := plainVerdict(set, arch, nr); plain {
		return [][6]uint64{{}}, true
	}
	parts, ok := partitionOf(set, arch, nr)
	if !ok {
		return [][6]uint64{{}}, false
	}
	budget := mostSplits
	var earlier []cube
	for _, c := range append(parts.where(func(*policy.Verdict) bool { return true }), everything()...) {
		if args, some := c.outside(earlier, &budget); some {
			list = append(list, args)
		}
		earlier = append(earlier, c)
	}
	return list, budget > 0
}

// mostSplits are more than a number takes whose conditions were not made to be hard,
// and some milliseconds.
const mostSplits = 1 << 14
