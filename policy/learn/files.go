package learn

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"callgate/policy"
)

// want is a file or folder that a rule is to be on.
type want struct {
	seen
	path  string
	write bool
	link  bool
	glob  bool   // its components of digits differ from run to run
	why   string // said of the rule
	doubt string // why the rule is not to hold before somebody has looked at it
	exact bool   // a rule was lifted for it
	// pattern stands for path, and for the names like it that other runs have.
	pattern string
}

const varies = "names there differ from run to run"

// many is of how many names in a folder one on the folder is made.
const many = 3

// fileRules are the rules of files: those that stand before what the base denies, and the
// others.
func (l *Log) fileRules(at *Place) (first, rules []rule, left uint64) {
	wants := map[string]*want{} // those to write, by path; and to read, by path behind a NUL
	all := l.of(policy.Files)
	random := at.randomNames(all)
	for _, o := range all {
		switch glob := random[at.inShared(o.Path)]; {
		case !utf8.ValidString(o.Path) || o.Path == "" || o.Path[0] != '/':
			left++
		case glob != "":
			add(wants, &want{seen: o.seen, path: at.inShared(o.Path), pattern: glob, write: true, why: varies})
		default:
			add(wants, at.wantOf(o))
		}
	}
	for key, w := range wants {
		if w.exact {
			first = append(first, w.rule(at))
			delete(wants, key)
		}
	}
	slices.SortFunc(first, func(a, b rule) int { return cmp.Compare(a.text, b.text) })
	writes := pick(wants, true)
	writes = gather(writes, func(folder string) bool { return at.within(folder) && !at.wide(folder) })
	covered := covers(writes)
	reads := slices.DeleteFunc(pick(wants, false), covered)
	reads = gather(reads, func(folder string) bool { return !at.wide(folder) })
	reads = slices.DeleteFunc(reads, covered)
	for _, w := range append(writes, reads...) {
		rules = append(rules, w.rule(at))
	}
	return first, rules, left
}

// of are the objects of a section, sorted.
func (l *Log) of(sec policy.Section) (list []*object) {
	keys := slices.SortedFunc(maps.Keys(l.objects), func(a, b objectKey) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.name, b.name), cmp.Compare(a.word, b.word))
	})
	for _, key := range keys {
		if key.section == sec {
			list = append(list, l.objects[key])
		}
	}
	return list
}

// wantOf is what is to be permitted for an object.
func (at *Place) wantOf(o *object) *want {
	w := &want{seen: o.seen, path: o.Path, write: o.Access == policy.Write, link: o.Link, exact: o.exact}
	if o.exact {
		return w
	}
	rest, proc := strings.CutPrefix(o.Path, "/proc/")
	first, _, _ := strings.Cut(rest, "/")
	switch {
	case proc && first == "self" && !w.write:
		w.path = "/proc/self"
	case proc && slices.ContainsFunc(strings.Split(rest, "/"), digits):
		w.glob = true
		w.path = "/proc/" + numbers(rest)
		if digits(first) {
			w.why = "processes have other numbers the next time"
		}
	case at.cache(o.Path) != "":
		w.path, w.link = at.cache(o.Path), false
		w.why = varies
	case w.write && at.Tmp != "" && beneath(o.Path, at.Tmp):
		w.path, w.link = at.Tmp, false
	case (o.Folder || o.fresh) && (at.wide(o.Path) || !w.write && at.shared(o.Path)):
		what := "it was listed"
		switch {
		case w.write && o.fresh:
			what = "it was made"
		case w.write:
			what = "it was made, or names in it were changed"
		}
		w.doubt = what + ", and a rule on it permits all beneath"
	}
	return w
}

// numbers has a path's components of digits all be 0, so that they are one.
func numbers(path string) string {
	names := strings.Split(path, "/")
	for i, name := range names {
		if digits(name) {
			names[i] = "0"
		}
	}
	return strings.Join(names, "/")
}

// add puts a want to the others, or to the same.
func add(wants map[string]*want, w *want) {
	key := cmp.Or(w.pattern, w.path)
	if !w.write {
		key = "\x00" + key
	}
	have := wants[key]
	if have == nil {
		wants[key] = w
		return
	}
	have.merge(&w.seen)
	have.link = have.link && w.link
	if have.doubt == "" {
		have.doubt = w.doubt
	}
	have.why = cmp.Or(have.why, w.why)
}

// pick are those to write, or to read, sorted.
func pick(wants map[string]*want, write bool) (list []*want) {
	for _, w := range wants {
		if w.write == write {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *want) int { return cmp.Compare(a.path, b.path) })
	return list
}

// covers says of others whether rules on these permit them.
func covers(list []*want) func(*want) bool {
	set := map[string]bool{}
	for _, w := range list {
		if w.doubt == "" && !w.glob && !w.link && w.pattern == "" {
			set[w.path] = true
		}
	}
	return func(w *want) bool {
		for path := w.path; ; path = parentOf(path) {
			if set[path] {
				return true
			}
			if path == "/" {
				return false
			}
		}
	}
}

// gather makes one want of those in a folder where there are many, if may says so of the
// folder, and drops those that another covers.
func gather(list []*want, may func(folder string) bool) []*want {
	root := &branch{path: "/"}
	var out []*want
	for _, w := range list {
		if w.glob || w.doubt != "" || w.pattern != "" {
			out = append(out, w)
			continue
		}
		root.put(w)
	}
	root.gather(may)
	out = root.collect(out)
	slices.SortFunc(out, func(a, b *want) int { return cmp.Compare(a.path, b.path) })
	return out
}

// branch is a folder or file of the tree of wants.
type branch struct {
	path  string
	want  *want
	under map[string]*branch
}

func (b *branch) put(w *want) {
	for name := range strings.SplitSeq(strings.Trim(w.path, "/"), "/") {
		if name == "" {
			continue
		}
		next := b.under[name]
		if next == nil {
			next = &branch{path: strings.TrimSuffix(b.path, "/") + "/" + name}
			if b.under == nil {
				b.under = map[string]*branch{}
			}
			b.under[name] = next
		}
		b = next
	}
	b.want = w
}

// gather works from the deepest folders up.
func (b *branch) gather(may func(string) bool) {
	for _, next := range b.under {
		next.gather(may)
	}
	if b.want == nil && len(b.under) >= many && may(b.path) {
		b.want = &want{path: b.path, why: "for several names in it"}
	}
	if b.want == nil || b.want.link {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(b.under)) {
		for _, w := range b.under[name].collect(nil) {
			b.want.merge(&w.seen)
			b.want.write = w.write
		}
	}
	b.under = nil
}

func (b *branch) collect(out []*want) []*want {
	if b.want != nil {
		out = append(out, b.want)
	}
	for _, next := range b.under {
		out = next.collect(out)
	}
	return out
}

// rule is the rule for it.
func (w *want) rule(at *Place) rule {
	r := rule{text: "read: ", comment: w.String(), doubt: w.doubt}
	if w.write {
		r.text = "write: "
	}
	text := cmp.Or(w.pattern, at.spell(w.path, w.link, w.glob))
	r.text += policy.Quote(text)
	r.long = len(text) > 4096 // the language's bound
	if w.why != "" {
		r.comment += "; " + w.why
	}
	return r
}
