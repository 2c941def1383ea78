package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/attack"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// attackFlags are what `callgate doctor --attack` is told.
type attackFlags struct {
	attack  bool
	tries   int
	sandbox runFlags
}

// raceTries are enough for a supervisor that only checks to lose a race (e2e_attack_test.go).
const raceTries = 3000

func (f *attackFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.attack, "attack", false, "try to break out of the policy, harmlessly")
	policyFlag(cmd, &f.sandbox.policies)
	flags.BoolVarP(&f.sandbox.quiet, "quiet", "q", false, "as for run --quiet, where the filters deny by themselves")
	flags.StringArrayVar(&f.sandbox.room.words, "isolate", nil, "as for run, a `LIST`")
	flags.IntVar(&f.tries, "tries", raceTries, "of each race, `N`")
	_ = cmd.RegisterFlagCompletionFunc("isolate", completeIsolation) // it fails only for a flag that is not there
}

// alone refuses what is for --attack without it.
func (f *attackFlags) alone(cmd *cobra.Command) error {
	for _, name := range []string{"policy", "quiet", "isolate", "tries"} {
		if cmd.Flags().Changed(name) {
			return &failure{status: exitUsage, err: fmt.Errorf("--%s is for --attack", name), hint: "callgate doctor --attack"}
		}
	}
	return nil
}

func (f *attackFlags) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, a := range attack.Attacks() {
		names = append(names, a.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// run tries the attacks of these names, or all.
func (f *attackFlags) run(out io.Writer, names []string) error {
	attacks, err := attacksNamed(names)
	if err != nil {
		return ownFailure(err)
	}
	if f.tries < 1 {
		return ownFailure(fmt.Errorf("--tries %d: expected a number from 1", f.tries))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	defer stop()
	if err := f.sandbox.check(); err != nil {
		return ownFailure(err)
	}
	defer f.sandbox.room.leave()
	j, err := f.prepare()
	if err != nil {
		return err
	}
	t := &trials{ctx: ctx, prepared: j, quiet: f.sandbox.quiet, tries: f.tries}
	if err := t.furnish(f.sandbox.room.own()); err != nil {
		return ownFailure(err)
	}
	if err = t.starts(); err == nil {
		err = t.all(out, attacks)
	}
	if left := t.ground.Close(); left != nil {
		return ownFailure(errors.Join(err, left))
	}
	return err
}

// attacksNamed are those of the table with these names, all without a name.
func attacksNamed(names []string) ([]attack.Attack, error) {
	all := attack.Attacks()
	if len(names) == 0 {
		return all, nil
	}
	var list []attack.Attack
	var known []string
	for _, a := range all {
		known = append(known, a.Name)
		if slices.Contains(names, a.Name) {
			list = append(list, a)
		}
	}
	var unknown []error
	for _, name := range names {
		if !slices.Contains(known, name) {
			err := fmt.Errorf("there is no attack %q", name)
			if near := policy.Nearest(name, known); near != "" {
				err = fmt.Errorf("%w; did you mean %q?", err, near)
			}
			unknown = append(unknown, err)
		}
	}
	return list, errors.Join(unknown...)
}

// prepare loads the policies and has all ready for this program, which is what attacks.
func (f *attackFlags) prepare() (*prepared, error) {
	s := &f.sandbox
	if len(s.policies) == 0 {
		name, err := found("", s.quiet)
		if err != nil {
			return nil, ownFailure(err)
		}
		s.policies = []string{name}
	}
	set, err := loadOrFind(loader(), s.policies, nil, "", s.room.isolate, s.quiet)
	if err != nil {
		return nil, ownFailure(err)
	}
	program, err := itself()
	if err != nil {
		return nil, ownFailure(err)
	}
	j, err := s.ready(set, program, []string{attack.Program})
	if err != nil || attack.NewJudge(j.plan, nil).Runs(program) {
		return j, err
	}
	if j.set, err = s.permitting(program, j.plan); err != nil {
		return nil, ownFailure(err)
	}
	if j.plan, err = s.plan(j.set, &j.command); err != nil {
		return nil, ownFailure(err)
	}
	return j, nil
}

// itself is this program's file.
func itself() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(program)
}

// permitting loads the policies with the least more that lets callgate itself be run, for
// it is the attacker, and says so.
func (f *runFlags) permitting(program string, plan *compile.Plan) (policy.Set, error) {
	rules, more := leave(program, plan.Sections())
	said := "the policy does not let callgate itself be run, which is the attacker: attacked with " + strings.Join(more, " and ") + " before its rules"
	if !f.quiet {
		say(os.Stderr, said)
	}
	l := loader()
	texts := map[string]string{}
	names := make([]string, len(f.policies))
	for i, name := range f.policies {
		extended := name
		if !strings.HasPrefix(name, "builtin:") {
			file, err := filepath.Abs(name)
			if err != nil {
				return nil, err
			}
			extended = file
		}
		names[i] = fmt.Sprintf("/proc/self/attacker-%d.yaml", i) // there is no such file
		texts[names[i]] = fmt.Sprintf("callgate: 1\nextends: %q\n%s", extended, rules)
	}
	l.ReadFile = func(path string) ([]byte, error) {
		if text, ours := texts[path]; ours {
			return []byte(text), nil
		}
		return os.ReadFile(path)
	}
	set, err := l.LoadAll(names...)
	if err != nil {
		return nil, err
	}
	for i := range set {
		set[i].Name = f.policies[i]
	}
	set[0].Isolate |= f.room.isolate
	return l.Guard(set)
}

// leave are rules that permit to run a program, as the text of a policy, and one by one.
func leave(program string, b *policy.Sections) (text string, rules []string) {
	for _, o := range []policy.Object{
		{Section: policy.Files, Access: policy.Read, Path: program},
		{Section: policy.Exec, Path: program},
	} {
		denied := b.Has(o.Section) && (o.Section == policy.Files && b.File(program, policy.Read).Action.Restricts() ||
			o.Section == policy.Exec && b.Program(program).Action.Restricts())
		if rule, _ := o.Rule(); denied {
			text += fmt.Sprintf("%v:\n  - %s\n", o.Section, rule)
			rules = append(rules, fmt.Sprintf("%v: - %s", o.Section, rule))
		}
	}
	return text, rules
}
