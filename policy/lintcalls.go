package policy

import (
	"slices"

	"callgate/policy/abi"
)

// Deciders gives the rules of a set that decide some call with a number, and
// whether that is all of them: it is not where conditions are too many to tell.
type Deciders func(s Set, a abi.Arch, nr uint32) (rules []*Rule, all bool)

// LintCalls finds rules on system calls, and names in them, that never decide in
// any of these ABIs. As in Lint, only what a policy's own file says is looked at:
// rules over those of an extended file are what `extends` is for. What another
// policy takes back whatever the arguments, Lint tells.
func LintCalls(s Set, arches []abi.Arch, deciders Deciders) []Warning {
	var all []Warning
	for _, l := range s.linters() {
		r := &reach{linter: l, deciders: deciders, rules: map[*Rule]*shadow{}, names: map[Position]*shadow{}}
		for _, a := range arches {
			for entry := range a.All() {
				r.entry(entry)
			}
		}
		for _, rule := range l.policy.Rules {
			r.tell(rule)
		}
		all = append(all, l.inOrder()...)
	}
	return all
}

// reach is what is left to the rules of a policy.
type reach struct {
	*linter
	deciders Deciders
	rules    map[*Rule]*shadow
	names    map[Position]*shadow // of one name in a rule
}

// shadow is what became of a rule's calls, or of one name of it.
type shadow struct {
	reached bool   // somewhere it decides
	by      string // what decides instead, where it was first asked
	others  bool   // others do too
	beaten  bool   // that is not for its place in the file
}

// entry notes what the rules on one entry decide.
func (r *reach) entry(s *abi.Syscall) {
	if exemplar(s.Name).Unseen() {
		return // Lint tells
	}
	p := r.policy
	p.nameOnce.Do(p.indexNames)
	var earlier []*Rule
	var deciding []*Rule
	all := true
	for i := range p.rulesOn(s) {
		rule := p.Rules[i]
		if _, speaks := rule.clause(s); !speaks || !r.own(rule) {
			continue
		}
		if earlier == nil {
			deciding, all = r.deciders(r.set, s.Arch, s.Nr)
		}
		switch {
		case !all || slices.Contains(deciding, rule):
			r.note(rule, s, shadow{reached: true})
		case !r.told(rule, s):
			r.note(rule, s, r.instead(s, rule, earlier, deciding))
		}
		earlier = append(earlier, rule)
	}
}

// told says whether Lint tells that another policy takes back what the rule
// permits of the entry.
func (r *reach) told(rule *Rule, s *abi.Syscall) bool {
	named := func(n Name) bool {
		return (n.Text == s.Name || n.Text == s.Canonical) && r.overruled(exemplar(n.Text)) != nil
	}
	return rule.Action.Permits() && slices.ContainsFunc(rule.Calls, named)
}

// instead says what decides the calls of an entry rather than a rule.
func (r *reach) instead(s *abi.Syscall, rule *Rule, earlier, deciding []*Rule) shadow {
	p := r.policy
	switch {
	case p.compat(s.Arch) != CompatSame:
		return shadow{by: "compat decides all that it names", beaten: true}
	case p.restOf(s) == restUnknown:
		return shadow{by: "all that it names is newer than `kernel`", beaten: true}
	}
	if own, _ := r.deciders(Set{p}, s.Arch, s.Nr); slices.Contains(own, rule) {
		by := "another policy"
		if i := slices.IndexFunc(deciding, func(d *Rule) bool { return !slices.Contains(p.Rules, d) }); i >= 0 {
			by = r.where(deciding[i])
		}
		return shadow{by: by + " is stricter", beaten: true}
	}
	if len(earlier) == 0 {
		return shadow{by: "no call meets its conditions", beaten: true}
	}
	for _, e := range earlier {
		if c, _ := e.clause(s); len(c.Conds) == 0 {
			return shadow{by: r.where(e)}
		}
	}
	return shadow{by: r.where(earlier[0]), others: len(earlier) > 1}
}

func (r *reach) note(rule *Rule, s *abi.Syscall, now shadow) {
	join(r.rules, rule, now)
	for _, n := range rule.Calls {
		if n.Text == s.Name || n.Text == s.Canonical {
			join(r.names, n.Pos, now)
		}
	}
}

func join[K comparable](m map[K]*shadow, key K, now shadow) {
	sh := m[key]
	switch {
	case sh == nil:
		m[key] = &now
	case sh.beaten && !now.beaten:
		now.reached = sh.reached || now.reached
		*sh = now
	default:
		sh.reached = sh.reached || now.reached
	}
}

// tell warns of a rule that never decides, else of its names that never do.
func (r *reach) tell(rule *Rule) {
	sh := r.rules[rule]
	switch {
	case sh == nil:
	case sh.reached:
		r.tellNames(rule)
	case sh.beaten:
		r.warn(rule.Pos, "", "this rule never decides: %s", sh.by)
	case sh.others:
		r.warn(rule.Pos, "move it up, or leave it out", "this rule never decides: %s and others decide before it", sh.by)
	default:
		r.warn(rule.Pos, "move it up, or leave it out", "this rule never decides: %s decides before it", sh.by)
	}
}

func (r *reach) tellNames(rule *Rule) {
	for _, n := range rule.Calls {
		sh := r.names[n.Pos]
		if sh == nil || sh.reached || sh.beaten {
			continue
		}
		by := sh.by
		if sh.others {
			by += " and others"
		}
		r.warn(n.Pos, "", "%s is decided before, by %s", n.Text, by)
	}
}
