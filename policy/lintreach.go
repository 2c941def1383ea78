package policy

// reachSections finds rules of files, exec and network, and paths and
// addresses in them, that can never decide because rules before them in the
// same file already have.
func (l *linter) reachSections() {
	for _, sec := range []Section{Files, Exec, Network} {
		c := &coverage{tree: newPathTree()}
		rules := l.policy.sections[sec].rules
		for i, r := range rules {
			if !l.own(r) {
				continue
			}
			l.late(c, r, rules[i+1:])
			if !l.reachRule(c, r) {
				break
			}
		}
	}
}

// coverage is what the rules before one decide.
type coverage struct {
	tree      *pathTree
	rules     []*Rule
	addresses []coveredAddress
}

type coveredAddress struct {
	*address
	rule order
}

// maxCovered bounds how many addresses are compared with each other.
const maxCovered = 2000

// reachRule warns about one rule and then adds it to what is covered. It is
// false where that is full.
func (l *linter) reachRule(c *coverage, r *Rule) bool {
	var dead []func() // what to say where only some of it is
	var by *Rule
	count := 0
	note := func(pos Position, what string, first order) {
		if count++; first != noRule {
			by = c.rules[first]
			dead = append(dead, func() { l.warn(pos, "", "%s is decided before, by %s", what, l.where(c.rules[first])) })
		}
	}
	for i := range r.patterns {
		note(r.patterns[i].pos, r.patterns[i].text, c.pattern(&r.patterns[i], r))
	}
	for i := range r.addresses {
		note(r.addresses[i].pos, r.addresses[i].text, c.address(&r.addresses[i], r))
	}
	if count > 0 && len(dead) == count {
		l.warn(r.Pos, "move it up, or leave it out", "this rule never decides: %s decides before it", l.where(by))
	} else {
		for _, say := range dead {
			say()
		}
	}
	return c.add(r)
}

func (c *coverage) add(r *Rule) bool {
	i := order(len(c.rules))
	c.rules = append(c.rules, r)
	for j := range r.patterns {
		if !c.tree.add(opaque(&r.patterns[j]), i, r.verb.speaks) {
			return false
		}
	}
	for j := range r.addresses {
		a := &r.addresses[j]
		c.addresses = append(c.addresses, coveredAddress{a, i})
		if a.form == isSocket && !c.tree.add(opaque(&a.path), i, r.verb.speaks) {
			return false
		}
	}
	return len(c.addresses) <= maxCovered
}

// opaque are a pattern's components with what its place alone knows under
// names that no other component has.
func opaque(p *pattern) []boundName {
	var names []boundName
	switch p.start {
	case atHome:
		names = append(names, boundName{text: "\x00~"})
	case atDir:
		names = append(names, boundName{text: "\x00$PWD"})
	}
	for i := range p.names {
		c := &p.names[i]
		switch {
		case c.variable != "":
			names = append(names, boundName{text: "\x00" + c.String()})
		case c.glob:
			names = append(names, boundName{c.text, true, c.deep})
		default:
			names = append(names, boundName{text: unescape(c.text)})
		}
	}
	return names
}

// pattern gives the last of the rules that decide, in all that a rule speaks
// of, whatever a pattern matches; noRule if something is left to the rule.
func (c *coverage) pattern(p *pattern, r *Rule) order {
	last := order(-1)
	for k := range class(classes) {
		if r.verb.speaks[k] {
			last = max(last, c.patternFor(p, k))
		}
	}
	return last
}

// patternFor is the first of the rules that decides of one class, whatever a pattern matches.
func (c *coverage) patternFor(p *pattern, k class) order {
	s := cover{class: k, best: noRule, seen: map[*branch]bool{}}
	s.from(&c.tree.root, opaque(p))
	return s.best
}

func (c *coverage) address(a *address, r *Rule) order {
	last := order(-1)
	for k := range class(classes) {
		if r.verb.speaks[k] {
			last = max(last, c.addressFor(a, k))
		}
	}
	return last
}

func (c *coverage) addressFor(a *address, k class) order {
	first := noRule
	if a.form == isSocket {
		first = c.patternFor(&a.path, k)
	}
	for _, b := range c.addresses {
		if c.rules[b.rule].verb.speaks[k] && b.includes(a) {
			first = min(first, b.rule)
		}
	}
	return first
}

// cover finds the first rule whose pattern matches all that another pattern
// does, as far as that can be told from their components one by one.
type cover struct {
	class class
	best  order
	seen  map[*branch]bool
}

func (s *cover) from(b *branch, names []boundName) {
	s.best = min(s.best, b.ends[s.class])
	if d := b.deep; d != nil && !s.seen[d] {
		s.seen[d] = true
		for i := range len(names) + 1 {
			s.from(d, names[i:])
		}
	}
	if len(names) == 0 || names[0].deep {
		return
	}
	n := &names[0]
	for _, g := range b.globs {
		if n.glob && (g.name == n.text || g.name == "*") || !n.glob && n.text[0] != 0 && globMatch(g.name, n.text) {
			s.from(g.to, names[1:])
		}
	}
	if to := b.child(n.text); to != nil && !n.glob {
		s.from(to, names[1:])
	}
}

// includes says whether an address surely stands for all that another does.
func (a *address) includes(b *address) bool {
	if a.ports.low > b.ports.low || a.ports.high < b.ports.high {
		return false
	}
	switch a.form {
	case isFamily:
		return b.only() == a.family
	case isAny:
		return b.form == isAny || b.form == isPrefix || b.form == isHost
	case isPrefix:
		return b.form == isPrefix && a.prefix.Bits() <= b.prefix.Bits() && a.prefix.Contains(b.prefix.Addr())
	case isHost, isAbstract:
		return b.form == a.form && (a.name == b.name || a.form == isAbstract && a.name == "*")
	}
	return false
}

// only is the family of all that the address stands for, AF_UNSPEC if there
// are several.
func (a *address) only() uint16 {
	switch {
	case a.form == isFamily:
		return a.family
	case a.form == isSocket || a.form == isAbstract:
		return afUnix
	case a.form == isPrefix && a.prefix.Addr().Is4():
		return afInet
	case a.form == isPrefix:
		return afInet6
	}
	return afUnspec
}
