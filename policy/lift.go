package policy

import "slices"

// Lift has the rules of p that restrict, and that which picks, log instead, and gives
// those. It is for a policy by which nothing has been decided yet.
func (p *Policy) Lift(which func(*Rule) bool) (lifted []*Rule) {
	for sec := Syscalls; sec <= Network; sec++ {
		rules, _ := p.Section(sec)
		for _, r := range rules {
			if !r.Action.Restricts() || !which(r) {
				continue
			}
			r.Action, r.Errno, r.Value, r.Quiet = Log, 0, 0, false
			if sec != Syscalls {
				r.verb, _ = sec.verb("log")
			}
			lifted = append(lifted, r)
		}
	}
	return lifted
}

// Denials is a policy of those rules of one section of p that restrict, but for
// those that which picks: what else there is it permits.
func (p *Policy) Denials(sec Section, but func(*Rule) bool) *Policy {
	q := &Policy{Name: p.Name, Open: true, Default: Allow, Errno: p.Errno, Compat: Compat{CompatSame, CompatSame}}
	rules, has := p.Section(sec)
	rules = slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool { return !r.Action.Restricts() || but(r) })
	q.sections[sec] = section{has, rules}
	return q
}

// Unless has rules of another policy's section decide before those of p, as they do there.
func (p *Policy) Unless(sec Section, other *Policy, which func(*Rule) bool) {
	rules, _ := other.Section(sec)
	rules = slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool { return !which(r) })
	p.sections[sec].rules = append(rules, p.sections[sec].rules...)
	p.Environment = other.Environment
}
