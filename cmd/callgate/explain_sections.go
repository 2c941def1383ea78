package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/host"
	"callgate/supervisor/verdict"
)

// bind makes the options that a set is compiled with for this folder. A private
// temporary folder is none that is there now.
func bind(set policy.Set) (compile.Options, error) {
	caller := os.Environ()
	env := set.Environ(caller)
	if set.PrivateTmp() {
		isTmp := func(line string) bool { return strings.HasPrefix(line, "TMPDIR=") }
		caller, env = slices.DeleteFunc(caller, isTmp), slices.DeleteFunc(env, isTmp)
	}
	return host.Bind(set, "", env, caller, "")
}

// printFinding writes the line for one thing that a call names.
func printFinding(w io.Writer, f *verdict.Finding) {
	switch {
	case f.Note != "":
		fmt.Fprintf(w, "note     %s\n", printable(f.Note))
	case f.Unknown != "":
		fmt.Fprintf(w, "%-8s %s: not known\n", f.Section, printable(f.What))
	default:
		fmt.Fprintf(w, "%-8s %s: %s, by %s\n", f.Verdict.Section, printable(f.What), verdictWords(f.Verdict), sourceOf(f))
	}
}

// sourceOf is what decided.
func sourceOf(f *verdict.Finding) string {
	if f.By != "" {
		return f.By
	}
	return source(f.Verdict)
}

// costOf is sectionCost, for a guard's one rule where Landlock does not hold it.
func costOf(plan *compile.Plan, sec policy.Section, p *policy.Policy) string {
	switch {
	case !policy.IsGuard(p.Name):
		return sectionCost(plan, sec)
	case plan.Holders().Memory:
		return "traced and pinned: two stops for an open for writing"
	}
	return "Landlock: no stop"
}

// sectionCost is who enforces a section, and what that takes.
func sectionCost(plan *compile.Plan, sec policy.Section) string {
	h, l := plan.Holders(), plan.Landlock()
	switch {
	case sec == policy.Files && h.Mounts:
		return "Landlock, and read-only mounts what it does not hold, changes of metadata (chmod, utimensat): no stop, but two for watching (inotify)"
	case sec == policy.Files && h.Files == compile.Kernel:
		return "Landlock: no stop; two stops for what it does not hold, changes of metadata (chmod, utimensat) and watching (inotify)"
	case sec == policy.Files:
		return "traced and pinned: two stops, since " + l.Files.Why
	case sec == policy.Exec:
		return "traced and pinned, as every execve stops"
	}
	return "traced and pinned: two stops, since addresses are in the tracee's memory"
}

// pathSections are those that are about what arguments point to.
var pathSections = [...]policy.Section{policy.Files, policy.Exec, policy.Network}

// explainSections says of each rule of the sections who enforces it.
func explainSections(w io.Writer, plan *compile.Plan, p *policy.Policy) {
	for _, sec := range pathSections {
		rules, has := p.Section(sec)
		if !has {
			continue
		}
		fmt.Fprintf(w, "%v: %s\n", sec, costOf(plan, sec, p))
		for _, r := range rules {
			fmt.Fprintf(w, "%v: %s\n", r.Pos, printable(r.Text()))
		}
	}
}
