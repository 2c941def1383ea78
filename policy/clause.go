package policy

import (
	"iter"
	"slices"
	"sync"

	"callgate/policy/abi"
)

// table is a policy as it bears on one ABI, by number without X32Bit. It is
// built once, at the first question about that ABI, and only read after that.
type table struct {
	once    sync.Once
	entries []entry
	clauses []Clause // of all entries, each entry's in the order of trial
	// rest answers numbers that have no entry.
	rest rest
}

// entry is one number's clauses, as a range of the table's, and what answers
// where none holds.
type entry struct {
	from, to uint32
	rest     rest
}

// rest names the verdict where no clause holds.
type rest uint8

const (
	restUnknown rest = iota
	restDefault
	restAllow
	restCompat
	restForeign
)

// table gives the policy's table for an ABI, nil for one that nobody knows.
func (p *Policy) table(a abi.Arch) *table {
	if int(a) >= len(p.tables) || a == 0 {
		return nil
	}
	t := &p.tables[a]
	t.once.Do(func() { p.build(t, a) })
	return t
}

// compat is what the policy says of an ABI as a whole.
func (p *Policy) compat(a abi.Arch) CompatAction {
	switch a {
	case abi.I386:
		return p.Compat.I386
	case abi.X32:
		return p.Compat.X32
	}
	return CompatSame
}

func (p *Policy) build(t *table, a abi.Arch) {
	switch {
	case p.compat(a) != CompatSame:
		t.rest = restCompat
		return
	case p.Open:
		t.rest = restAllow
		return
	}
	p.nameOnce.Do(p.indexNames)
	t.entries = make([]entry, 0, 512)
	t.clauses = make([]Clause, 0, len(p.byName))
	for s := range a.All() {
		nr := int(s.Nr &^ abi.X32Bit)
		for len(t.entries) <= nr {
			t.entries = append(t.entries, entry{})
		}
		t.entries[nr] = p.entry(t, s)
	}
}

func (p *Policy) entry(t *table, s *abi.Syscall) entry {
	e := entry{from: uint32(len(t.clauses)), rest: p.restOf(s)}
	if e.rest != restUnknown {
		for i := range p.rulesOn(s) {
			c, ok := p.Rules[i].clause(s)
			if !ok {
				continue
			}
			t.clauses = append(t.clauses, c)
			if len(c.Conds) == 0 {
				break
			}
		}
	}
	e.to = uint32(len(t.clauses))
	return e
}

// restOf says what answers a known call that no rule decides. restart_syscall
// is the kernel's own doing: a task calls it when a stop signal cut another
// call short (restart_syscall(2)). What socketcall and ipc stand for is decided
// instead of them.
func (p *Policy) restOf(s *abi.Syscall) rest {
	switch {
	case p.Kernel != abi.Version{} && p.Kernel.Before(s.Since):
		return restUnknown
	case s.Name == "restart_syscall" || s.Multiplexer:
		return restAllow
	}
	return restDefault
}

// link is one rule in the list of those that have a name, by its index; next
// is the link after it, 0 for none.
type link struct{ rule, next int32 }

// indexNames lists, for each name that rules have, the rules that have it. The
// calls of a group do not include socketcall and ipc: a rule on a group speaks
// of the calls that these stand for.
func (p *Policy) indexNames() {
	names := 0
	for _, rule := range p.Rules {
		names += len(rule.Calls)
		if slices.ContainsFunc(rule.Calls, func(n Name) bool { return isGroup(n.Text) }) {
			names += 32 // roughly a group's size; saves growing
		}
	}
	p.byName = make(map[string]int32, min(names, 512))
	p.links = make([]link, 1, min(names, 512)+1)
	groups := map[string][]string{}
	for i, rule := range slices.Backward(p.Rules) {
		for _, name := range rule.Calls {
			if !isGroup(name.Text) {
				p.link(name.Text, int32(i))
				continue
			}
			if groups[name.Text] == nil {
				groups[name.Text] = groupCalls(name.Text)
			}
			for _, call := range groups[name.Text] {
				if call != "socketcall" && call != "ipc" {
					p.link(call, int32(i))
				}
			}
		}
	}
}

// link puts a rule before those that the name's list has, unless it is there.
func (p *Policy) link(name string, rule int32) {
	first := p.byName[name]
	if first == 0 || p.links[first].rule != rule {
		p.byName[name] = int32(len(p.links))
		p.links = append(p.links, link{rule, first})
	}
}

// rulesOn goes through the rules that apply to an entry, by its name or the
// one that it stands for, in order.
func (p *Policy) rulesOn(s *abi.Syscall) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		a, b := p.byName[s.Name], int32(0)
		if s.Canonical != s.Name {
			b = p.byName[s.Canonical]
		}
		for a != 0 || b != 0 {
			x, y := p.links[a], p.links[b]
			switch {
			case b == 0 || a != 0 && x.rule < y.rule:
				a = x.next
			case a == 0 || y.rule < x.rule:
				x, b = y, y.next
			default: // the rule has both names
				a, b = x.next, y.next
			}
			if !yield(x.rule) {
				return
			}
		}
	}
}

// Clauses gives the rules that bear on one number of an ABI, bound to its
// registers, in the order of trial; the first that holds decides, and
// DefaultFor where none does. There are none after one without conditions,
// and none for numbers that the policy answers as a whole: by its compat line,
// for want of a `syscalls` section, or because they are unknown.
func (p *Policy) Clauses(a abi.Arch, nr uint32) []Clause {
	t := p.table(a)
	if t == nil {
		return nil
	}
	e := t.entry(a, nr)
	return t.clauses[e.from:e.to:e.to]
}

// entry finds a number's entry. X32's numbers have X32Bit, those of the others
// are taken as they are.
func (t *table) entry(a abi.Arch, nr uint32) entry {
	if a == abi.X32 {
		nr ^= abi.X32Bit
	}
	if nr < uint32(len(t.entries)) {
		return t.entries[nr]
	}
	return entry{rest: t.rest}
}
