package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"callgate/policy"
	"callgate/supervisor/audit"
	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// remoteRun is a run that callgated does: a job whose input, output and signals
// are callgate's own.
type remoteRun struct {
	client   *client.Client
	id       string
	terminal audit.Sink       // nil: nothing is told
	logs     []io.WriteCloser // of --audit: they get the daemon's lines as they are
	broken   bool             // nobody reads standard output any more, and the command knows
	asked    policy.Limits    // by flags
	grace    time.Duration    // how long the command may take to end when it is told to
	told     bool             // it was
}

// runRemote has the daemon run the command, and behaves as run does.
func (f *runFlags) runRemote(args []string) error {
	spread()
	req, err := f.remoteRequest(args)
	if err != nil {
		return asOwn(err)
	}
	r := &remoteRun{client: client.New(f.socket), grace: f.limits.grace}
	if r.asked, err = f.limits.asked(); err != nil {
		return ownFailure(err)
	}
	if err := r.open(f, req.Folder); err != nil {
		return asOwn(err)
	}
	defer func() {
		r.close()
		if f.sources != nil && r.id != "" {
			f.sources.tell()
		}
	}()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, relayedSignals()...)
	signal.Ignore(unix.SIGPIPE)
	job, err := r.client.Submit(context.Background(), req, rand.Text())
	if err != nil {
		return asOwn(remoteFailure(err))
	}
	r.id = job.ID
	go r.passOn(signals)
	go r.typeIn()
	return r.follow(f.quiet)
}

// remoteRequest is the job to be, or why what was asked for cannot be had of
// another process than callgate's own.
func (f *runFlags) remoteRequest(args []string) (*client.Request, error) {
	for flag, given := range map[string]bool{
		"ask": f.ask != "", "keep-fd": len(f.keep) > 0, "permissive": f.permissive, "pty": f.room.pty,
		"isolate": len(f.room.words) > 0, "umask": f.room.umask != "", "nice": f.room.nice != 0, "private-tmp": f.room.privateTmp,
		"grace": f.limits.grace != graceDefault, "stats": f.stats, "linger": f.linger,
	} {
		if given {
			return nil, fmt.Errorf("--%s does not go with --remote", flag)
		}
	}
	if len(f.rules) > 0 {
		return nil, fmt.Errorf("%s does not go with --remote", f.rules[0].From)
	}
	folder, err := jobFolder(cmp.Or(f.room.dir, "."))
	if err != nil {
		return nil, err
	}
	names := f.policies
	if len(names) == 0 {
		name, err := found(f.room.dir, f.quiet)
		if err != nil {
			return nil, err
		}
		names = []string{name}
	}
	req := &client.Request{Argv: args, Folder: folder, User: f.room.user, Stdin: &client.Stdin{Open: true}}
	if req.Limits, err = f.limits.job(); err != nil {
		return nil, err
	}
	read := policy.ReadFile
	if !f.quiet {
		f.sources = watchSources(folder)
		read = f.sources.read
	}
	if req.Policies, err = policyTexts(names, folder, read); err != nil {
		return nil, err
	}
	if l := req.Limits; l != nil && l.OutputBytes > 0 {
		req.Policies = append(req.Policies, outputPolicy(l.OutputBytes))
		l.OutputBytes = 0
	}
	if req.Env, err = environment(f.room.clearEnv, f.room.setenv); err != nil {
		return nil, err
	}
	if _, given := req.Env["PWD"]; given && f.room.dir != "" {
		req.Env["PWD"] = folder
	}
	return req, nil
}

// outputPolicy ends a job that writes too much, as run does: what is beyond a job's own
// limit is dropped, and it goes on.
func outputPolicy(most int64) client.Policy {
	return client.Policy{Name: "--output", Text: fmt.Sprintf("%slimits: {output: %dB}\n", silent, most)}
}

// asOwn gives a failure the status of callgate's own in run.
func asOwn(err error) error {
	var f *failure
	if errors.As(err, &f) {
		f.status = exitCallgate
		return f
	}
	return ownFailure(err)
}

// follow passes on what the job writes until it has ended.
func (r *remoteRun) follow(quiet bool) error {
	for e, err := range r.client.Events(context.Background(), r.id, client.EventQuery{Follow: true}) {
		if err != nil {
			return asOwn(remoteFailure(fmt.Errorf("job %s goes on, but: %w", r.id, err)))
		}
		switch e.Kind {
		case client.StdoutEvent:
			r.write(os.Stdout, e.Bytes())
		case client.StderrEvent:
			r.write(os.Stderr, e.Bytes())
		case client.AuditEvent:
			r.record(e.Audit)
		case client.LostEvent:
			if !quiet && !(r.broken && e.Lost.Kind == client.StdoutEvent) { // nobody misses that
				tellLost(e.Lost)
			}
		case client.StateEvent:
			if e.Job.State == client.Ended {
				return r.ended(e.Job)
			}
		}
	}
	return nil
}

// write writes what the command wrote. Where nobody reads it the command gets the
// signal that it would have had of its own write.
func (r *remoteRun) write(f *os.File, b []byte) {
	if _, err := f.Write(b); errors.Is(err, syscall.EPIPE) && !r.broken {
		r.broken = true
		r.send(unix.SIGPIPE, client.ToCommand)
	}
}

// open opens where the job's events go.
func (r *remoteRun) open(f *runFlags, folder string) error {
	writes, err := reachIn(folder)
	if err != nil {
		return err
	}
	logs, err := openLogs(f.audit, writes)
	if err != nil {
		return err
	}
	r.logs = logs
	if !f.quiet {
		r.terminal = audit.NewTerminal(os.Stderr, audit.TerminalOptions{})
	}
	return nil
}

func (r *remoteRun) close() {
	if r.terminal != nil {
		_, _ = r.terminal.Close() // to stderr: there is nowhere else to tell
	}
	for _, w := range r.logs {
		if err := w.Close(); err != nil {
			say(os.Stderr, fmt.Sprintf("audit: %v", err))
		}
	}
}

// record writes and tells an event of the job's audit log. A log that cannot be
// written is told once, and left as it is.
func (r *remoteRun) record(line json.RawMessage) {
	r.logs = slices.DeleteFunc(r.logs, func(w io.WriteCloser) bool {
		_, err := w.Write(append(slices.Clip(line), '\n'))
		if err != nil {
			say(os.Stderr, fmt.Sprintf("audit: events are missing from here on: %v", err))
			_ = w.Close() // the first failure was told
		}
		return err != nil
	})
	if r.terminal == nil {
		return
	}
	e := new(audit.Event)
	if err := json.Unmarshal(line, e); err != nil {
		say(os.Stderr, "an event of callgated's is not understood: "+printable(err.Error()))
		return
	}
	if e.LimitInfo != nil {
		r.name(e.LimitInfo)
	}
	r.terminal.Put(e)
}

// name has a limit be the flag's that asked for it, which the job's supervisor does not
// know. Where the host's is tighter it stays callgated's.
func (r *remoteRun) name(l *audit.LimitInfo) {
	res, _ := policy.ParseResource(l.Limit)
	most := l.Most
	if res <= policy.CPUTime {
		most *= float64(time.Second)
	}
	if flag := "--" + l.Limit; r.asked.Has(res) && float64(r.asked[res].Most) <= most && (l.By == limitsName || strings.HasPrefix(l.By, flag)) {
		l.By = flag
	}
}

func (r *remoteRun) ended(job *client.Job) error {
	result := job.Result
	if result == nil {
		return ownFailure(errors.New("callgated does not say how the job ended"))
	}
	if result.Status == 0 {
		return nil
	}
	f := &failure{status: result.Status}
	if result.Message != "" {
		f.err = eachLine(result.Message)
	}
	return f
}

// typeIn sends the job what callgate's standard input has.
func (r *remoteRun) typeIn() {
	err := r.client.Write(context.Background(), r.id, 0, os.Stdin)
	var closed *os.PathError
	switch {
	case errors.As(err, &closed): // there is none, or its terminal went away
		err = r.client.Write(context.Background(), r.id, 0, eof{})
	case err == nil, errors.Is(err, client.NotOpen), errors.Is(err, client.NotFound):
		return
	}
	if err != nil && !errors.Is(err, client.NotOpen) {
		say(os.Stderr, "standard input does not reach the command any more: "+printable(err.Error()))
	}
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// relayedSignals are those that callgate takes for the job. What its caller had
// ignored stays so.
func relayedSignals() (signals []os.Signal) {
	for _, s := range append(passedOn[:], unix.SIGTSTP, unix.SIGCONT) {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// passOn sends the job the signals that callgate gets. Those that a terminal sends
// are for the command's whole process group, which is not in callgate's.
func (r *remoteRun) passOn(signals <-chan os.Signal) {
	for s := range signals {
		switch s := s.(unix.Signal); {
		case s == unix.SIGTSTP:
			r.suspend()
			skipSignals(signals, unix.SIGTSTP, unix.SIGCONT) // typed again because it took its time
		case s == unix.SIGCONT:
			r.send(s, client.ToGroup)
		case (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground():
			r.send(s, client.ToGroup)
		default:
			r.send(s, client.ToCommand)
			r.killAfter(s)
		}
	}
}

// killAfter has the job killed that does not end in time after it was told to, as relay.c
// does. A second signal gives it no more time.
func (r *remoteRun) killAfter(s unix.Signal) {
	if r.told || !slices.Contains(endings[:], s) {
		return
	}
	r.told = true
	time.AfterFunc(r.grace, func() {
		if err := r.client.Kill(context.Background(), r.id); err != nil && !errors.Is(err, client.NotFound) {
			say(os.Stderr, "the job cannot be killed: "+printable(err.Error()))
		}
	})
}

// endings are those of passedOn that tell a command to end.
var endings = [...]unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT}

// suspend stops the job, then callgate as job control would, and goes on with both.
// Without a terminal there is no job control: whoever sent the signal sends SIGCONT.
func (r *remoteRun) suspend() {
	r.send(unix.SIGSTOP, client.ToGroup) // SIGTSTP stops nobody who has no terminal
	if !hasTerminal() {
		return
	}
	runtime.LockOSThread()
	stopSelf(unix.SIGSTOP)
	runtime.UnlockOSThread()
	r.send(unix.SIGCONT, client.ToGroup)
}

// skipSignals takes the signals that wait, up to the first that is none of these, which
// it sends to this process again.
func skipSignals(signals <-chan os.Signal, these ...unix.Signal) {
	for {
		select {
		case sig := <-signals:
			if s := sig.(unix.Signal); !slices.Contains(these, s) {
				_ = unix.Kill(unix.Getpid(), s)
				return
			}
		default:
			return
		}
	}
}

// send sends a signal to the job; one that has not begun is taken out of the queue
// by what would have ended it.
func (r *remoteRun) send(s unix.Signal, to client.Target) {
	ctx := context.Background()
	err := r.client.Signal(ctx, r.id, client.Signal{Signal: unix.SignalName(s), To: to})
	if errors.Is(err, client.NotRunning) && s != unix.SIGCONT && s != unix.SIGSTOP {
		err = r.client.Kill(ctx, r.id)
	}
	if err != nil && !errors.Is(err, client.NotRunning) && !errors.Is(err, client.NotFound) {
		say(os.Stderr, unix.SignalName(s)+" does not reach the command: "+printable(err.Error()))
	}
}

// inForeground says whether callgate is in the foreground process group of its
// controlling terminal.
func inForeground() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
