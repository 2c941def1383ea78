package policy

import (
	"cmp"
	"path"
	"slices"
)

// Sections is a set's rules on files, exec and network, bound to a Place. It
// is immutable, and safe for several goroutines.
type Sections struct {
	files, exec []*pathRules
	network     []*networkRules
	unfollowed  []Warning
}

// pathRules is one policy's section files or exec.
type pathRules struct {
	policy  *Policy
	section Section
	rules   []*Rule
	tree    *pathTree
	bound   []BoundRule
}

// Bind puts the set's sections in their place. The error is Mistakes: rules
// that restrict but cannot be held there, for want of a variable or a host's
// address. Of a rule that permits, patterns with an unknown variable and hosts
// without an address match nothing.
//
// What a policy sets, or does not keep, is no matter of other policies' patterns: there a variable is
// what their own policy would leave of at.Caller.
//
// A link that the command may make, as it may have done when it ran before, is not
// followed by rules of files, and of network by their unix paths: what it may reach is not
// for it to say. Where there is no section files, it is not known what it may make.
func (s Set) Bind(at Place) (*Sections, error) {
	b := &binder{at: at, mistakes: &ledger{}, set: s}
	bound := b.sections(s)
	if err := b.mistakes.err(); err != nil {
		return nil, err
	}
	planted := b.whichPlanted(bound)
	if len(planted) == 0 {
		return bound, nil
	}
	b = &binder{at: at, mistakes: &ledger{}, set: s, planted: planted}
	bound = b.sections(s)
	bound.tell(planted)
	return bound, b.mistakes.err()
}

// whichPlanted are the patterns which links lead that the command may make. The folder in which a
// pattern begins was there before: to have a link in its place, the command must change what that is in.
func (b *binder) whichPlanted(bound *Sections) map[*pattern]trail {
	planted := map[*pattern]trail{}
	if !bound.Has(Files) {
		return planted
	}
	writes := func(name string) bool { return bound.File(name, Write).Action.Permits() }
	for _, t := range b.led {
		if t.rule.Section == Exec || !slices.ContainsFunc(t.through, writes) {
			continue
		}
		b.policy = t.policy
		there := b.toStart(t.pattern)
		makes := func(link string) bool {
			return writes(link) && (!slices.Contains(there, link) || writes(path.Dir(link)))
		}
		if slices.ContainsFunc(t.through, makes) {
			planted[t.pattern] = t
		}
	}
	return planted
}

// toStart are the links to the folder in which a pattern begins.
func (b *binder) toStart(p *pattern) []string {
	names, why := b.names(&pattern{start: p.start, names: p.names[:p.dir]})
	if why != "" || len(names) == 0 {
		return nil
	}
	_, through := b.at.Links(joined(names))
	return through
}

// tell warns of patterns that match less for it.
func (b *Sections) tell(planted map[*pattern]trail) {
	for p, t := range planted {
		if t.rule.Section == Files && b.File(t.to, t.rule.verb.access).Action.Permits() {
			continue
		}
		b.unfollowed = append(b.unfollowed, Warning{p.pos, "a symbolic link leads " + quote(p.text) + " to " + quote(t.to) + ", and is not followed: the command may have made it",
			"name what it leads to, if that is meant"})
	}
	slices.SortFunc(b.unfollowed, func(x, y Warning) int {
		return cmp.Or(cmp.Compare(x.Pos.File, y.Pos.File), cmp.Compare(x.Pos.Line, y.Pos.Line), cmp.Compare(x.Pos.Col, y.Pos.Col))
	})
}

// Unfollowed tells of links that rules do not follow.
func (b *Sections) Unfollowed() []Warning { return b.unfollowed }

func (b *binder) sections(s Set) *Sections {
	bound := &Sections{}
	for _, p := range s {
		b.policy = p
		if p.sections[Files].has {
			bound.files = append(bound.files, b.paths(p, Files))
		}
		if p.sections[Exec].has {
			bound.exec = append(bound.exec, b.paths(p, Exec))
		}
		if p.sections[Network].has {
			bound.network = append(bound.network, b.network(p))
		}
	}
	return bound
}

// HasSections says whether a policy of the set has files, exec or network.
func (s Set) HasSections() bool {
	for _, p := range s {
		if p.sections.any() {
			return true
		}
	}
	return false
}

// Policies gives the policies that have the section files or exec, in the order
// of Rules.
func (b *Sections) Policies(sec Section) []*Policy {
	var all []*Policy
	for _, w := range b.pathSection(sec) {
		all = append(all, w.policy)
	}
	return all
}

func (b *binder) paths(p *Policy, sec Section) *pathRules {
	rules, _ := p.Section(sec)
	w := &pathRules{policy: p, section: sec, rules: rules, tree: newPathTree(), bound: make([]BoundRule, 0, len(rules))}
	for i, rule := range rules {
		br := BoundRule{Rule: rule, Access: rule.verb.access, Paths: make([]BoundPath, 0, len(rule.patterns))}
		for j := range rule.patterns {
			if path, ok := b.enter(w.tree, rule, &rule.patterns[j], order(i)); ok {
				br.Paths = append(br.Paths, path)
			}
		}
		w.bound = append(w.bound, br)
	}
	return w
}

// Has says whether a policy of the set has the section.
func (b *Sections) Has(sec Section) bool {
	switch sec {
	case Files:
		return len(b.files) > 0
	case Exec:
		return len(b.exec) > 0
	case Network:
		return len(b.network) > 0
	}
	return false
}

// File is the verdict of files on an access to a path, which is absolute,
// clean and canonical. The cost grows with the path and the globs, not with
// the number of other patterns, and nothing is allocated.
func (b *Sections) File(path string, a Access) Verdict {
	c := classRead
	if a == Write {
		c = classWrite
	}
	worst := permitted(Files)
	for i, w := range b.files {
		if v := w.verdict(w.find(path, c), a); i == 0 || v.Action > worst.Action {
			worst = v
		}
	}
	return worst
}

// Program is the verdict of exec on running a program, by its canonical path.
// No pattern matches a name that is no absolute path, such as memfd:x.
func (b *Sections) Program(path string) Verdict {
	worst := permitted(Exec)
	for i, w := range b.exec {
		if v := w.verdict(w.find(path, classRead), Read); i == 0 || v.Action > worst.Action {
			worst = v
		}
	}
	return worst
}

// permitted is the verdict of a section that no policy has.
func permitted(sec Section) Verdict {
	return Verdict{Action: Allow, Section: sec, Cause: ByDefault}
}

func (w *pathRules) find(path string, c class) order {
	if path == "" || path[0] != '/' {
		return noRule
	}
	return w.tree.find(path, c)
}

// verdict is that of the rule in a place of the order. Who may look without
// more is told nothing of it: only deny and kill rules keep from looking, and
// looks are not logged.
func (w *pathRules) verdict(i order, a Access) Verdict {
	v := w.policy.sectionVerdict(w.section, w.rules, i)
	if a == Look && (i == noRule || v.Action.Permits()) {
		v.Action, v.Errno = Allow, 0
	}
	return v
}

func (p *Policy) sectionVerdict(sec Section, rules []*Rule, i order) Verdict {
	if i != noRule {
		v := p.ruleVerdict(rules[i])
		v.Section = sec
		return v
	}
	v := Verdict{Action: p.Default, Policy: p, Section: sec, Cause: ByDefault}
	if v.Action == Deny || v.Action == Ask {
		v.Errno = errnoEACCES
	}
	return v
}

func (b *Sections) pathSection(sec Section) []*pathRules {
	switch sec {
	case Files:
		return b.files
	case Exec:
		return b.exec
	}
	return nil
}

// Rules gives the rules of files or exec, for each policy that has the
// section, in the order of trial.
func (b *Sections) Rules(sec Section) [][]BoundRule {
	var all [][]BoundRule
	for _, w := range b.pathSection(sec) {
		all = append(all, w.bound)
	}
	return all
}

// Defaults gives what those policies do where none of their Rules matches.
func (b *Sections) Defaults(sec Section) []Action {
	var all []Action
	for _, w := range b.pathSection(sec) {
		all = append(all, w.policy.Default)
	}
	return all
}
