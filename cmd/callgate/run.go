package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"callgate/configs/filters"
	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor"
	"callgate/supervisor/audit"
	"callgate/supervisor/host"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// runFlags are what `callgate run` is told.
type runFlags struct {
	policies   []string
	rules      ruleFlags
	audit      []string
	keep       []int
	quiet      bool
	permissive bool
	ask        string // whom; "": whoever is at the terminal, if policies ask
	remote     bool
	socket     string // callgated's, for remote
	stats      bool
	linger     bool
	limits     limitFlags
	room       room
	sources    *sources                 // nil: nobody wants to hear of them
	found      func(supervisor.Finding) // what learn wants to know; nil: nothing
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARG]...",
		Short: "Run a command under a policy",
		Long: `Run a command under a policy (of several, the strictest verdict wins): -p, or
.callgate.yaml found here or up to the repository's root, or builtin:default.

The exit status is the command's own; 128+N if signal N ended it (159: killed
by the policy); 125 callgate failed; 126 cannot be executed; 127 not found.`,
		Example: `  callgate run -p builtin:compute -- sort <words
  callgate run -p ci.yaml --audit ../audit.ndjson -- make test`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &failure{status: exitCallgate, err: errors.New("no command to run"), hint: "callgate run -- COMMAND"}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if f.remote {
				return f.runRemote(args)
			}
			return f.run(args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	policyFlag(cmd, &f.policies)
	flags.StringArrayVar(&f.audit, "audit", nil, "write events as NDJSON to `FILE`, fd:N or - (stdout)")
	flags.IntSliceVar(&f.keep, "keep-fd", nil, "leave descriptor `N` open for the command")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "tell only of callgate's own failures")
	flags.BoolVar(&f.permissive, "permissive", false, "enforce nothing, report everything")
	addTopic(cmd, "limits", "how much the command may use, and for how long", func(flags *pflag.FlagSet) {
		f.limits.flags(flags)
		flags.BoolVar(&f.stats, "stats", false, "tell at the end what the command used")
		flags.BoolVar(&f.linger, "linger", false, "go on until all that the command leaves behind has ended")
	})
	addTopic(cmd, "daemon", "have callgated run it", func(flags *pflag.FlagSet) {
		flags.BoolVar(&f.remote, "remote", false, "have callgated run it")
		socketFlag(flags, &f.socket)
	})
	addTopic(cmd, "room", "the command's folder, environment, user and terminal", func(flags *pflag.FlagSet) {
		f.room.flags(flags)
		flags.StringVar(&f.ask, "ask", "", "ask `WHOM` where policies say so: tty, nobody, a terminal or a program")
	})
	f.rules.flags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("isolate", completeIsolation) // it fails only for a flag that is not there
	return cmd
}

// prepared is a run that may begin.
type prepared struct {
	set     policy.Set
	plan    *compile.Plan
	command supervisor.Command
}

// run is the whole job. All that it fails of ends in an exit status that no
// ordinary command has.
func (f *runFlags) run(args []string) error {
	if err := f.check(); err != nil {
		return asOwn(err)
	}
	defer f.room.leave()
	j, err := f.prepare(args)
	if err != nil {
		return err
	}
	ended := f.execute(j)
	if f.sources != nil {
		f.sources.tell()
	}
	return ended
}

// check finds what was asked for and cannot be.
func (f *runFlags) check() error {
	for _, fd := range f.keep {
		if !inherited(fd) {
			return fmt.Errorf("--keep-fd %d: callgate's caller has no such descriptor open", fd)
		}
	}
	if err := f.room.enter(); err != nil {
		return err
	}
	if f.socket != "" {
		return errors.New("--socket goes with --remote alone")
	}
	if f.permissive && f.room.isolate != 0 {
		return errors.New("--isolate does not go with --permissive, which enforces nothing")
	}
	return nil
}

// prepare loads the policies, finds the command and has all ready for it.
func (f *runFlags) prepare(args []string) (*prepared, error) {
	l := loader()
	if !f.quiet {
		f.sources = watchSources(f.room.dir)
		l.ReadFile = f.sources.read
	}
	set, err := loadOrFind(l, f.policies, f.rules, f.room.dir, f.room.isolate, f.quiet, f.limits.narrow)
	if err != nil {
		return nil, ownFailure(err)
	}
	return f.prepareUnder(set, args)
}

// prepareUnder is prepare under policies that are loaded.
func (f *runFlags) prepareUnder(set policy.Set, args []string) (*prepared, error) {
	path, err := supervisor.Find(args[0], os.Getenv("PATH"), f.room.dir)
	if err != nil {
		return nil, commandFailure(args[0], err)
	}
	return f.ready(set, path, args)
}

// ready makes the room for a command that was found, and compiles the plan for it.
func (f *runFlags) ready(set policy.Set, path string, args []string) (*prepared, error) {
	env, err := f.room.environ(set)
	if err != nil {
		return nil, asOwn(err)
	}
	if err := f.room.open(set); err != nil {
		return nil, ownFailure(err)
	}
	command := supervisor.Command{
		Path:  path,
		Args:  args,
		Env:   env,
		Files: supervisor.StandardFiles(),
		Keep:  f.keep,
	}
	f.room.furnish(&command)
	plan, err := f.plan(set, &command)
	if err != nil {
		return nil, ownFailure(err)
	}
	return &prepared{set, plan, command}, nil
}

// plan compiles the policies for where the command is to run, and for what it gets.
func (f *runFlags) plan(set policy.Set, command *supervisor.Command) (*compile.Plan, error) {
	opts, err := host.Bind(set, f.room.dir, command.Env, f.room.caller(), command.Path)
	if err != nil {
		return nil, err
	}
	if opts.Sections != nil && !f.quiet && f.found == nil {
		for _, w := range opts.Sections.Unfollowed() {
			say(os.Stderr, w.String())
		}
	}
	opts.Report = f.reports()
	supervisor.HoldMetadata(set, &opts, command)
	return filters.UserCache(commit).Compile(set, opts)
}

// execute runs the command to its end.
func (f *runFlags) execute(j *prepared) error {
	sinks, err := openSinks(f, j.plan.Sections())
	if err != nil {
		return asOwn(err)
	}
	ask, err := f.asker(j.set, j.plan.Sections())
	if err != nil {
		return asOwn(err)
	}
	spread()
	relay := startRelay(f.room.pty, f.limits.grace)
	ctx, left := context.Background(), func() {}
	if f.linger {
		if ctx, left, err = relay.linger(); err != nil {
			return ownFailure(err)
		}
	}
	if err := f.room.begin(); err != nil {
		return ownFailure(err)
	}
	result, err := supervisor.Run(ctx, j.plan, j.command, supervisor.Options{
		Sandbox:    filepath.Base(j.command.Args[0]) + "-" + strconv.Itoa(os.Getpid()),
		Audit:      sinks.audit,
		Terminal:   sinks.terminal,
		Permissive: f.permissive,
		Found:      f.found,
		Ask:        ask,
		Grace:      f.limits.grace,
		Linger:     f.linger,
		Started:    relay.started,
		Stopped:    relay.stopped,
		Left:       left,
	})
	sinks.close()
	f.room.lost = err != nil && relay.pid != 0
	return f.outcome(j, result, err)
}

// outcome is what a run ended with, as an exit status and words.
func (f *runFlags) outcome(j *prepared, result *supervisor.Result, err error) error {
	var isolated *supervisor.IsolationError
	switch {
	case errors.As(err, &isolated):
		return &failure{status: exitCallgate, err: err, hint: isolationHint(isolated, j.set)}
	case err != nil:
		return commandFailure(j.command.Args[0], err)
	}
	if f.stats {
		printStats(f.room.errors(), result)
	}
	if result.Status != 0 {
		return &failure{status: result.Status}
	}
	return nil
}

// inherited says whether a descriptor came from callgate's caller: what callgate
// opens itself, an audit log say, closes at execve and is not for the command.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// reports says whether anyone hears of what the filter could deny by itself.
func (f *runFlags) reports() bool {
	return !f.quiet || f.permissive || len(f.audit) > 0 || f.found != nil
}

// ownFailure is an error that is callgate's, not the command's.
func ownFailure(err error) error { return &failure{status: exitCallgate, err: err} }

// commandFailure tells why a command did not start: as a shell does, 127 says
// that there is none and 126 that it cannot be executed. Anything else is
// callgate's own failure.
func commandFailure(name string, err error) error {
	var denied *supervisor.DeniedError
	if errors.As(err, &denied) {
		return &failure{status: exitCannotExec, err: denied, hint: audit.Advice(denied.Permit, denied.Verdict.Rule != nil)}
	}
	var start *supervisor.StartError
	if !errors.As(err, &start) {
		return ownFailure(err)
	}
	switch start.Op {
	case "execve":
	case "setpriority":
		return &failure{status: exitCallgate, err: err, hint: "--nice below 0 takes privilege"}
	default:
		return ownFailure(err)
	}
	f := &failure{status: exitCannotExec}
	switch {
	case errors.Is(start.Err, fs.ErrNotExist) && (!strings.Contains(start.Path, "/") || !fileExists(start.Path)):
		f.status, f.err, f.hint = exitNotFound, fmt.Errorf("%s: command not found", cmp.Or(name, "''")), notFound(name)
	case errors.Is(start.Err, fs.ErrNotExist):
		f.err, f.hint = fmt.Errorf("%s: cannot be executed: what it needs to run is missing", start.Path), missingInterpreter(start.Path)
	case start.Err == unix.EISDIR:
		f.err = fmt.Errorf("%s: is a directory", start.Path)
	case start.Err == unix.ENOEXEC:
		f.err, f.hint = fmt.Errorf("%s: not in a format that can be executed", start.Path), wrongFormat(start.Path)
	case start.Err == unix.EACCES:
		f.err, f.hint = fmt.Errorf("%s: permission denied", start.Path), notExecutable(start.Path)
	default:
		f.err = fmt.Errorf("%s: %w", start.Path, start.Err)
	}
	return f
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
