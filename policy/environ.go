package policy

import (
	"path"
	"slices"
	"strings"
)

// environment reads {keep: GLOBS, set: {NAME: VALUE}, private-tmp: BOOL}.
func (r *reader) environment(n *node) {
	e := &r.part.environment
	r.fields(n, "key", environmentKeys, func(key string, f *field) {
		switch key {
		case "keep":
			e.Limited = true
			e.Keep = r.keep(&f.value)
			return
		case "private-tmp":
			r.part.privateTmp, e.PrivateTmp = true, r.truth(&f.value)
			return
		}
		e.Set = make(map[string]string, len(f.value.fields))
		r.fields(&f.value, "variable", nil, func(name string, f *field) {
			if name == "" || strings.ContainsAny(name, "=\x00") {
				r.fail(&f.key, "", "%s cannot be a variable's name", quote(name))
				return
			}
			e.Set[name] = r.setValue(&f.value)
		})
	})
}

// keep reads globs; an empty list keeps nothing.
func (r *reader) keep(n *node) []string {
	if n.kind == listNode && len(n.items) == 0 {
		return nil
	}
	var globs []string
	items := r.list(n, "the names of variables")
	for i := range items {
		item := &items[i]
		glob := r.text(item)
		if _, err := path.Match(glob, ""); err != nil || strings.ContainsAny(glob, "=\x00") {
			r.fail(item, "globs have *, ? and [a-z]", "%s is no glob for variables' names", quote(glob))
			continue
		}
		globs = append(globs, glob)
	}
	return globs
}

func (r *reader) setValue(n *node) string {
	if n.kind == scalarNode && n.quoted {
		if strings.IndexByte(n.text, 0) >= 0 {
			r.fail(n, "", "a variable's value cannot have a NUL in it")
		}
		return n.text
	}
	return r.text(n)
}

// over joins a file's environment with that of the files it extends: what
// either keeps is kept, and the file's own values stand.
func (e Environment) over(base Environment) Environment {
	out := Environment{Limited: e.Limited || base.Limited, Keep: slices.Concat(e.Keep, base.Keep), PrivateTmp: base.PrivateTmp}
	if len(e.Set)+len(base.Set) == 0 {
		return out
	}
	out.Set = make(map[string]string, len(e.Set)+len(base.Set))
	for _, set := range []map[string]string{base.Set, e.Set} {
		for name, value := range set {
			out.Set[name] = value
		}
	}
	return out
}

// Environ is the environment that the command gets of its caller's
// ("NAME=value", as os.Environ has it). A variable passes if every policy that
// limits the environment keeps it. What a policy sets replaces the caller's;
// where two policies set one variable, the first one's value stands.
func (s Set) Environ(caller []string) []string {
	set := s.variables()
	var out []string
	for _, line := range caller {
		name, _, ok := strings.Cut(line, "=")
		if _, replaced := set[name]; !replaced && s.keeps(name, ok) {
			out = append(out, line)
		}
	}
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, name+"="+set[name])
	}
	return out
}

// PrivateTmp says whether the command is to have a fresh TMPDIR of its own: if
// any policy asks for it.
func (s Set) PrivateTmp() bool {
	return slices.ContainsFunc(s, func(p *Policy) bool { return p.Environment.PrivateTmp })
}

func (s Set) variables() map[string]string {
	set := map[string]string{}
	for _, p := range slices.Backward(s) {
		for name, value := range p.Environment.Set {
			set[name] = value
		}
	}
	return set
}

// keeps says whether a variable passes. A line that is no "NAME=value" has no
// name to match.
func (s Set) keeps(name string, named bool) bool {
	for _, p := range s {
		if e := &p.Environment; e.Limited && !(named && e.keeps(name)) {
			return false
		}
	}
	return true
}

func (e *Environment) keeps(name string) bool {
	for _, glob := range e.Keep {
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return false
}
