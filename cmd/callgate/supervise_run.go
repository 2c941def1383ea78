package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"callgate/configs/filters"
	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor"
	"callgate/supervisor/audit"
	"callgate/supervisor/client"
	"callgate/supervisor/host"
	"callgate/supervisor/keyring"
	"callgate/supervisor/scratch"
	"callgate/supervisor/server/handover"
	"callgate/supervisor/server/journal"
	"callgate/supervisor/server/work"

	"golang.org/x/sys/unix"
)

// fill makes the working folder what the command is to find.
func (s *supervised) fill(ctx context.Context) error {
	unix.Umask(0o022)
	if err := os.Chdir(s.spec.Work); err != nil {
		return fmt.Errorf("the working folder: %w", err)
	}
	if err := s.keepOut(); err != nil || !s.spec.Own {
		return err
	}
	folder, err := work.Open(s.spec.Work)
	if err != nil {
		return err
	}
	defer folder.Close()
	if s.spec.CopyOf != "" {
		if err := folder.CopyFrom(ctx, s.spec.CopyOf, s.room, work.Most{Bytes: s.spec.Limits.DiskBytes, Files: s.spec.Limits.Inodes}); err != nil {
			return err
		}
	}
	return folder.Put(s.spec.Files)
}

// keepOut refuses a working folder that links lead into the daemon's own, where
// other jobs' are.
func (s *supervised) keepOut() error {
	state, err := filepath.EvalSymlinks(s.spec.State)
	if err != nil {
		return fmt.Errorf("the daemon's folder: %w", err)
	}
	folder, err := s.spec.CopyOf, error(nil)
	switch {
	case folder != "":
		folder, err = filepath.EvalSymlinks(folder)
	case !s.spec.Own:
		buf := make([]byte, unix.PathMax)
		var n int
		n, err = unix.Getcwd(buf) // where this process is, whatever becomes of the name
		folder = string(buf[:max(0, n-1)])
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("the working folder: %w", err)
	}
	if work.Within(state, folder) {
		return errors.New("the working folder is the daemon's own, or in it")
	}
	return nil
}

// How long the job's files may take to be collected: less than the daemon waits beyond
// the job's own time, and than it waits for the end of a job that it killed.
const (
	collectTime       = 30 * time.Second
	collectTimeKilled = 3 * time.Second
)

// collect keeps the job's files. An order to kill that comes meanwhile ends it.
func (s *supervised) collect(ctx context.Context) error {
	most := collectTime
	if ctx.Err() != nil {
		ctx, most = context.WithoutCancel(ctx), collectTimeKilled
	}
	ctx, stop := context.WithTimeoutCause(ctx, most, fmt.Errorf("it took longer than %s", most))
	defer stop()
	folder, err := work.Open(".") // its name may lead elsewhere by now
	if err != nil {
		return err
	}
	defer folder.Close()
	kept := s.file(handover.CollectedFile)
	return errors.Join(folder.Collect(ctx, kept, s.spec.Collect, s.spec.FilesBytes), kept.Sync(), kept.Close())
}

// policies loads those of the job and the host's, and the one that keeps the
// command out of the daemon's folder.
func (s *supervised) policies() (policy.Set, error) {
	l := s.texts()
	set, err := s.known.load(l, &s.spec)
	if err != nil {
		return nil, err
	}
	state, err := l.Parse(stateName, []byte(s.statePolicy()))
	if err != nil {
		return nil, err
	}
	set = append(set, state)
	bounds := s.spec.Limits
	if !s.spec.Own && !set.PrivateTmp() { // there is no folder to hold to them
		bounds.DiskBytes, bounds.Inodes = 0, 0
	}
	if text := limitsPolicy(&bounds); text != "" {
		limits, err := s.known.bounds(l, text)
		if err != nil {
			return nil, err
		}
		set = append(set, limits)
	}
	return s.known.guard(l, set)
}

// known is what a supervisor keeps of a job for the next one's: what comes of policies
// is the same while they are.
type known struct {
	names   []string
	ceiling int // how many of them, the last ones
	texts   map[string]string
	set     policy.Set // of these
	guards  policy.Set // that such a set needs with the daemon's own policies; nil: not known
	plan    *compile.Plan

	limited string         // the text of
	limits  *policy.Policy // the daemon's own of these
}

// bounds is the daemon's policy of that text.
func (k *known) bounds(l *policy.Loader, text string) (*policy.Policy, error) {
	if k.limited == text {
		return k.limits, nil
	}
	limits, err := l.Parse(limitsName, []byte(text))
	if err != nil {
		return nil, err
	}
	for r := range limits.Limits {
		limits.Limits[r].Pos.Line = 0 // of a text that nobody can look at
	}
	k.limited, k.limits = text, limits
	return limits, nil
}

func (k *known) load(l *policy.Loader, spec *handover.Spec) (policy.Set, error) {
	if k.ceiling != spec.Ceiling || !slices.Equal(k.names, spec.Policies) || !maps.Equal(k.texts, spec.Texts) {
		set, err := l.LoadAll(spec.Policies...)
		if err != nil {
			return nil, err
		}
		for _, p := range set[len(set)-spec.Ceiling:] {
			p.Ceiling = true
		}
		*k = known{names: spec.Policies, ceiling: spec.Ceiling, texts: spec.Texts, set: set}
	}
	return slices.Clip(k.set), nil
}

// guard is policy.Loader.Guard. Which guards that adds the job's policies determine: the
// daemon's have sections, and isolate nothing.
func (k *known) guard(l *policy.Loader, set policy.Set) (policy.Set, error) {
	if k.guards == nil {
		guarded, err := l.Guard(set)
		if err != nil {
			return nil, err
		}
		k.guards = guarded[len(set):]
	}
	return append(set, k.guards...), nil
}

// The daemon's own policies, which speak of files and limits only.
const (
	stateName  = "callgated:state"
	limitsName = "callgated:limits"
)

// silent begins a policy that says nothing of calls.
const silent = "callgate: 1\ndefault: allow\ncompat: {i386: same, x32: same}\n"

func isDaemons(p *policy.Policy) bool { return p.Name == stateName || p.Name == limitsName }

// statePolicy denies the daemon's folder, where other jobs' files are too, but
// for what is the job's own.
func (s *supervised) statePolicy() string {
	text := silent + "files:\n"
	if s.spec.Own {
		text += "  - write: " + inYAML(s.spec.Work) + "\n"
	}
	return text + "  - deny: " + inYAML(s.spec.State) + "\n    reason: callgated's own files\n"
}

// limitsPolicy is the limits of a job as a policy, "" where there are none. That
// on output is the journal's, which drops what is over it.
func limitsPolicy(l *client.Limits) string {
	text := ""
	add := func(key string, n int64, unit string) {
		if n > 0 {
			text += fmt.Sprintf("  %s: %d%s\n", key, n, unit)
		}
	}
	const ms = 1000
	add("wall-time", int64(math.Ceil(l.WallSeconds*ms)), "ms")
	add("cpu-time", int64(math.Ceil(l.CPUSeconds*ms)), "ms")
	add("memory", l.MemoryBytes, "B")
	add("processes", int64(l.Processes), "")
	add("open-files", int64(l.OpenFiles), "")
	add("file-size", l.FileBytes, "B")
	add("disk", l.DiskBytes, "B")
	add("inodes", l.Inodes, "")
	if text == "" {
		return ""
	}
	return silent + "limits:\n" + text
}

// inYAML is a path as a policy has it, in which nothing is a glob.
func inYAML(path string) string {
	path = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
	return "'" + strings.ReplaceAll(path, "'", "''") + "'"
}

// run runs the command under the job's policies.
func (s *supervised) run(ctx context.Context) (*supervisor.Result, error) {
	env := s.set.Environ(s.spec.Env)
	var own []string
	if s.spec.Own {
		own = append(own, s.spec.Work)
	}
	if s.set.PrivateTmp() {
		var err error
		if s.tmp, err = scratch.New(handover.TempDir); err != nil {
			return nil, err
		}
		env, own = s.tmp.Environ(env), append(own, s.tmp.Path)
	}
	path, err := supervisor.Find(s.spec.Argv[0], variable(env, "PATH"), "")
	if err != nil {
		return nil, err
	}
	plan, err := s.plan(s.set, env, path)
	if err != nil {
		return nil, err
	}
	return s.command(ctx, plan, supervisor.Command{Path: path, Args: s.spec.Argv, Env: env, Session: true, Own: own})
}

func variable(env []string, name string) string {
	for _, line := range env {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// plan compiles the policies, but for what is proven since this process's last job. The
// daemon's own policies have no say in whether filters that come with callgate serve: they
// are proven for all of the set.
func (s *supervised) plan(set policy.Set, env []string, path string) (*compile.Plan, error) {
	opts, err := host.Bind(set, "", env, s.spec.Env, path)
	if err != nil {
		return nil, err
	}
	opts.Report = true
	opts.Ready = filters.For(slices.DeleteFunc(slices.Clone(set), isDaemons), &opts)
	opts.Before = s.known.plan
	plan, err := compile.Compile(set, opts)
	if err == nil {
		s.known.plan = plan
	}
	return plan, err
}

// command runs the command with its output copied into the journal. All of it
// is there when this returns: nobody of the sandbox is left who could write.
func (s *supervised) command(ctx context.Context, plan *compile.Plan, cmd supervisor.Command) (*supervisor.Result, error) {
	s.unsound = true // until it is known that nothing is left
	var copies sync.WaitGroup
	stdout, err := s.pipe(&copies, journal.Stdout)
	if err != nil {
		return nil, err
	}
	stderr, err := s.pipe(&copies, journal.Stderr)
	if err != nil {
		return nil, errors.Join(err, stdout.Close())
	}
	stdin := s.file(handover.StdinFile)
	cmd.Files = []*os.File{stdin, stdout, stderr}
	sink := audit.NewJSON(s.journal.Audit(), audit.JSONOptions{})
	if _, err := unix.Write(s.files[handover.BegunFile], []byte{1}); err != nil {
		return nil, fmt.Errorf("note the start: %w", err)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	spread()
	runtime.LockOSThread()
	_ = keyring.Own() // EDQUOT: the command has this thread's then, which the daemon made for this user alone
	result, err := supervisor.Run(ctx, plan, cmd, supervisor.Options{Sandbox: s.spec.ID, Audit: sink, Started: s.started, Grace: limitGrace, Memory: s.memory})
	runtime.UnlockOSThread() // what follows waits for others, whom this thread can run then
	s.unsound = err != nil
	err = errors.Join(err, stdin.Close(), stdout.Close(), stderr.Close())
	copies.Wait()
	_, _ = sink.Close() // what is lost stands in the journal, and counts as missing there
	return result, err
}

// limitGrace is how long a command may take to end after SIGTERM, for a limit on
// time.
const limitGrace = 2 * time.Second

// pipe gives the end that the command writes to.
func (s *supervised) pipe(copies *sync.WaitGroup, kind journal.Kind) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	copies.Go(func() {
		_, _ = io.CopyBuffer(s.journal.Output(kind), struct{ io.Reader }{r}, make([]byte, 64<<10)) // a pipe's reader fails of nothing
		_ = r.Close()
	})
	return w, nil
}
