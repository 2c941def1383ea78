package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/supervisor"
	"callgate/supervisor/host"
	"callgate/supervisor/scratch"
	"callgate/supervisor/terminal"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// room is what surrounds the command: its folder, environment, terminal and
// whose it is.
type room struct {
	dir        string
	user       string
	setenv     []string
	umask      string
	nice       int
	clearEnv   bool
	privateTmp bool
	pty        bool
	words      []string // of --isolate, lists
	isolate    policy.Isolation

	tmp  *scratch.Folder
	term *terminal.Terminal
	lost bool // nobody knows whether all of the command is gone
}

func (r *room) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&r.dir, "workdir", "C", "", "run the command, and look for a policy, in `DIR`")
	flags.BoolVar(&r.pty, "pty", false, "give the command a terminal of its own")
	flags.StringArrayVar(&r.words, "isolate", nil, "give the command its own `LIST` of pid, net, ipc, mount, uts, cgroup, or all")
	flags.BoolVar(&r.clearEnv, "clear-env", false, "pass nothing of the environment but what --setenv and the policy set")
	flags.StringArrayVar(&r.setenv, "setenv", nil, "set a variable, `NAME=VALUE`, or pass NAME; may be repeated")
	flags.BoolVar(&r.privateTmp, "private-tmp", false, "give the command a TMPDIR of its own, as a policy's private-tmp does")
	flags.StringVar(&r.user, "user", "", "for root: run as `USER[:GROUP]`, names or numbers, without other groups")
	flags.StringVar(&r.umask, "umask", "", "the command's file mode creation mask, `MODE` in octal")
	flags.IntVar(&r.nice, "nice", 0, "add `N` to the command's niceness")
}

// completeIsolation offers the words of a list that is perhaps begun.
func completeIsolation(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	list := begun[:strings.LastIndexByte(begun, ',')+1]
	var words []string
	for _, word := range policy.Isolations() {
		words = append(words, list+word)
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// enter checks what was asked for, and makes dir absolute.
func (r *room) enter() error {
	if err := r.become(); err != nil {
		return err
	}
	if _, err := r.mask(); err != nil {
		return err
	}
	for _, list := range r.words {
		for word := range strings.SplitSeq(list, ",") {
			one, err := policy.ParseIsolation(word)
			if err != nil {
				return fmt.Errorf("--isolate: %w", err)
			}
			r.isolate |= one
		}
	}
	if r.dir == "" {
		return nil
	}
	dir, err := filepath.Abs(r.dir)
	if err != nil {
		return fmt.Errorf("--workdir: %w", err)
	}
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("--workdir %s: %w", printable(r.dir), reason(err))
	case !st.IsDir():
		return fmt.Errorf("--workdir %s: not a directory", printable(r.dir))
	}
	_, err = unplanted(r.dir)
	r.dir = dir
	return err
}

// reason is why, without what was tried on which file: that was said.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// mask is nil where none was asked for.
func (r *room) mask() (*int, error) {
	if r.umask == "" {
		return nil, nil
	}
	mask, err := strconv.ParseUint(r.umask, 8, 16)
	if err != nil || mask > 0o777 {
		return nil, fmt.Errorf("--umask %s: not an octal number up to 777", printable(r.umask))
	}
	m := int(mask)
	return &m, nil
}

// environ is the command's environment. The command line has the last word: who
// wrote it has the variables.
func (r *room) environ(set policy.Set) ([]string, error) {
	env := set.Environ(r.caller())
	if r.dir != "" && has(env, "PWD") {
		env = with(env, "PWD", r.dir)
	}
	env, err := setVariables(env, r.setenv)
	if err != nil {
		return nil, err
	}
	if !r.privateTmp && !set.PrivateTmp() {
		return env, nil
	}
	tmp, err := scratch.New("")
	if err != nil {
		return nil, &failure{status: exitCallgate, err: err, hint: "have TMPDIR name a folder in which callgate may make one"}
	}
	r.tmp = tmp
	return tmp.Environ(env), nil
}

// caller is what policies are given of callgate's environment.
func (r *room) caller() []string {
	if r.clearEnv {
		return nil
	}
	return os.Environ()
}

// setVariables sets those of --setenv in an environment.
func setVariables(env, setenv []string) ([]string, error) {
	for _, line := range setenv {
		name, value, given := strings.Cut(line, "=")
		if !given {
			if value, given = os.LookupEnv(name); !given {
				return nil, fmt.Errorf("--setenv %s: callgate's environment does not have it", printable(name))
			}
		}
		if name == "" {
			return nil, fmt.Errorf("--setenv %s: a variable needs a name", printable(line))
		}
		env = with(env, name, value)
	}
	return env, nil
}

// with is an environment in which a variable has this value.
func with(env []string, name, value string) []string {
	out := make([]string, 0, len(env)+1)
	for _, line := range env {
		if !strings.HasPrefix(line, name+"=") {
			out = append(out, line)
		}
	}
	return append(out, name+"="+value)
}

func has(env []string, name string) bool {
	for _, line := range env {
		if strings.HasPrefix(line, name+"=") {
			return true
		}
	}
	return false
}

// open opens the command's terminal, if it is to have one.
func (r *room) open(set policy.Set) error {
	if !r.pty {
		return nil
	}
	files := supervisor.StandardFiles()
	if limits := set.Limits(); limits.Has(policy.Output) && files[1] != nil && !terminal.Is(files[1]) {
		return errors.New("--pty does not go with a limit on output: what is written to a terminal is not counted")
	}
	term, err := terminal.Open(files[0], files[1])
	r.term = term
	return err
}

// begin has that relayed.
func (r *room) begin() error {
	if r.term == nil {
		return nil
	}
	return r.term.Start()
}

// errors is where callgate tells of the command while it runs.
func (r *room) errors() io.Writer {
	if r.term == nil {
		return os.Stderr
	}
	return r.term.Lines(os.Stderr)
}

// furnish gives the command what it has of the room.
func (r *room) furnish(cmd *supervisor.Command) {
	cmd.Dir, cmd.Nice = r.dir, r.nice
	cmd.Umask, _ = r.mask() // enter has looked
	if r.tmp != nil {
		cmd.Writable, cmd.Own = append(cmd.Writable, r.tmp.Path), append(cmd.Own, r.tmp.Path)
	}
	if r.term != nil {
		cmd.Files, cmd.Terminal = r.term.Files(), true
	}
}

// end ends the relay of the command's terminal once all is shown. That is never
// where something of the command may be left: it holds the terminal.
func (r *room) end() error {
	if r.lost {
		return r.term.Restore()
	}
	return r.term.Close()
}

// leave gives back what the room took. What the command made of its temporary
// folder is not the command's failure.
func (r *room) leave() {
	if p := recover(); p != nil {
		r.lost = true
		defer panic(p)
	}
	if r.term != nil {
		if err := r.end(); err != nil {
			say(os.Stderr, printable(err.Error()))
		}
	}
	if r.tmp != nil {
		if err := r.tmp.Remove(); err != nil {
			say(os.Stderr, printable(err.Error()))
		}
	}
}

// isolationHint says what is in the way of namespaces, as far as the system tells,
// and what holds without them.
func isolationHint(e *supervisor.IsolationError, set policy.Set) string {
	var errno unix.Errno
	if !errors.As(e, &errno) {
		return "" // it was not the system's doing
	}
	hint := "without isolation callgate still decides " + decided(set) + "; callgate doctor tells what can be had here"
	if why := host.Restricted(); why != "" {
		return why + "; " + hint
	}
	return hint
}

// decided is what a set's rules are about.
func decided(set policy.Set) string {
	var words []string
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		if slices.ContainsFunc(set, func(p *policy.Policy) bool { _, has := p.Section(sec); return has }) {
			words = append(words, sec.String())
		}
	}
	if len(words) == 0 {
		return "nothing: the policy has no rules"
	}
	return "what " + set[0].Name + " says of " + strings.Join(words, ", ")
}

// own is the folder that the command has of its own, "" if it has none.
func (r *room) own() string {
	if r.tmp == nil {
		return ""
	}
	return r.tmp.Path
}
