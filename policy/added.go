package policy

import (
	"errors"
	"strings"
)

// Added is a rule that stands in no policy's text, as one of a command line.
type Added struct {
	From    string  // what places call it; relative paths begin in its folder, as in a policy's of that name
	Section Section // Files or Network
	Verb    string  // a key of the section's rules: "read", "connect"
	What    string  // a path or an address, as a rule has it
}

// LoadAdded is LoadAll with rules that come before all that each of the policies says. One
// that permits connecting or binding also permits the system calls that this takes, where
// the policy has rules on them.
//
// They only add to what is there: in a policy without such a section they would deny all
// else, and are a mistake.
func (l *Loader) LoadAdded(added []Added, names ...string) (Set, error) {
	if len(names) == 0 {
		return nil, errors.New("no policy was named")
	}
	var led ledger
	set := make(Set, len(names))
	for i, name := range names {
		set[i] = l.load(reference{name: name, pos: Position{File: name}}, added, &led)
	}
	if err := led.err(); err != nil {
		return nil, err
	}
	return set, nil
}

// add joins rules that stand in no text: their places have no lines.
func (j *joiner) add(a *Added) {
	rule := node{kind: mapNode, fields: []field{{word(a.Verb), word(a.What)}}}
	root := node{kind: mapNode, fields: []field{
		{word("callgate"), node{text: "1"}},
		{word(a.Section.String()), node{kind: listNode, items: []node{rule}}},
	}}
	if a.Verb == "connect" || a.Verb == "bind" {
		root.fields = append(root.fields, field{word("syscalls"), callsFor(a)})
	}
	p := readRoot(a.From, &root, j.led)
	p.from, p.added = a.From, a
	for _, r := range p.sections[Network].rules {
		for i := range r.addresses { // nobody checks a command line before
			if hint := r.addresses[i].portless(); hint != "" {
				j.led.add(Mistake{Pos: r.Pos, Message: a.What + withoutPort, Hint: hint})
			}
		}
	}
	j.parts = append(j.parts, p)
}

// callsFor is rules that permit what it takes to connect or bind to an address.
func callsFor(a *Added) node {
	families := words("AF_INET", "AF_INET6")
	switch {
	case strings.HasPrefix(a.What, "unix:"):
		families = words("AF_UNIX")
	case strings.HasPrefix(a.What, "AF_"):
		families = words(a.What)
	}
	calls := words("connect")
	if a.Verb == "bind" {
		calls = words("bind", "listen", "accept", "accept4")
	}
	args := node{kind: mapNode, fields: []field{{word("family"), families}}}
	return node{kind: listNode, items: []node{
		{kind: mapNode, fields: []field{{word("allow"), word("socket")}, {word("args"), args}}},
		{kind: mapNode, fields: []field{{word("allow"), calls}}},
	}}
}

func word(text string) node { return node{text: text, quoted: true} }

func words(texts ...string) node {
	list := node{kind: listNode}
	for _, text := range texts {
		list.items = append(list.items, word(text))
	}
	return list
}

// fitAdded finds the sections to which rules are added in what else speaks, the policies'
// own: an added rule is only for those that are there.
func fitAdded(p *Policy, parts []*part, led *ledger) {
	clean := len(led.list) == 0 // else a section may be missing for a mistake in it
	var has [Network + 1]bool
	for _, part := range parts {
		if part.added == nil {
			has[Syscalls] = has[Syscalls] || part.syscalls
			for sec := Files; sec <= Network; sec++ {
				has[sec] = has[sec] || part.sections[sec].has
			}
		}
	}
	for _, part := range parts {
		a := part.added
		if a == nil {
			continue
		}
		if !has[Syscalls] {
			part.syscalls, part.rules = false, nil
		}
		if !has[a.Section] && (p.Default != Allow || a.Verb != "deny") && clean {
			led.add(Mistake{
				Pos:     Position{File: a.From},
				Message: p.Name + " has no rules on " + a.Section.String() + ", to which that could be added",
				Hint:    "all is permitted there; builtin:default has some",
			})
		}
	}
}
