package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/host"

	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	strict := false
	cmd := &cobra.Command{
		Use:   "check [flags] [POLICY...]",
		Short: "Find a policy's mistakes, and say what it leaves open",
		Long: `Validate policies: files or builtin:NAME. Every mistake is printed with its
place, then what a policy leaves unrestricted, rules that never decide, paths
that are not there, and calls that this kernel lacks. Each policy is compiled
and its filters are proven, as for a run. Without POLICY it is the
.callgate.yaml that run would find.

The exit status is 0 if all is well, 1 if not: a mistake, or with --strict a
warning.`,
		Example:           `  callgate check --strict .callgate.yaml`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := namedOrFound(cmd, args)
			if err != nil {
				return err
			}
			return check(cmd.OutOrStdout(), names, strict)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings too")
	return cmd
}

// check goes through all policies, whatever is wrong with one.
func check(out io.Writer, names []string, strict bool) error {
	w := bufio.NewWriter(out)
	bad := false
	for _, name := range names {
		warnings, err := checkOne(w, name)
		bad = bad || err != nil || strict && warnings > 0
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad {
		return &failure{status: exitFindings}
	}
	return nil
}

// checkOne prints what is wrong with a policy, else what it does. An error has
// been printed.
func checkOne(w io.Writer, name string) (warnings int, err error) {
	l := loader()
	l.Tests = true
	p, err := l.Load(name)
	if err != nil {
		fmt.Fprintln(w, err)
		return 0, err
	}
	set, err := l.Guard(policy.Set{p})
	var told, quiet *compile.Plan
	var opts compile.Options
	if err == nil {
		opts, err = bind(set)
	}
	if err == nil {
		quiet, err = compile.Compile(set, opts)
	}
	if err == nil {
		opts.Report = true
		told, err = compile.Compile(set, opts)
	}
	if err != nil {
		fmt.Fprintf(w, "%s: %s\n", printable(name), strings.Join(linesOf(err), "\n"))
		return 0, err
	}
	fmt.Fprintf(w, "%s: ok: %s\n", printable(name), summary(p))
	fmt.Fprintf(w, "  %-17v %v\n  %-17s %v\n", abi.Native(), countTiers(told), "with run --quiet", countTiers(quiet))
	if p.Isolate != 0 {
		fmt.Fprintf(w, "  %-17s %v\n", "isolates", p.Isolate)
	}
	if left := p.LeftOut(); len(left) > 0 {
		fmt.Fprintf(w, "  adds no restriction of its own in %s: no such section\n", sectionList(left))
	}
	for _, sec := range pathSections {
		if _, has := p.Section(sec); has {
			fmt.Fprintf(w, "  %-17v %s\n", sec, sectionCost(quiet, sec))
		}
	}
	printLimits(w, &p.Limits)
	env := set.Environ(os.Environ())
	if set.PrivateTmp() {
		env = append(env, "TMPDIR="+os.TempDir()) // there will be one
	}
	at, err := host.Place("", env)
	if err != nil {
		return 0, err
	}
	found := policy.Lint(set, host.KernelVersion())
	found = append(found, policy.LintCalls(set, abi.OfHost(), compile.Deciders)...)
	found = append(found, policy.LintPaths(policy.Set{p}, at, maybeExists)...)
	if sections := quiet.Sections(); sections != nil {
		found = append(found, sections.Unfollowed()...)
	}
	for _, warning := range found {
		fmt.Fprintf(w, "%v: warning: %s\n", warning.Pos, withHint(warning))
	}
	return len(found), nil
}

// maybeExists is false only of what surely is not there.
func maybeExists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func sectionList(sections []policy.Section) string {
	words := make([]string, len(sections))
	for i, s := range sections {
		words[i] = s.String()
	}
	return strings.Join(words, ", ")
}

func withHint(w policy.Warning) string {
	if w.Hint == "" {
		return printable(w.Message)
	}
	return printable(w.Message + "; " + w.Hint)
}

// summary is a policy in some words.
func summary(p *policy.Policy) string {
	compat := fmt.Sprintf("i386 %v, x32 %v", p.Compat.I386, p.Compat.X32)
	var parts []string
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		rules, has := p.Section(sec)
		switch {
		case has && sec == policy.Syscalls:
			parts = append(parts, countRules(len(rules)))
		case has:
			parts = append(parts, sec.String()+" "+countRules(len(rules)))
		case sec == policy.Syscalls:
			parts = append(parts, "system calls are not restricted")
		}
	}
	if len(p.LeftOut()) <= int(policy.Network) {
		parts = append(parts, "default "+p.Default.String())
	}
	if n := countLimits(&p.Limits); n > 0 {
		parts = append(parts, count(n, "limit"))
	}
	if n := len(p.Tests); n > 0 {
		parts = append(parts, count(n, "test"))
	}
	return strings.Join(parts, ", ") + "; " + compat
}

func countRules(n int) string { return count(n, "rule") }

func count(n int, word string) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", n, plural(n, word)))
}

func countLimits(l *policy.Limits) (n int) {
	for _, r := range policy.Resources() {
		if l.Has(r) {
			n++
		}
	}
	return n
}

// tierCounts says how many of an ABI's calls are decided where.
type tierCounts struct{ filter, traced, either int }

func countTiers(plan *compile.Plan) tierCounts {
	var n tierCounts
	for s := range abi.Native().All() {
		filter, traced := false, false
		cases, _ := plan.Cases(s.Arch, s.Nr)
		for _, c := range cases {
			filter = filter || c.Tier == compile.Filter
			traced = traced || c.Tier == compile.Traced
		}
		switch {
		case filter && traced:
			n.either++
		case traced:
			n.traced++
		default:
			n.filter++
		}
	}
	return n
}

func (n tierCounts) String() string {
	return fmt.Sprintf("%3d calls without a stop, %3d with one, %3d by their arguments", n.filter, n.traced, n.either)
}
