package policy

import (
	"path"
	"slices"
	"strings"
)

// LeftOut gives the sections that the policy does not have: there it adds no
// restriction of its own.
func (p *Policy) LeftOut() []Section {
	var left []Section
	for sec := Syscalls; sec <= Network; sec++ {
		if _, has := p.Section(sec); !has {
			left = append(left, sec)
		}
	}
	return left
}

// LintPaths says which paths of files and exec are not there: exists is asked
// about absolute ones. Only rules that permit are looked at, since those that
// deny name what most hosts lack, and of `write` only whether the folder above
// is there, in which the path can be made. Variables that are not set are told
// too. As in Lint, only what a policy's own file says is looked at.
func LintPaths(s Set, at Place, exists func(path string) bool) []Warning {
	b := &binder{at: at}
	var all []Warning
	for _, p := range s {
		if strings.HasPrefix(p.Name, builtinPrefix) && len(s) > 1 {
			continue
		}
		l := &linter{policy: p, set: s}
		for _, sec := range []Section{Files, Exec} {
			for _, r := range p.sections[sec].rules {
				if l.own(r) {
					l.paths(b, r, exists)
				}
			}
		}
		all = append(all, l.found...)
	}
	return all
}

func (l *linter) paths(b *binder, r *Rule, exists func(path string) bool) {
	for i := range r.patterns {
		p := &r.patterns[i]
		names, why := b.names(p)
		switch {
		case why != "" && r.Action.Permits():
			l.warn(p.pos, "", "%s, so that %s matches nothing here", why, p.text)
		case why != "":
			l.warn(p.pos, "", "%s, so that nothing can run under this %s rule here", why, r.word())
		case r.Action.Permits():
			l.missing(r, p, fixedFolder(names), exists)
		}
	}
}

func (l *linter) missing(r *Rule, p *pattern, folder string, exists func(path string) bool) {
	if exists(folder) || r.word() == "write" && exists(path.Dir(folder)) {
		return
	}
	l.warn(p.pos, "", "there is no %s", folder)
}

func fixedFolder(names []boundName) string {
	n := slices.IndexFunc(names, func(n boundName) bool { return n.glob })
	if n < 0 {
		n = len(names)
	}
	return joined(names[:n])
}

// reachSections finds rules of files, exec and network, and paths and
// addresses in them, that can never decide because rules before them in the
// same file already have.
func (l *linter) reachSections() {
	for _, sec := range []Section{Files, Exec, Network} {
		c := &coverage{tree: newPathTree()}
		for _, r := range l.policy.sections[sec].rules {
			if l.own(r) && !l.reachRule(c, r) {
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
	last, names := order(-1), opaque(p)
	for k := range class(classes) {
		if !r.verb.speaks[k] {
			continue
		}
		s := cover{class: k, best: noRule, seen: map[*branch]bool{}}
		s.from(&c.tree.root, names)
		last = max(last, s.best)
	}
	return last
}

func (c *coverage) address(a *address, r *Rule) order {
	last := order(-1)
	for k := range class(classes) {
		if !r.verb.speaks[k] {
			continue
		}
		first := noRule
		if a.form == isSocket {
			s := cover{class: k, best: noRule, seen: map[*branch]bool{}}
			s.from(&c.tree.root, opaque(&a.path))
			first = s.best
		}
		for _, b := range c.addresses {
			if c.rules[b.rule].verb.speaks[k] && b.includes(a) {
				first = min(first, b.rule)
			}
		}
		last = max(last, first)
	}
	return last
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
		return b.covers(uint32(a.family)) && b.form == isFamily || b.form == isPrefix && uint16(inetOf(b)) == a.family ||
			a.family == afUnix && (b.form == isSocket || b.form == isAbstract)
	case isAny:
		return b.form == isAny || b.form == isPrefix || b.form == isHost
	case isPrefix:
		return b.form == isPrefix && a.prefix.Bits() <= b.prefix.Bits() && a.prefix.Contains(b.prefix.Addr())
	case isHost, isAbstract:
		return b.form == a.form && (a.name == b.name || a.form == isAbstract && a.name == "*")
	}
	return false
}

func inetOf(a *address) int {
	if a.prefix.Addr().Is4() {
		return afInet
	}
	return afInet6
}
