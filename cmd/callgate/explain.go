package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor"
	"callgate/supervisor/verdict"

	"github.com/spf13/cobra"
)

// explainFlags are what `callgate explain` is told.
type explainFlags struct {
	policies []string
	rules    ruleFlags
	arch     string
	quiet    bool
}

func newExplain() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain [flags] [CALL | NAME ARG...]",
		Short: "Say what decides a call, in which tier, at which cost",
		Long: `With a call: which rule decides it and why, and whether the kernel's filter does
that by itself or the call must stop. Arguments are numbers, the constants of
the parameter, A|B, or texts in quotes, with ~ and $NAME as in rules; what is
left out is zero. Files are looked at as they are here and now, links and
scripts too; where a descriptor leads is not known. Without a call: the same for
each rule. Policies are found as for run.`,
		Example: `  callgate explain -p ci.yaml 'openat(AT_FDCWD, "/etc/passwd", O_RDONLY)'
  callgate explain -p ci.yaml socket AF_INET SOCK_STREAM
  callgate explain 'i386:open("/etc/passwd")'`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return abi.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.OutOrStdout(), args) },
	}
	cmd.Flags().SetInterspersed(false) // a call's arguments can be negative
	policyFlag(cmd, &f.policies)
	cmd.Flags().StringVar(&f.arch, "abi", "", "the call's `ABI`: x86_64, i386, x32 or aarch64")
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "as for run --quiet, where nobody is told of denials")
	completeArches(cmd)
	f.rules.flags(cmd)
	return cmd
}

func (f *explainFlags) run(out io.Writer, args []string) error {
	set, err := loadOrFind(loader(), f.policies, f.rules, "", 0, f.quiet)
	if err != nil {
		return err
	}
	opts, err := bind(set)
	if err != nil {
		return err
	}
	opts.Report = !f.quiet
	supervisor.HoldMetadata(set, &opts, &supervisor.Command{}) // one with nothing but pipes
	plan, err := compile.Compile(set, opts)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	if len(args) == 0 {
		explainRules(w, plan)
		return w.Flush()
	}
	c, err := f.call(args)
	if err != nil {
		return usagef("%w", err)
	}
	ground, err := verdict.NewGround(set, "", os.Environ())
	if err != nil {
		return err
	}
	explainCall(w, plan, ground, c)
	return w.Flush()
}

// call reads the call from the command line, in either form.
func (f *explainFlags) call(args []string) (policy.CallText, error) {
	arch := abi.Native()
	if f.arch != "" {
		var ok bool
		if arch, ok = abi.ParseArch(f.arch); !ok {
			return policy.CallText{}, fmt.Errorf("unknown ABI %q: expected x86_64, i386, x32 or aarch64", f.arch)
		}
	}
	text := strings.Join(args, " ")
	if !strings.Contains(args[0], "(") {
		text = args[0] + "(" + strings.Join(args[1:], ", ") + ")"
	}
	return policy.ParseCall(text, arch)
}

// explainCall says what becomes of one call, and what each policy says of it.
func explainCall(w io.Writer, plan *compile.Plan, ground *verdict.Ground, c policy.CallText) {
	name := "a number that the tables lack"
	if c.Entry != nil {
		name = c.Entry.Name
	}
	fmt.Fprintf(w, "call     %s (%v, number %d)\n", name, c.Arch, plainNr(c.Call))
	if c.Entry != nil && c.Entry.Unseen() {
		fmt.Fprintln(w, "verdict  none: "+verdict.Unseen)
		return
	}
	answer := ground.Ask(c)
	printVerdict(w, &answer.Finding)
	for i := range answer.Named {
		printFinding(w, &answer.Named[i])
	}
	fmt.Fprintf(w, "tier     %s\n", tierOf(plan, c, len(answer.Named) > 0))
	if len(plan.Set) == 1 {
		return
	}
	fmt.Fprintln(w, "the call's number and arguments, by policy, of which the strictest wins")
	for _, p := range plan.Set {
		one := p.Decide(c.Call)
		fmt.Fprintf(w, "  %-20s %s, by %s\n", printable(p.Name), verdictWords(one), place(one))
	}
}

func printVerdict(w io.Writer, f *verdict.Finding) {
	if f.Unknown != "" {
		fmt.Fprintf(w, "verdict  not known: %s\n", printable(f.Unknown))
		return
	}
	v := f.Verdict
	fmt.Fprintf(w, "verdict  %s\n", verdictWords(v))
	fmt.Fprintf(w, "by       %s\n", sourceOf(f))
	if v.Rule != nil && v.Rule.Reason != "" {
		fmt.Fprintf(w, "reason   %s\n", printable(v.Rule.Reason))
	}
}

// tierOf is who decides a call, and what that takes; names: sections speak of what it
// names.
func tierOf(plan *compile.Plan, c policy.CallText, names bool) string {
	tier, why := plan.Tier(c.Call)
	switch held := plan.Holders().Files == compile.Kernel; {
	case !names:
		return cost(tier, why)
	case tier == compile.Filter && held && mounted(plan, c.Entry):
		return "read-only mounts: no stop"
	case tier == compile.Filter && held:
		return "Landlock: no stop"
	case held && policy.UsesOf(c.Entry) != nil && policy.UsesOf(c.Entry)[0].Verb != policy.Changes:
		return cost(tier, why) // Landlock's verdict, told
	case tier == compile.Traced && plan.Set.Decide(c.Call).Action.Permits():
		return "traced and pinned: two stops, since " + why
	}
	return cost(tier, why)
}

// mounted says whether a call changes metadata that mounts hold.
func mounted(plan *compile.Plan, entry *abi.Syscall) bool {
	uses := policy.UsesOf(entry)
	return len(uses) > 0 && plan.Holders().Mounted(entry, uses[0].Verb)
}

// plainNr is a call's number as tables print it: x32's without its bit.
func plainNr(c abi.Call) uint32 {
	if c.Arch == abi.X32 {
		return c.Nr &^ abi.X32Bit
	}
	return c.Nr
}

// verdictWords is what a verdict does.
func verdictWords(v policy.Verdict) string {
	switch v.Action {
	case policy.Deny:
		return "deny, " + policy.ErrnoName(v.Errno)
	case policy.Skip:
		return fmt.Sprintf("skip, returns %d", v.Value)
	}
	return v.Action.String()
}

// source is what decided: the rule, with its place and text, or what else and
// whose.
func source(v policy.Verdict) string {
	switch {
	case v.Rule != nil:
		return fmt.Sprintf("%v: %s", v.Rule.Pos, printable(v.Rule.Text()))
	case v.Policy != nil:
		return printable(v.Policy.Name) + ": " + place(v)
	}
	return place(v)
}

// place is where what decided stands: the rule's, or what stands for one.
func place(v policy.Verdict) string {
	switch v.Cause {
	case policy.ByRule:
		return v.Rule.Pos.String()
	case policy.ByDefault:
		return "default, since no rule matches"
	case policy.ByUnknown:
		return "default, for a call that it does not know"
	case policy.ByCompat:
		return "compat, for every call of this ABI"
	case policy.ByForeign:
		return "an ABI that callgate does not know"
	}
	return v.Cause.String()
}

// cost is a tier and what it takes.
func cost(tier compile.Tier, why string) string {
	if tier == compile.Filter {
		return "filter: no stop"
	}
	return "traced: one stop, since " + why
}
