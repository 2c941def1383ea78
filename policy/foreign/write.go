package foreign

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// maxRules are as many as a policy may have.
const maxRules = 10000

// line is one rule of the output.
type line struct {
	answer  answer
	args    string // between braces, "" if there are none
	comment string
	early   bool // of a variant's own name, before the rules on the name that it follows
	names   []string
}

// plan is what is to be written: the rules, by what they say but for their names.
type plan struct {
	*reader
	f       *filter
	lines   map[string]*line
	unknown []string
}

// write gives a filter as a policy, proven; nil if there are mistakes.
func (r *reader) write(f *filter) *Result {
	var p *plan
	for again := true; again; { // where an ABI is given up on the way
		before := f.compat
		r.mistakes = nil
		p = r.plan(f)
		again = f.compat != before
	}
	if len(r.mistakes) > 0 {
		return nil
	}
	if len(p.unknown) > 0 {
		r.note(policy.Position{File: r.name}, "names that callgate does not know, so that the default decides: %s", some(p.unknown))
	}
	slices.SortStableFunc(r.notes, func(a, b policy.Warning) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	text := p.text()
	if len(text) > maxText || len(p.lines) > maxRules {
		r.fail(policy.Position{File: r.name}, "", "the policy would have more than %d rules or 1 MiB", maxRules)
		return nil
	}
	if err := r.prove(f, text); err != nil {
		r.fail(policy.Position{File: r.name}, "", "a bug in callgate: the converted policy does not mean the same: %v", err)
		return nil
	}
	return &Result{Text: text, Notes: r.notes}
}

// some is a list for people: of many names the first.
func some(names []string) string {
	const most = 100
	if len(names) > most {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (r *reader) plan(f *filter) *plan {
	p := &plan{reader: r, f: f, lines: map[string]*line{}}
	own := p.variants()
	for _, name := range slices.Sorted(maps.Keys(f.calls)) {
		switch t := f.calls[name]; {
		case !abi.Known(name):
			p.missing(name, t)
		default:
			p.call(name, t, own)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if f.calls[name] == nil {
			p.call(name, f.of(name), own)
		}
	}
	return p
}

// variants are the names whose calls would follow another name's rules, and that the
// source treats otherwise; and restart_syscall, which callgate permits of itself.
func (p *plan) variants() map[string]bool {
	own := map[string]bool{}
	for _, arch := range p.f.arches(p.opts.Arch) {
		for s := range arch.All() {
			if s.Canonical != s.Name && !p.f.of(s.Name).equal(p.f.of(s.Canonical)) {
				own[s.Name] = true
			}
		}
	}
	if p.f.rest.action != policy.Allow && p.f.of("restart_syscall").rest == p.f.rest {
		own["restart_syscall"] = true
	}
	return own
}

// missing is for a name that callgate does not know. Its calls get the default.
func (p *plan) missing(name string, t *treatment) {
	refuses := !t.rest.action.Permits()
	for _, c := range t.clauses {
		refuses = refuses || !c.answer.action.Permits()
	}
	if refuses && p.f.rest.action.Permits() {
		p.fail(t.pos, policy.DidYouMean(name, abi.Names()), "unknown system call %s: it would be permitted, as what no rule names", quote(name))
		return
	}
	p.unknown = append(p.unknown, name)
}

// call adds the rules on one name.
func (p *plan) call(name string, t *treatment, own map[string]bool) {
	entries := p.entries(name, own)
	if len(entries) == 0 && len(t.clauses) > 0 {
		entries = elsewhere(name)
	}
	var last *phrase
	var lastAnswer answer
	flush := func() {
		if last != nil {
			p.add(name, last.String(), t.comment, lastAnswer, own[name])
			last = nil
		}
	}
	for i := range t.clauses {
		c := &t.clauses[i]
		ph, is := p.phrase(name, c, entries)
		switch {
		case is == never:
			continue
		case is == always:
			flush()
			p.add(name, "", t.comment, c.answer, own[name])
			return
		case last != nil && lastAnswer == c.answer && last.join(&ph):
			continue
		}
		flush()
		last, lastAnswer = &ph, c.answer
	}
	flush()
	if t.rest != p.f.rest || own[name] {
		p.add(name, "", t.comment, t.rest, own[name])
	}
}

// join makes one condition of two on the same parameter of which either may hold.
func (p *phrase) join(q *phrase) bool {
	if len(p.names) != 1 || len(q.names) != 1 || p.names[0] != q.names[0] {
		return false
	}
	a, b := p.terms[p.names[0]], q.terms[q.names[0]]
	if a[0][0] == '!' || b[0][0] == '!' {
		return false
	}
	p.terms[p.names[0]] = append(a, b...)
	return true
}

// entries are those that rules on a name bear on, the target's own first.
func (p *plan) entries(name string, own map[string]bool) (list []*abi.Syscall) {
	for _, arch := range p.f.arches(p.opts.Arch) {
		for s := range arch.All() {
			if s.Name == name || s.Canonical == name && !own[s.Name] {
				list = append(list, s)
			}
		}
	}
	return list
}

// elsewhere is an entry of another ABI, for a name that has none here.
func elsewhere(name string) []*abi.Syscall {
	for _, arch := range abi.Arches() {
		if s, ok := arch.ByName(name); ok {
			return []*abi.Syscall{s}
		}
	}
	return nil
}

// phrase is a clause in the policy's words. What cannot be said is given up where
// Approximate is set: of a clause that permits the clause, else its conditions; or the
// ABI where it cannot be said.
func (p *plan) phrase(name string, c *clause, entries []*abi.Syscall) (phrase, outcome) {
	first, is, ok := c.phrase(entries[0], false)
	if !ok {
		what := fmt.Sprintf("%s: no rule can ask this of its arguments", name)
		if c.answer.action.Permits() {
			p.stricter(c.pos, what, "it is not permitted")
			return first, never
		}
		p.stricter(c.pos, what, "it is never permitted")
		return first, always
	}
	for _, s := range entries[1:] {
		other, there, ok := c.phrase(s, false)
		if ok && there == is && other.String() == first.String() && !c.lost(s) {
			continue
		}
		p.giveUp(s, c)
	}
	if entries[0].Arch != p.opts.Arch && c.lost(entries[0]) {
		p.giveUp(entries[0], c)
	}
	return inWords(c, entries, first), is
}

// inWords is the phrase with constants by their names, where all entries have the same.
func inWords(c *clause, entries []*abi.Syscall, numbers phrase) phrase {
	first, _, _ := c.phrase(entries[0], true)
	for _, s := range entries[1:] {
		if other, _, _ := c.phrase(s, true); other.String() != first.String() {
			return numbers
		}
	}
	return first
}

// lost says whether what libseccomp compares in a 32-bit ABI is not what a rule does: it
// looks at 32 bits there, in x32 too.
func (c *clause) lost(s *abi.Syscall) bool {
	if s.Arch != abi.I386 && s.Arch != abi.X32 {
		return false
	}
	return slices.ContainsFunc(c.conds, func(c cond) bool {
		at, ok := seatOf(s, c.reg)
		low := c.op >= masked && c.a <= 1<<32-1 // looks no further anyway
		return !ok || c.wide() || at.param != nil && at.param.Bits > 32 && !low
	})
}

// giveUp is for conditions that an ABI other than the target does not have.
func (p *plan) giveUp(s *abi.Syscall, c *clause) {
	what := fmt.Sprintf("the arguments of %v's %s are not compared as this says", s.Arch, s.Name)
	switch {
	case s.Arch == p.opts.Arch: // a variant of the same ABI
		p.fail(c.pos, "", "%s", what)
	case !p.stricter(c.pos, what, fmt.Sprintf("every call of %v ends the process", s.Arch)):
	case s.Arch == abi.I386:
		p.f.compat.I386 = policy.CompatKill
	default:
		p.f.compat.X32 = policy.CompatKill
	}
}

func (p *plan) add(name, args, comment string, a answer, early bool) {
	key := fmt.Sprintln(args, comment, a, early)
	if p.lines[key] == nil {
		p.lines[key] = &line{answer: a, args: args, comment: comment, early: early}
	}
	if l := p.lines[key]; !slices.Contains(l.names, name) {
		l.names = append(l.names, name)
	}
}
