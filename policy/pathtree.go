package policy

import (
	"math"
	"strings"
)

// pathTree finds the first of many path patterns that matches a path. Patterns
// that begin alike share branches; literal components are looked up, so that
// their number costs nothing, and globs are tried one by one.
type pathTree struct {
	root  branch
	marks int32
}

// class is what a pattern's rule speaks of: reading and looking or writing in
// files, connecting or binding in network; exec has the first alone.
type class uint8

const classes = 2

// order is a rule's place in the order of trial.
type order = int32

const noRule order = math.MaxInt32

// branch is where some patterns are after one of their components.
type branch struct {
	few   []twig // literal components, while they are few
	many  map[string]*branch
	globs []twig
	deep  *branch // after `**`
	// mark numbers a `**` that stands beneath another, from 1.
	mark  int32
	ends  [classes]order // the first rule with a pattern that ends here
	least [classes]order // ... or beneath
}

type twig struct {
	name string
	to   *branch
}

// fewTwigs is up to how many names comparing beats hashing.
const fewTwigs = 8

// maxMarks bounds the `**` beneath others, of which a search keeps a set.
const maxMarks = 1024

func newBranch() *branch {
	return &branch{ends: [classes]order{noRule, noRule}, least: [classes]order{noRule, noRule}}
}

func newPathTree() *pathTree { return &pathTree{root: *newBranch()} }

// boundName is one component of a pattern as it bears on one place.
type boundName struct {
	text string // a literal without escapes, or a glob
	glob bool
	deep bool
}

// add enters a pattern of a rule that speaks of some classes. It is false
// where the tree would have more than maxMarks marks.
func (t *pathTree) add(names []boundName, rule order, speaks [classes]bool) bool {
	b, beneath := &t.root, false
	b.cover(rule, speaks)
	for i := range names {
		n := &names[i]
		if b = b.grow(n); n.deep {
			if beneath && b.mark == 0 {
				if t.marks == maxMarks {
					return false
				}
				t.marks++
				b.mark = t.marks
			}
			beneath = true
		}
		b.cover(rule, speaks)
	}
	for c := range b.ends {
		if speaks[c] {
			b.ends[c] = min(b.ends[c], rule)
		}
	}
	return true
}

func (b *branch) cover(rule order, speaks [classes]bool) {
	for c := range b.least {
		if speaks[c] {
			b.least[c] = min(b.least[c], rule)
		}
	}
}

// grow gives the branch after one component, which it makes where need be.
func (b *branch) grow(n *boundName) *branch {
	switch {
	case n.deep:
		if b.deep == nil {
			b.deep = newBranch()
		}
		return b.deep
	case n.glob:
		for _, g := range b.globs {
			if g.name == n.text {
				return g.to
			}
		}
		to := newBranch()
		b.globs = append(b.globs, twig{n.text, to})
		return to
	}
	if to := b.child(n.text); to != nil {
		return to
	}
	to := newBranch()
	b.bear(n.text, to)
	return to
}

// bear adds a literal component.
func (b *branch) bear(name string, to *branch) {
	if b.many == nil && len(b.few) < fewTwigs {
		b.few = append(b.few, twig{name, to})
		return
	}
	if b.many == nil {
		b.many = make(map[string]*branch, 4*fewTwigs)
		for _, t := range b.few {
			b.many[t.name] = t.to
		}
		b.few = nil
	}
	b.many[name] = to
}

// child is the branch after a literal component, nil if there is none.
func (b *branch) child(name string) *branch {
	if b.many != nil {
		return b.many[name]
	}
	for i := range b.few {
		if b.few[i].name == name {
			return b.few[i].to
		}
	}
	return nil
}

// find gives the first rule of a class with a pattern that matches an absolute
// clean path, noRule if there is none.
func (t *pathTree) find(path string, c class) order {
	s := search{class: c, best: noRule}
	s.from(&t.root, path[1:])
	return s.best
}

// search is one find under way.
type search struct {
	class class
	best  order
	seen  [maxMarks/64 + 1]uint64 // the marks that were reached
}

// from goes on at a branch with what is left of the path.
func (s *search) from(b *branch, rest string) {
	for {
		s.best = min(s.best, b.ends[s.class])
		if d := b.deep; d != nil && d.least[s.class] < s.best {
			s.deep(d, rest)
		}
		if rest == "" {
			return
		}
		name, next := cutName(rest)
		for i := range b.globs {
			if g := &b.globs[i]; g.to.least[s.class] < s.best && globMatch(g.name, name) {
				s.from(g.to, next)
			}
		}
		if b = b.child(name); b == nil || b.least[s.class] >= s.best {
			return
		}
		rest = next
	}
}

// deep goes on after a `**`, which may stand for any number of components.
// There is one way from a `**` to one beneath it, so that the first time that
// a search gets there it has most of the path left, and no later time finds
// more. This keeps patterns with several of them cheap.
func (s *search) deep(d *branch, rest string) {
	if d.mark > 0 {
		word, bit := d.mark/64, uint64(1)<<(d.mark%64)
		if s.seen[word]&bit != 0 {
			return
		}
		s.seen[word] |= bit
	}
	for s.from(d, rest); rest != ""; s.from(d, rest) {
		_, rest = cutName(rest)
	}
}

func cutName(path string) (name, rest string) {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return path, ""
}
