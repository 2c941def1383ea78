package policy

import "slices"

// lateWords are what can still be done to what a rule comes too late for, by class.
var lateWords = map[Section][classes]string{
	Files:   {classRead: "read", classWrite: "written"},
	Network: {classConnect: "connected to", classBind: "bound to"},
}

// late finds rules that refuse, behind one that permits a part of that already: `read: /` and then
// `deny: /etc/shadow`, which is read all the same. Where a later rule permits the other part the rule
// may be meant as it stands, and so where it does more than the default would.
func (l *linter) late(c *coverage, r *Rule, rest []*Rule) {
	if r.verb.speaks != [classes]bool{true, true} || r.Action != Deny || r.Errno != errnoEACCES || r.Quiet || l.policy.Default != Deny {
		return
	}
	for i := range r.patterns {
		p := &r.patterns[i]
		if !slices.ContainsFunc(rest, func(later *Rule) bool { return later.mayWrite(p) }) {
			l.tooLate(c, r, p.pos, p.text, func(k class) order { return c.patternFor(p, k) })
		}
	}
	for i := range r.addresses {
		a := &r.addresses[i]
		if !slices.ContainsFunc(rest, func(later *Rule) bool { return later.Action.Permits() }) {
			l.tooLate(c, r, a.pos, a.text, func(k class) order { return c.addressFor(a, k) })
		}
	}
}

// tooLate warns where one class is decided before, and another is not.
func (l *linter) tooLate(c *coverage, r *Rule, pos Position, what string, first func(class) order) {
	for k := range class(classes) {
		at, other := first(k), first(1-k)
		if at != noRule && other == noRule && !c.rules[at].Action.Restricts() {
			l.warn(pos, "move this rule up", "%s can still be %s: %s decides that before", what, lateWords[r.Section][k], l.where(c.rules[at]))
		}
	}
}

// mayWrite says whether a rule permits to write something that a pattern matches, as far as can be told.
func (r *Rule) mayWrite(p *pattern) bool {
	return r.Action.Permits() && r.verb.speaks[classWrite] &&
		slices.ContainsFunc(r.patterns, func(q pattern) bool { return mayMeet(opaque(p), opaque(&q), p.dir+q.dir > 0) })
}

// mayMeet says whether two patterns may match one name. Where a variable or ~ leads to is not known: what is
// relative to the policy may be there, what is absolute is taken not to be.
func mayMeet(a, b []boundName, relative bool) bool {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x.glob || y.glob:
			return true
		case x.text == y.text:
		case x.text[0] == 0 && y.text[0] == 0:
			return true
		default:
			return relative && (x.text[0] == 0 || y.text[0] == 0)
		}
	}
	return true
}
