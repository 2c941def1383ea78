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
		if strings.HasPrefix(p.Name, builtinPrefix) {
			continue // it names what some hosts have
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
		case why != "" && !r.Action.Restricts():
			l.warn(p.pos, "", "%s, so that %s matches nothing here", why, p.text)
		case why != "":
			l.warn(p.pos, "", "%s, so that nothing can run under this %s rule here", why, r.word())
		case !r.Action.Restricts():
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
