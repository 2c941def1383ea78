package foreign

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// columns are how wide the output's lines are, where words allow.
const columns = 100

// text is the policy.
func (p *plan) text() []byte {
	f := p.f
	var b strings.Builder
	p.head(&b)
	b.WriteString("callgate: 1\n")
	if f.description != "" {
		b.WriteString("description: " + strconv.QuoteToGraphic(f.description) + "\n")
	}
	b.WriteString("default: " + f.rest.action.String() + "\n")
	errno := f.errno()
	b.WriteString("errno: " + policy.ErrnoName(errno) + "\n\n")
	lines := slices.SortedFunc(maps.Values(p.lines), compareLines)
	if len(lines) == 0 {
		b.WriteString("syscalls: []\n")
	} else {
		b.WriteString("syscalls:\n")
	}
	early := false
	for _, l := range lines {
		if l.early && !early {
			comment(&b, "  ", "Unless a rule names these they would follow the rules on another call, or, restart_syscall, be permitted.")
			early = true
		}
		p.rule(&b, l, errno)
	}
	fmt.Fprintf(&b, "\ncompat: {i386: %v, x32: %v}\n", f.compat.I386, f.compat.X32)
	return []byte(b.String())
}

// head is the comment on the whole.
func (p *plan) head(b *strings.Builder) {
	comment(b, "", fmt.Sprintf("Converted from %s (%s) by callgate convert, for %v.", p.name, p.f.format, p.opts.Arch))
	for _, n := range p.notes {
		comment(b, "", n.String())
	}
	b.WriteString("\n")
}

// errno is what most denials answer.
func (f *filter) errno() uint16 {
	if f.rest.action == policy.Deny {
		return f.rest.errno
	}
	return 1 // EPERM
}

// compareLines puts first what must be tried first: what a variant's own name says, then
// rules with conditions, of those the strictest.
func compareLines(a, b *line) int {
	return cmp.Or(
		order(b.early, a.early),
		order(b.args != "", a.args != ""),
		cmp.Compare(b.answer.action, a.answer.action),
		cmp.Compare(a.names[0], b.names[0]),
		cmp.Compare(a.args, b.args),
		cmp.Compare(a.answer.errno, b.answer.errno),
		cmp.Compare(a.comment, b.comment))
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (p *plan) rule(b *strings.Builder, l *line, errno uint16) {
	if l.comment != "" {
		comment(b, "  ", l.comment)
	}
	names := l.names
	if l.args == "" && !l.early {
		names = p.grouped(names)
	}
	head := "  - " + l.answer.action.String() + ":"
	short := strings.Join(names, ", ")
	switch {
	case len(names) == 1:
		b.WriteString(head + " " + short + "\n")
	case len(head)+3+len(short) < columns:
		b.WriteString(head + " [" + short + "]\n")
	default:
		b.WriteString(head + "\n")
		wrapped(b, "      ", "[", names, "]")
	}
	if l.args != "" {
		b.WriteString("    args: {" + l.args + "}\n")
	}
	switch {
	case l.answer.action == policy.Deny && l.answer.errno != errno:
		b.WriteString("    errno: " + policy.ErrnoName(l.answer.errno) + "\n")
	case l.answer.action == policy.Skip && l.answer.value != 0:
		b.WriteString("    value: " + strconv.FormatInt(l.answer.value, 10) + "\n")
	}
}

// grouped puts groups that the source names in place of all their calls.
func (p *plan) grouped(names []string) []string {
	had, names := names, slices.Clone(names)
	var groups []string
	for _, name := range p.f.groups {
		g, ok := abi.FindGroup(name)
		if !ok || name == "@known" {
			continue
		}
		calls := g.Calls()
		if len(calls) > 0 && !slices.ContainsFunc(calls, func(call string) bool { return !slices.Contains(had, call) }) {
			groups = append(groups, strconv.Quote(name))
			names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(calls, n) })
		}
	}
	return append(groups, names...)
}

// comment writes text as comment lines. It may come from anyone.
func comment(b *strings.Builder, indent, text string) {
	wrapped(b, indent+"# ", "", strings.Fields(policy.Printable(oneLine(text))), "")
}

// wrapped writes words over lines; with brackets they are a list's.
func wrapped(b *strings.Builder, indent, open string, words []string, end string) {
	line := indent + open
	for i, w := range words {
		sep := " "
		if open != "" && i < len(words)-1 {
			w += ","
		}
		if i == 0 {
			sep = ""
		} else if len(line)+1+len(w) > columns {
			b.WriteString(line + "\n")
			line, sep = indent, ""
			if open != "" {
				line += " "
			}
		}
		line += sep + w
	}
	b.WriteString(line + end + "\n")
}
