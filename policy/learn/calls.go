package learn

import (
	"maps"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// telling are the parameters of calls that are many calls in one: rules that are learned
// have conditions on them.
var telling = map[string][]string{
	"clone":       {"flags"},
	"unshare":     {"flags"},
	"socket":      {"domain", "type"},
	"socketpair":  {"family", "domain", "type"},
	"ioctl":       {"request"},
	"prctl":       {"option"},
	"arch_prctl":  {"op"},
	"personality": {"persona"},
	"keyctl":      {"operation"},
	"bpf":         {"cmd"},
	"seccomp":     {"op"},
	"mknod":       {"mode"},
	"mknodat":     {"mode"},
}

// namespaces are the flags of clone(2) that make one (linux/sched.h).
const namespaces = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000

const noNamespaces = "{ mask: CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|CLONE_NEWNET, is: 0 }"

// values are the conditions on a call, each "PARAMETER: VALUE", in the order of its
// parameters: on those that tell it apart, and those that the base has conditions on.
func (l *Log) values(entry *abi.Syscall, c abi.Call) []string {
	names := telling[entry.Canonical]
	for _, clause := range l.Base.Clauses(c.Arch, c.Nr) {
		for i := range clause.Conds {
			if name := clause.Conds[i].Param.Name; !slices.Contains(names, name) {
				names = append(slices.Clip(names), name)
			}
		}
	}
	var list []string
	for i := range entry.Params {
		if p := &entry.Params[i]; slices.Contains(names, p.Name) {
			list = append(list, p.Name+": "+policy.Literal(p, &c.Args))
		}
	}
	return list
}

// callRules are the rules on system calls.
func (l *Log) callRules() (rules []rule) {
	var plain []string
	for _, name := range slices.Sorted(maps.Keys(l.calls)) {
		of := l.calls[name]
		if _, without := of[""]; without {
			plain = append(plain, name)
			continue
		}
		if name == "clone" && !l.conditioned("clone") && !slices.ContainsFunc(slices.Collect(maps.Values(of)), func(s *seen) bool { return !s.clean }) {
			rules = append(rules, rule{text: "allow: clone", args: "{ flags: " + noNamespaces + " }", comment: all(of).String()})
			continue
		}
		rules = append(rules, conditioned(name, of)...)
	}
	return append(plainRules(plain, !l.Extending), rules...)
}

// conditioned says whether the base has a condition on a call.
func (l *Log) conditioned(name string) bool {
	entry, ok := abi.Native().ByName(name)
	return ok && len(l.Base.Clauses(entry.Arch, entry.Nr)) > 0
}

// plainRules are rules on calls whatever their arguments: as many as lines are needed. What
// every program calls goes by the group's name.
func plainRules(names []string, common bool) (rules []rule) {
	if group, ok := abi.FindGroup("@default"); common && ok && len(names) > 0 {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(group.Calls(), name) })
		rules = append(rules, rule{text: `allow: "@default"`, comment: "what every program's start and end needs"})
	}
	for len(names) > 0 {
		n, width := 0, len("  - allow: []")
		for n < len(names) && (n == 0 || width+len(names[n])+2 <= columns) {
			width += len(names[n]) + 2
			n++
		}
		rules = append(rules, rule{text: "allow: " + flow(names[:n])})
		names = names[n:]
	}
	return rules
}

// conditioned are the rules on a call by its arguments: those that differ in the last one
// alone are one.
func conditioned(name string, of map[string]*seen) (rules []rule) {
	var heads []string
	last, by := map[string][]string{}, map[string]*seen{}
	for _, key := range slices.Sorted(maps.Keys(of)) {
		s := of[key]
		n := len(s.values) - 1
		param, value, _ := strings.Cut(s.values[n], ": ")
		head := strings.Join(append(slices.Clone(s.values[:n]), param+": "), ", ")
		if by[head] == nil {
			heads = append(heads, head)
			by[head] = &seen{}
		}
		by[head].merge(s)
		last[head] = append(last[head], value)
	}
	for _, head := range heads {
		rules = append(rules, rule{text: "allow: " + name, args: "{ " + head + flow(last[head]) + " }", comment: by[head].String()})
	}
	return rules
}

// all is everybody who asked.
func all(of map[string]*seen) *seen {
	s := &seen{}
	for _, one := range of {
		s.merge(one)
	}
	return s
}

// flow is a list as YAML has it, one alone without brackets.
func flow(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return "[" + strings.Join(words, ", ") + "]"
}
