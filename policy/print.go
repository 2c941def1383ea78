package policy

import (
	"slices"
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// String prints the policy as a text of its own, without `extends` and `tests`: loaded
// again it decides the same.
func (p *Policy) String() string {
	var b strings.Builder
	b.WriteString("callgate: 1\n")
	if p.Description != "" {
		b.WriteString("description: " + strconv.Quote(p.Description) + "\n")
	}
	if !p.Open || p.sections.any() || p.Default == Allow {
		b.WriteString("default: " + p.Default.String() + "\n")
	}
	b.WriteString("errno: " + ErrnoName(p.Errno) + "\n")
	if p.Kernel != (abi.Version{}) {
		b.WriteString("kernel: " + versionText(p.Kernel) + "\n")
	}
	for sec := Syscalls; sec <= Network; sec++ {
		p.printRules(&b, sec)
	}
	b.WriteString("compat: {i386: " + p.Compat.I386.String() + ", x32: " + p.Compat.X32.String() + "}\n")
	p.Limits.print(&b)
	p.Environment.print(&b)
	if p.Isolate != 0 {
		b.WriteString("isolate: [" + p.Isolate.String() + "]\n")
	}
	return b.String()
}

func (p *Policy) printRules(b *strings.Builder, sec Section) {
	rules, has := p.Section(sec)
	switch {
	case !has:
		return
	case len(rules) == 0:
		b.WriteString(sec.String() + ": []\n")
		return
	}
	b.WriteString(sec.String() + ":\n")
	for _, r := range rules {
		b.WriteString("  - {" + r.String() + "}\n")
	}
}

func (e *Environment) print(b *strings.Builder) {
	if !e.Limited && len(e.Set) == 0 && !e.PrivateTmp {
		return
	}
	b.WriteString("environment:\n")
	if e.PrivateTmp {
		b.WriteString("  private-tmp: true\n")
	}
	if e.Limited {
		globs := make([]string, len(e.Keep))
		for i, g := range e.Keep {
			globs[i] = strconv.Quote(g)
		}
		b.WriteString("  keep: [" + strings.Join(globs, ", ") + "]\n")
	}
	if len(e.Set) == 0 {
		return
	}
	b.WriteString("  set:\n")
	names := make([]string, 0, len(e.Set))
	for name := range e.Set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString("    " + strconv.Quote(name) + ": " + strconv.Quote(e.Set[name]) + "\n")
	}
}

// String is the rule with all that it says, errno and reason included, as it
// stands between braces.
func (r *Rule) String() string {
	s := r.line(true)
	switch {
	case r.Action == Deny:
		s += ", errno: " + ErrnoName(r.Errno)
	case r.Action == Skip && r.Value != 0:
		s += ", value: " + strconv.FormatInt(r.Value, 10)
	}
	if r.Reason != "" {
		s += ", reason: " + strconv.Quote(r.Reason)
	}
	if r.Quiet {
		s += ", quiet: true"
	}
	return s
}

// Text is the rule on one line, as a person would write it: action, calls and conditions, or
// verb and paths or addresses.
func (r *Rule) Text() string { return r.line(false) }

// line is the rule's action, calls and conditions: `deny: ioctl, args:
// {request: [TIOCSTI, TIOCLINUX]}`. Of the other sections it is their verb with
// paths or addresses, as written or, if it is to mean the same anywhere, with
// relative paths made absolute.
func (r *Rule) line(anywhere bool) string {
	if r.Section != Syscalls {
		return r.verb.word + ": " + oneOrList(r.objects(anywhere))
	}
	names := make([]string, len(r.Calls))
	for i, n := range r.Calls {
		names[i] = n.Text
		if isGroup(n.Text) {
			names[i] = strconv.Quote(n.Text)
		}
	}
	s := r.Action.String() + ": " + oneOrList(names)
	if len(r.args) == 0 {
		return s
	}
	args := make([]string, len(r.args))
	for i, a := range r.args {
		args[i] = a.name + ": " + a.String()
	}
	return s + ", args: {" + strings.Join(args, ", ") + "}"
}

// objects are the rule's paths or addresses, quoted.
func (r *Rule) objects(anywhere bool) []string {
	words := make([]string, 0, len(r.patterns)+len(r.addresses))
	for i := range r.patterns {
		p := &r.patterns[i]
		text := p.text
		if anywhere {
			text = p.String()
		}
		words = append(words, strconv.Quote(text))
	}
	for i := range r.addresses {
		a := &r.addresses[i]
		text := a.text
		if anywhere {
			text = a.String()
		}
		words = append(words, strconv.Quote(text))
	}
	return words
}

func oneOrList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// String is the condition as a policy has it.
func (a *arg) String() string {
	asks := make([]string, len(a.asks))
	for i := range a.asks {
		asks[i] = a.asks[i].String()
	}
	if a.negate {
		return "{not: " + oneOrList(asks) + "}"
	}
	return oneOrList(asks)
}

func (k *ask) String() string {
	switch {
	case k.form == isEqual:
		return k.a.String()
	case k.form == isMasked:
		return "{mask: " + k.a.String() + ", is: " + k.b.String() + "}"
	case k.a == nil:
		return "{max: " + k.b.String() + "}"
	case k.b == nil:
		return "{min: " + k.a.String() + "}"
	}
	return "{min: " + k.a.String() + ", max: " + k.b.String() + "}"
}
