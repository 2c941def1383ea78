package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"callgate/policy/abi"
)

// Warning is something that a policy's author may not have meant. It keeps
// nothing from running.
type Warning struct {
	Pos     Position // Line is 0 where the whole policy is meant
	Message string
	Hint    string // may be empty
}

// String is "file:line:column: message; hint".
func (w Warning) String() string {
	m := Mistake{Pos: w.Pos, Message: w.Message, Hint: w.Hint}
	return m.String()
}

// Lint says what a set of policies leaves unrestricted, which rules on files,
// programs and addresses decide nothing, and which calls a kernel of that version does not have (the zero
// Version: any kernel). Only what a policy's own file says is looked at, not
// what it extends. Policies that come with callgate are taken as they are, unless
// nothing but guards stands beside one, but heeded where they overrule the others.
func Lint(s Set, kernel abi.Version) []Warning {
	var all []Warning
	for _, l := range s.linters() {
		l.kernel = kernel
		l.sections()
		l.reachSections()
		l.addresses()
		l.names()
		l.dangers()
		all = append(all, l.inOrder()...)
	}
	return all
}

// linters are those of the policies that are looked at.
func (s Set) linters() []*linter {
	var all []*linter
	for i, p := range s {
		if !strings.HasPrefix(p.Name, builtinPrefix) || i == 0 && s.guardsOne() {
			all = append(all, &linter{policy: p, set: s})
		}
	}
	return all
}

// guardsOne says whether the set is one policy and what Loader.Guard may have added.
func (s Set) guardsOne() bool {
	return !slices.ContainsFunc(s[1:], func(p *Policy) bool { return !IsGuard(p.Name) })
}

type linter struct {
	policy *Policy
	set    Set
	kernel abi.Version
	found  []Warning
}

func (l *linter) inOrder() []Warning {
	slices.SortStableFunc(l.found, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return l.found
}

func (l *linter) warn(pos Position, hint, format string, args ...any) {
	l.found = append(l.found, Warning{pos, fmt.Sprintf(format, args...), hint})
}

func (l *linter) where(r *Rule) string {
	return fmt.Sprintf("%s: %s", r.Pos, r.word())
}

// own says whether the rule stands in the policy's own file.
func (l *linter) own(r *Rule) bool { return r.Pos.File == l.policy.Name }

// sections names what the policy does not restrict at all.
func (l *linter) sections() {
	p, whole := l.policy, Position{File: l.policy.Name}
	if p.Open {
		l.warn(whole, "", "there is no syscalls section: system calls are not restricted")
	} else if !p.Default.Restricts() {
		l.warn(whole, "", "default: %s permits every system call that no rule names", p.Default)
	}
	for sec := Files; sec <= Network && !p.Default.Restricts(); sec++ {
		if p.sections[sec].has {
			l.warn(whole, "", "default: %s permits all that no rule of %s names", p.Default, sec)
		}
	}
	if !p.Environment.Limited {
		l.warn(whole, "", "environment keeps everything: the command sees all of the caller's variables")
	}
}

// names looks at the calls that rules name one by one: calls that the kernel
// lacks, and permissions that another policy of the set takes back.
func (l *linter) names() {
	for _, r := range l.policy.Rules {
		if !l.own(r) {
			continue
		}
		for _, n := range r.Calls {
			if isGroup(n.Text) {
				continue
			}
			s := exemplar(n.Text)
			if s.Unseen() {
				l.warn(n.Pos, "leave it out", "recent kernels do not show %s to seccomp, so that no rule reaches it", n.Text)
				continue
			}
			if l.kernel != (abi.Version{}) && l.kernel.Before(s.Since) {
				l.warn(n.Pos, "", "%s needs Linux %s; this is %s", n.Text, versionText(s.Since), versionText(l.kernel))
			}
			if other := l.overruled(s); other != nil && r.Action.Permits() {
				l.warn(n.Pos, "", "%s stays forbidden: %s says %s", n.Text, other.Pos, other.Action)
			}
		}
	}
}

// overruled gives another policy's rule that forbids the call whatever its
// arguments, nil if there is none.
func (l *linter) overruled(s *abi.Syscall) *Rule {
	for _, p := range l.set {
		if p == l.policy {
			continue
		}
		if c := p.Clauses(s.Arch, s.Nr); len(c) > 0 && len(c[0].Conds) == 0 && !c[0].Rule.Action.Permits() {
			return c[0].Rule
		}
	}
	return nil
}

// dangerous lists, by what they do, calls that few programs need and that lead
// out of a sandbox or deep into the kernel. A policy that permits one should
// name it.
var dangerous = []struct{ what, calls string }{
	{"reaches into other processes", "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd"},
	{"makes or enters namespaces", "setns unshare"},
	{"mounts file systems", "mount umount2 move_mount fsopen open_tree pivot_root chroot"},
	{"runs code in the kernel", "bpf init_module finit_module kexec_load kexec_file_load"},
	{"goes around file permissions", "open_by_handle_at"},
	{"goes around system-call rules", "io_uring_setup userfaultfd"},
	{"measures or reads the kernel", "perf_event_open syslog"},
	{"uses the kernel's keyrings", "keyctl add_key request_key"},
}

// dangers reports dangerous calls that are permitted without being named: by a
// group of the file's own, or by the default.
func (l *linter) dangers() {
	if l.policy.Open {
		return
	}
	type cause struct {
		rule *Rule
		what string
	}
	permitted := map[cause][]string{}
	var order []cause
	for _, d := range dangerous {
		for name := range strings.FieldsSeq(d.calls) {
			r, unnamed := l.permits(name)
			if !unnamed {
				continue
			}
			c := cause{r, d.what}
			if permitted[c] == nil {
				order = append(order, c)
			}
			permitted[c] = append(permitted[c], name)
		}
	}
	for _, c := range order {
		calls := strings.Join(permitted[c], ", ")
		if c.rule == nil {
			l.warn(Position{File: l.policy.Name}, "deny what the command does not need", "default: %s permits %s, which %s", l.policy.Default, calls, c.what)
		} else {
			l.warn(c.rule.Pos, "name it if that is meant", "a group of this rule permits %s, which %s", calls, c.what)
		}
	}
}

// permits gives the rule of the policy's own file that permits a call through
// a group, whatever its arguments, or nil and true if the default does.
func (l *linter) permits(name string) (*Rule, bool) {
	s := exemplar(name)
	if s == nil || l.overruled(s) != nil {
		return nil, false
	}
	clauses := l.policy.Clauses(s.Arch, s.Nr)
	if len(clauses) == 0 {
		return nil, !l.policy.DefaultFor(s.Arch, s.Nr).Action.Restricts()
	}
	r := clauses[0].Rule
	named := slices.ContainsFunc(r.Calls, func(n Name) bool { return n.Text == name })
	return r, !r.Action.Restricts() && !named && l.own(r)
}
