package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/learn"
	"callgate/supervisor"
	"callgate/supervisor/host"

	"github.com/spf13/cobra"
)

// learnFlags are what `callgate learn` is told.
type learnFlags struct {
	run    runFlags // its policies are those that are extended
	output string
	bare   bool
	under  []string
	lift   []string
	force  bool
	verify bool
}

func newLearn() *cobra.Command {
	var f learnFlags
	cmd := &cobra.Command{
		Use:   "learn -o POLICY [flags] [--] COMMAND [ARG]...",
		Short: "Run a command, and write the policy that lets it run",
		Long: `Run a command, and write a policy that extends BASE by what the command asked
for and BASE has no rule on. WHAT NO RULE DENIES IS DONE: learn from what you
trust, or --under a policy that holds meanwhile. What a rule of BASE denies, and
what builtin:default hides, stays denied and is told; --lift has it learned too.

The exit status is the command's, as that of run; 125 if nothing was written.`,
		Example: `  callgate learn -o .callgate.yaml -- make test`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &failure{status: exitCallgate, err: errors.New("no command to run"), hint: "callgate learn -o POLICY -- COMMAND"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.learn(args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.StringVarP(&f.output, "to", "o", "", "the `POLICY` to write, or - (stdout)")
	flags.StringArrayVarP(&f.run.policies, "policy", "p", nil, "extend `BASE` (builtin:base), a file or builtin:NAME; may be repeated")
	flags.BoolVar(&f.bare, "bare", false, "extend nothing: write all that it takes")
	flags.StringArrayVar(&f.under, "under", nil, "a policy `FILE` or builtin:NAME that holds meanwhile; may be repeated")
	flags.StringArrayVar(&f.lift, "lift", nil, "do and learn what `RULE`, FILE:LINE, denies; or \"compat\"")
	flags.BoolVar(&f.force, "force", false, "replace a file that is there")
	flags.BoolVar(&f.verify, "verify", false, "run the command again, under what was written")
	flags.BoolVarP(&f.run.quiet, "quiet", "q", false, "tell only of callgate's own failures")
	addTopic(cmd, "limits", "how much the command may use, and for how long", f.run.limits.flags)
	addTopic(cmd, "room", "the command's folder, environment, user and terminal", f.run.room.flags)
	for _, name := range []string{"policy", "under"} {
		_ = cmd.RegisterFlagCompletionFunc(name, completePolicies) // it fails only for a flag that is not there
	}
	return cmd
}

// learn is the whole job.
func (f *learnFlags) learn(args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	again := f.run // before anything is made for the first run
	defer f.run.room.leave()
	if err := f.run.check(); err != nil {
		return ownFailure(err)
	}
	l, err := f.prepare(args)
	if err != nil {
		return err
	}
	j, err := f.run.prepareUnder(l.set, args)
	if err != nil {
		return err
	}
	if err := l.place(&f.run, j); err != nil {
		return ownFailure(err)
	}
	if !f.run.quiet {
		say(os.Stderr, "learning: what no rule denies is done, not kept from the command")
	}
	ended := f.run.execute(j)
	var end *failure
	if ended != nil && !(errors.As(ended, &end) && end.err == nil) {
		return ended // it did not come to its end, or not to a start
	}
	if err := f.write(l, args); err != nil {
		return ownFailure(err)
	}
	if f.verify {
		if err := f.again(again, args); err != nil {
			return err
		}
	}
	return ended
}

// check finds what was asked for and cannot be, before anything is run.
func (f *learnFlags) check() error {
	switch {
	case f.output == "":
		return &failure{status: exitCallgate, err: errors.New("no policy to write was named"), hint: "-o FILE, or -o - for standard output"}
	case f.bare && len(f.run.policies) > 0:
		return ownFailure(errors.New("--bare extends nothing, and -p names what to extend"))
	case len(f.run.room.words) > 0:
		return ownFailure(errors.New("--isolate does not go with learn: names mean others in a sandbox with mounts of its own"))
	case f.output == "-" && f.verify:
		return ownFailure(errors.New("--verify needs a file: -o FILE"))
	case f.output == "-":
		return nil
	}
	if st, err := os.Stat(filepath.Dir(f.output)); err != nil || !st.IsDir() {
		return ownFailure(fmt.Errorf("%s: there is no folder %s", printable(f.output), printable(filepath.Dir(f.output))))
	}
	_, err := os.Lstat(f.output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return ownFailure(err)
	case !f.force:
		return &failure{status: exitCallgate, err: fmt.Errorf("%s is there already, and is not overwritten", printable(f.output)),
			hint: "--force replaces it; -p " + shellWord(f.output) + " -o ANOTHER writes what it lacks"}
	}
	return nil
}

// learning is a run that is learned from.
type learning struct {
	log     learn.Log
	draft   learn.Draft
	set     policy.Set // the base, its default a log; what stays hidden; ceilings
	real    policy.Set // the base as it is
	bound   *policy.Sections
	lifted  map[*policy.Rule]bool
	hides   *policy.Policy // what builtin:default hides
	ceiling bool           // a call was kept from the command by --under
}

// bareText is a policy that permits nothing.
const bareText = "callgate: 1\nsyscalls: []\nfiles: []\nexec: []\nnetwork: []\n"

// learnedName is what positions call the policy that is asked while it is learned.
const learnedName = "learn"

// prepare loads the policies that the command is learned under.
func (f *learnFlags) prepare(args []string) (*learning, error) {
	if !f.bare && len(f.run.policies) == 0 {
		f.run.policies = []string{"builtin:base"}
	}
	l := &learning{}
	real, err := f.base(bareText, "callgate: 1\n")
	if err != nil {
		return nil, ownFailure(err)
	}
	l.real = policy.Set{real}
	if sections := real.LeftOut(); len(sections) == 4 {
		return nil, &failure{status: exitCallgate, err: fmt.Errorf("%s restricts nothing, so that nothing can be learned", strings.Join(f.run.policies, ", ")),
			hint: "-p builtin:base, or --bare"}
	}
	start := "callgate: 1\n"
	if !real.Default.Permits() {
		start += "default: log\n"
	}
	if slices.Contains(f.lift, "compat") {
		start += "compat: { i386: same, x32: same }\n"
	}
	base, err := f.base(bareText+"default: log\ncompat: { i386: same, x32: same }\n", start)
	if err != nil {
		return nil, ownFailure(err)
	}
	standard, err := loader().Load(defaultPolicy)
	if err != nil {
		return nil, ownFailure(err)
	}
	if err := l.liftRules(f.lift, base, standard); err != nil {
		return nil, err
	}
	l.hides = standard.Denials(policy.Files, func(r *policy.Rule) bool { return slices.Contains(f.lift, learn.Spot(r)) })
	l.set = policy.Set{base, l.hides}
	if len(f.under) > 0 {
		under, err := loader().LoadAll(f.under...)
		if err != nil {
			return nil, ownFailure(err)
		}
		l.set = append(l.set, under...)
	}
	if err := f.run.limits.narrow(l.set); err != nil {
		return nil, ownFailure(err)
	}
	if l.set, err = loader().Guard(l.set); err != nil {
		return nil, ownFailure(err)
	}
	l.log.Base, l.log.Extending = base, !f.bare
	if f.draft(l, args); !base.Environment.PrivateTmp {
		f.run.room.privateTmp, l.draft.PrivateTmp = true, true
	}
	f.run.found = l.found
	return l, nil
}

// base is a policy that extends those that are named, or the text for none.
func (f *learnFlags) base(bare, start string) (*policy.Policy, error) {
	if f.bare {
		return loader().Parse(learnedName, []byte(bare))
	}
	names := make([]string, len(f.run.policies))
	for i, name := range f.run.policies {
		names[i] = strconv.Quote(name)
	}
	p, err := loader().Parse(learnedName, []byte(start+"extends: ["+strings.Join(names, ", ")+"]\n"))
	var mistakes policy.Mistakes
	if errors.As(err, &mistakes) {
		for i := range mistakes {
			if mistakes[i].Pos.File == learnedName { // it was named on the command line
				mistakes[i].Pos = policy.Position{File: "-p"}
			}
		}
	}
	return p, err
}

// liftRules has the rules that --lift names log instead of deny.
func (l *learning) liftRules(places []string, base, standard *policy.Policy) error {
	left := slices.DeleteFunc(slices.Clone(places), func(place string) bool { return place == "compat" })
	named := func(r *policy.Rule) bool {
		spot := learn.Spot(r)
		if !slices.Contains(places, spot) {
			return false
		}
		left = slices.DeleteFunc(left, func(place string) bool { return place == spot })
		return true
	}
	l.lifted = map[*policy.Rule]bool{}
	for _, r := range base.Lift(named) {
		l.lifted[r] = true
	}
	standard.Denials(policy.Files, named)
	if len(left) > 0 {
		return &failure{status: exitCallgate, err: fmt.Errorf("--lift %s: no rule that denies stands there", printable(left[0])),
			hint: "name a rule as a denial does: FILE:LINE; what callgate's own guards deny cannot be lifted"}
	}
	return nil
}

// draft is what the policy is written with.
func (f *learnFlags) draft(l *learning, args []string) {
	l.draft.Command = args
	dir := f.folder()
	for _, name := range f.run.policies {
		if !strings.HasPrefix(name, "builtin:") && !filepath.IsAbs(name) {
			if here, err := filepath.Abs(name); err == nil {
				if rel, err := filepath.Rel(dir, here); err == nil {
					name = rel
				}
			}
		}
		l.draft.Extends = append(l.draft.Extends, name)
	}
}

// folder is where the policy is to lie; standard output is here.
func (f *learnFlags) folder() string {
	dir := "."
	if f.output != "-" {
		dir = filepath.Dir(f.output)
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return real(dir)
}

// real is a path without symbolic links, where it can be told.
func real(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// place says where the command is learned from.
func (l *learning) place(f *runFlags, j *prepared) error {
	at, err := host.Place(f.room.dir, j.command.Env)
	if err != nil {
		return err
	}
	opts, err := host.Bind(l.real, f.room.dir, j.command.Env, "")
	if err != nil {
		return err
	}
	l.bound = opts.Sections
	p := &l.draft.Place
	p.Work, p.Home = real(at.Dir), real(at.Home)
	if f.room.tmp != nil {
		p.Tmp = real(f.room.tmp.Path)
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		p.Shared = append(p.Shared, real(dir))
	}
	l.widen(j.plan.Sections())
	return nil
}

// widen finds the folders that no rule is to be on for the sake of what is in them: those
// that a denied name is beneath; and the rules that must stand before what is learned.
func (l *learning) widen(b *policy.Sections) {
	if b == nil {
		return
	}
	policies := b.Policies(policy.Files)
	for i, rules := range b.Rules(policy.Files) {
		if policy.IsGuard(policies[i].Name) {
			continue
		}
		for _, bound := range rules {
			if bound.Rule.Action.Permits() {
				continue
			}
			anywhere := false
			for _, at := range bound.Paths {
				anywhere = anywhere || at.Glob && at.Path == "/"
				above := path.Dir(at.Path)
				if at.Glob {
					above = at.Path
				}
				for ; above != "/"; above = path.Dir(above) {
					if !slices.Contains(l.draft.Place.Wide, above) {
						l.draft.Place.Wide = append(l.draft.Place.Wide, above)
					}
				}
			}
			if anywhere && policies[i] == l.log.Base {
				l.draft.Kept = append(l.draft.Kept, bound.Rule)
			}
		}
	}
}

// found takes in what the supervisor tells of.
func (l *learning) found(f supervisor.Finding) {
	v := &f.Verdict
	switch {
	case !v.Action.Permits() && v.Rule != nil && v.Rule.Quiet && f.Reason == "": // programs make do
	case !v.Action.Permits() && v.Rule != nil && (v.Policy == l.log.Base || v.Policy == l.hides):
		l.log.Denied(f.Program, v.Rule, f.Call, f.Object)
	case !v.Action.Permits():
		l.ceiling = l.ceiling || v.Policy != nil && !policy.IsGuard(v.Policy.Name)
	case v.Policy != l.log.Base, v.Rule != nil && !l.lifted[v.Rule]:
	case f.Object == nil:
		l.log.Call(f.Program, f.Call)
	case l.bound == nil || len(l.bound.Refusals(f.Object)) > 0:
		l.log.Object(f.Program, f.Object, f.New)
	}
}

// write writes the policy, once it is known to be one.
func (f *learnFlags) write(l *learning, args []string) error {
	l.draft.Place.Dir = f.folder()
	text, doubts, left := l.log.Policy(&l.draft)
	name := f.output
	if name == "-" {
		name = "learned"
	}
	if _, err := loader().Parse(name, []byte(text)); err != nil {
		return fmt.Errorf("BUG: what was learned is no policy: %w", err)
	}
	if f.output == "-" {
		if _, err := os.Stdout.WriteString(text); err != nil {
			return err
		}
	} else if err := publish(f.output, text, f.force); err != nil {
		return err
	}
	if !f.run.quiet {
		f.tell(l, doubts, left)
	}
	return nil
}

// publish writes a file whole, and only where there is none unless it is to be replaced.
func publish(name, text string, replace bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	err = cmp.Or(err, tmp.Chmod(0o644), tmp.Sync())
	if err = cmp.Or(err, tmp.Close()); err != nil {
		return err
	}
	if replace {
		return os.Rename(tmp.Name(), name)
	}
	return os.Link(tmp.Name(), name) // fails where one has come there meanwhile
}

// tell says what a person is to know of what was written.
func (f *learnFlags) tell(l *learning, doubts int, left uint64) {
	for _, r := range l.log.Refusals() {
		line := r.Rule + " denied " + strings.Join(r.Things, ", ")
		if r.Reason != "" {
			line += " (" + r.Reason + ")"
		}
		say(os.Stderr, line+", which is not learned; --lift "+shellWord(r.Rule)+" does it, and learns it")
	}
	if l.ceiling {
		say(os.Stderr, "something was denied by a policy that held meanwhile: what comes after it may not have been learned")
	}
	if doubts > 0 {
		say(os.Stderr, fmt.Sprintf("%d rules are written as comments, since they permit more than was asked for: look at them", doubts))
	}
	if left > 0 {
		say(os.Stderr, fmt.Sprintf("%d things were left out: there were too many, or no rule can name them", left))
	}
	if f.output != "-" {
		say(os.Stderr, "wrote "+f.output+": look at it, then: callgate check "+shellWord(f.output))
	}
}

// again runs the command under what was written, and tells what that denies still.
func (f *learnFlags) again(run runFlags, args []string) error {
	run.policies, run.room.user = []string{f.output}, "" // callgate has become the user
	denied := 0
	run.found = func(f supervisor.Finding) {
		if r := f.Verdict.Rule; !f.Verdict.Action.Permits() && (r == nil || !r.Quiet) {
			denied++
		}
	}
	if !run.quiet {
		say(os.Stderr, "running it again, under "+f.output)
	}
	err := run.run(args)
	var end *failure
	if err != nil && !(errors.As(err, &end) && end.err == nil) {
		return err
	}
	if !run.quiet {
		say(os.Stderr, fmt.Sprintf("under %s it ended with %d, and %d calls were denied", f.output, statusIn(err), denied))
	}
	return nil
}

// statusIn is the exit status that an error of run leads to.
func statusIn(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.status
	}
	return 0
}
