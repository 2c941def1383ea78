package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/verdict"
)

// decider is what decides calls: a rule, or what stands where none matches.
type decider struct {
	policy *policy.Policy
	rule   *policy.Rule
	cause  policy.Cause
}

// tally is, for a decider, how many calls each tier has, by what the tier's
// line says. A call with several kinds of arguments may count in two tiers.
type tally struct {
	lines map[decider]map[string]int
	dim   map[*policy.Rule]bool // rules on calls of which not all kinds of arguments are known
}

// explainRules goes through every call of every ABI of this machine and says of
// each rule where the calls that it decides are decided.
func explainRules(w io.Writer, plan *compile.Plan) {
	t := tallyOf(plan)
	for i, p := range plan.Set {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n", printable(p.Name))
		for _, r := range p.Rules {
			fmt.Fprintf(w, "%v: %s\n", r.Pos, printable(r.Text()))
			t.print(w, decider{p, r, policy.ByRule}, t.nothing(r))
		}
		explainSections(w, plan, p)
		if !p.Open {
			fmt.Fprintf(w, "default: %v\n", p.Default)
			t.print(w, decider{p, nil, policy.ByDefault}, "decides nothing: the rules name every call, or a stricter policy decides")
		}
		if p.Compat.I386 != policy.CompatSame || p.Compat.X32 != policy.CompatSame {
			fmt.Fprintf(w, "compat: i386 %v, x32 %v\n", p.Compat.I386, p.Compat.X32)
			t.print(w, decider{p, nil, policy.ByCompat}, "decides nothing: a stricter policy does")
		}
		printLimits(w, &p.Limits)
	}
}

func unseenName(name string) bool {
	s, ok := abi.Native().ByName(name)
	return ok && s.Unseen()
}

func tallyOf(plan *compile.Plan) tally {
	t := tally{map[decider]map[string]int{}, map[*policy.Rule]bool{}}
	for _, a := range abi.OfHost() {
		for s := range a.All() {
			if s.Unseen() {
				continue
			}
			cases, all := plan.Cases(a, s.Nr)
			t.add(cases)
			if !all {
				t.dimmed(plan.Set.On(a, s.Nr, nil))
			}
		}
	}
	return t
}

func (t tally) dimmed(n policy.Number) {
	for i := range n {
		for j := range n[i].Clauses {
			t.dim[n[i].Clauses[j].Rule] = true
		}
	}
}

// nothing is what to say of a rule that no call is known to be decided by.
func (t tally) nothing(r *policy.Rule) string {
	if t.dim[r] {
		return "what is left to it is not known: its conditions take too many comparisons"
	}
	if !slices.ContainsFunc(r.Calls, func(n policy.Name) bool { return !unseenName(n.Text) }) {
		return "decides nothing: " + verdict.Unseen
	}
	return "decides nothing: a rule before it, a stricter policy or compat does"
}

// add counts one call, once for each decider and line.
func (t tally) add(cases []compile.Case) {
	type line struct {
		decider
		text string
	}
	seen := map[line]bool{}
	for _, c := range cases {
		l := line{decider{c.Verdict.Policy, c.Verdict.Rule, c.Verdict.Cause}, cost(c.Tier, c.Why)}
		if seen[l] {
			continue
		}
		seen[l] = true
		if t.lines[l.decider] == nil {
			t.lines[l.decider] = map[string]int{}
		}
		t.lines[l.decider][l.text]++
	}
}

func (t tally) print(w io.Writer, d decider, nothing string) {
	lines := t.lines[d]
	if len(lines) == 0 {
		fmt.Fprintf(w, "    %s\n", nothing)
		return
	}
	order := slices.SortedFunc(maps.Keys(lines), func(a, b string) int {
		return cmp.Or(cmp.Compare(lines[b], lines[a]), cmp.Compare(a, b))
	})
	for _, text := range order {
		fmt.Fprintf(w, "    %4d %s  %s\n", lines[text], plural(lines[text], "call"), text)
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return word + " "
	}
	return word + "s"
}
