package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"callgate/policy/learn"
	"callgate/supervisor"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// learnFlags are what `callgate learn` is told.
type learnFlags struct {
	run    runFlags // its policies are those that are extended
	output string
	adds   string // the policy that is added to; output too then
	bare   bool
	under  []string
	lift   []string
	force  bool
	verify bool

	addition *addition // nil without --add
}

func newLearn() *cobra.Command {
	var f learnFlags
	cmd := &cobra.Command{
		Use:   "learn {-o|--add} POLICY [flags] [--] COMMAND [ARG]...",
		Short: "Run a command, and write the policy that lets it run",
		Long: `Run a command, and write a policy that extends BASE by what it asked for and
BASE has no rule on. WHAT NO RULE DENIES IS DONE: learn from what you trust, or
--under a policy. What BASE denies, and builtin:default hides, stays denied and
is told. The exit status is the command's, as that of run; 125 if this failed.`,
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
	flags.StringVar(&f.adds, "add", "", "write to the `POLICY` that is there what it lacks")
	flags.StringArrayVarP(&f.run.policies, "policy", "p", nil, "extend `BASE`, builtin:base if left out; may be repeated")
	flags.BoolVar(&f.bare, "bare", false, "extend nothing: write all that it takes")
	flags.StringArrayVar(&f.under, "under", nil, "a `POLICY` that holds meanwhile; may be repeated")
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
	ended := f.once(args)
	if !f.verify || !isEnd(ended) {
		return ended
	}
	if err := f.again(again, args); err != nil {
		return err
	}
	return ended
}

// isEnd says whether what execute gave is a command's end, and no failure.
func isEnd(err error) bool {
	var end *failure
	return err == nil || errors.As(err, &end) && end.err == nil
}

// once runs the command, and writes the policy.
func (f *learnFlags) once(args []string) error {
	defer f.run.room.leave()
	if err := cmp.Or(f.run.check(), f.mayWrite()); err != nil {
		return asOwn(err)
	}
	if err := f.takeIn(); err != nil {
		return asOwn(err)
	}
	if f.addition != nil {
		defer f.addition.folder.Close()
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
		say(os.Stderr, "learning: what no rule denies is done: this is no sandbox for what you do not trust")
	}
	ended := f.run.execute(j)
	if !isEnd(ended) {
		return ended
	}
	if err := f.write(l); err != nil {
		return asOwn(err)
	}
	return ended
}

// check finds what was asked for and cannot be, before anything is run.
func (f *learnFlags) check() error {
	if f.adds != "" {
		if err := f.checkAdd(); err != nil {
			return err
		}
	}
	switch {
	case f.output == "":
		return &failure{status: exitCallgate, err: errors.New("no policy to write was named"), hint: "-o FILE, or -o - for standard output; --add FILE adds to one that is there"}
	case f.bare && len(f.run.policies) > 0:
		return ownFailure(errors.New("--bare extends nothing, and -p names what to extend"))
	case len(f.run.room.words) > 0:
		return ownFailure(errors.New("--isolate does not go with learn: names mean others in a sandbox with mounts of its own"))
	case f.output == "-" && f.verify:
		return ownFailure(errors.New("--verify needs a file: -o FILE"))
	case f.output == "-":
		return nil
	}
	dir := filepath.Dir(f.output)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return ownFailure(fmt.Errorf("%s: there is no folder %s", printable(f.output), printable(dir)))
	}
	if _, err := unplanted(dir); err != nil {
		return asOwn(err)
	}
	if f.adds != "" {
		return nil
	}
	_, err := os.Lstat(f.output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return ownFailure(err)
	case !f.force:
		return &failure{status: exitCallgate, err: fmt.Errorf("%s is there already, and is not overwritten", printable(f.output)),
			hint: "--add " + shellWord(f.output) + " adds what it lacks, --force replaces it"}
	}
	return nil
}

// mayWrite says whether the policy can be made, by who callgate is by now.
func (f *learnFlags) mayWrite() error {
	dir := filepath.Dir(f.output)
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK, unix.AT_EACCESS); err != nil && f.output != "-" {
		return fmt.Errorf("%s: no file can be made in %s: %w", printable(f.output), printable(dir), err)
	}
	return nil
}

// write writes the policy, once it is known to be one.
func (f *learnFlags) write(l *learning) error {
	l.draft.Place.Dir = real(f.folder())
	if f.addition != nil {
		return f.add(l)
	}
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
		f.tell(l, true, learn.Added{Doubts: doubts, Left: left})
	}
	return nil
}

// publish writes a file whole, and only where there is none unless it is to be replaced.
func publish(name, text string, replace bool) error {
	if _, err := unplanted(filepath.Dir(name)); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(name), ".callgate-"+rand.Text())
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	_, err = f.WriteString(text)
	err = cmp.Or(err, f.Sync())
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	if replace {
		return os.Rename(tmp, name)
	}
	// One may have come there meanwhile. Some file systems do not know the flag: EINVAL.
	err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL {
		return os.Link(tmp, name)
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// tell says what a person is to know of what was written, if anything was.
func (f *learnFlags) tell(l *learning, wrote bool, told learn.Added) {
	w := f.run.room.errors() // whose terminal may be the command's still
	for _, r := range l.log.Refusals() {
		const shown = 3
		if len(r.Things) > shown {
			r.Things = append(r.Things[:shown], "...")
		}
		line := r.Rule + " denied " + strings.Join(r.Things, ", ")
		if r.Reason != "" {
			line += " (" + r.Reason + ")"
		}
		line += ", which is not learned; "
		if f.addition != nil && strings.HasPrefix(r.Rule, f.addition.file()+":") {
			say(w, line+"the rule is the policy's own")
			continue
		}
		say(w, line+"--lift "+shellWord(r.Rule)+" does it, and learns it")
	}
	if l.foreign {
		say(w, "a call of another ABI was denied, as compat says; --lift compat does it, and learns it")
	}
	if l.ceiling {
		say(w, "something was denied by a policy that held meanwhile: what comes after it may not have been learned")
	}
	if f.addition == nil && l.log.Empty() && len(l.log.Refusals()) == 0 && len(l.draft.Extends) > 0 {
		say(w, "nothing is added to "+strings.Join(l.draft.Extends, ", ")+": all that was asked is permitted there")
	}
	if told.Doubts > 0 {
		say(w, fmt.Sprintf("rules written as comments, since they permit more than was asked for: %d; look at them", told.Doubts))
	}
	if told.Left > 0 {
		say(w, fmt.Sprintf("left out, since there were too many or no rule can name them: %d", told.Left))
	}
	then := "look at it, then: callgate check " + shellWord(f.output)
	switch {
	case !wrote:
		say(w, "nothing is added to "+f.output+": it has all that was asked for")
	case f.addition != nil:
		say(w, fmt.Sprintf("wrote %s, rules added: %d; ", f.output, told.Rules)+then)
	case f.output != "-":
		say(w, "wrote "+f.output+": "+then)
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
	if !isEnd(err) {
		return err
	}
	if run.quiet {
		return nil
	}
	say(os.Stderr, fmt.Sprintf("under %s it ended with %d; calls denied: %d", f.output, statusIn(err), denied))
	if denied > 0 {
		say(os.Stderr, "hint: the first run may have left what this one met; to learn that too: callgate learn --add "+shellWord(f.output)+" -- ...")
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
