package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"callgate/policy/compile"
	"callgate/supervisor"
	"callgate/supervisor/attack"
	"callgate/supervisor/audit"

	"golang.org/x/sys/unix"
)

// trials are attacks on one policy's sandbox.
type trials struct {
	*prepared
	ctx     context.Context
	ground  *attack.Ground
	judge   *attack.Judge
	targets attack.Targets
	quiet   bool
	tries   int

	held, broken, untried int
}

// attempted is how one attempt ended.
type attempted struct {
	report   *attack.Report
	evidence string
	status   int
	denials  denials
}

// An attack that has not ended after that long will not: what a sandbox may take, and each
// try of a race.
const hangs, hangsTry = time.Minute, time.Millisecond

// furnish makes the decoys. own is the folder that the command has of its own.
func (t *trials) furnish(own string) (err error) {
	t.judge = attack.NewJudge(t.plan, &t.targets)
	if t.ground, err = attack.NewGround(t.command.Path, own, t.judge); err != nil {
		return err
	}
	t.ground.Tries, t.ground.Data = t.tries, compile.TraceData
	t.targets = t.ground.Targets
	return nil
}

// starts has an attacker do nothing.
func (t *trials) starts() error {
	end, err := t.inside(&attack.Idle, false)
	if err == nil && !end.report.Ended {
		return &failure{status: exitCallgate, err: fmt.Errorf("the attacker, callgate itself, does not start under %s: %s", t.set[0].Name, t.because(&attack.Idle, end, true)),
			hint: "it is a program in Go, which needs memory and threads; builtin:compute permits what one needs, and little else"}
	}
	return t.failed("start", err)
}

// failed is what kept an attack from being tried, callgate's own failure.
func (t *trials) failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case t.ctx.Err() != nil:
		return ownFailure(errors.New("ended by a signal, after " + t.tally()))
	case errors.Is(err, context.DeadlineExceeded):
		return ownFailure(fmt.Errorf("%s: it does not end", what))
	}
	return err
}

// all tries the attacks, a line each, and says what it comes to.
func (t *trials) all(out io.Writer, attacks []attack.Attack) error {
	for i := range attacks {
		verdict, how, err := t.one(&attacks[i])
		if err := t.failed(attacks[i].Name, err); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%-9s  %-16s %s: %s\n", verdict, attacks[i].Name, attacks[i].What, printable(how)); err != nil {
			return ownFailure(err)
		}
	}
	if _, err := fmt.Fprintln(out, t.tally()); err != nil {
		return ownFailure(err)
	}
	if t.broken > 0 {
		return &failure{status: exitFindings, err: fmt.Errorf("the sandbox of %s does not hold here", t.set[0].Name),
			hint: "do not rely on it; report what broke out, with the output of callgate version and of callgate doctor"}
	}
	return nil
}

func (t *trials) tally() string {
	return fmt.Sprintf("%d held, %d broke out, %d not tried", t.held, t.broken, t.untried)
}

// one tries an attack without a sandbox, for what fails there proves nothing, and in one.
func (t *trials) one(a *attack.Attack) (verdict, how string, err error) {
	if why := a.Permitted(t.judge); why != "" {
		t.untried++
		return "not tried", why, nil
	}
	alone, err := t.alone(a)
	if err != nil {
		return "", "", err
	}
	if alone.evidence == "" {
		t.untried++
		return "not tried", "it does not succeed on this host without a sandbox either: " + t.because(a, alone, false), nil
	}
	inside, err := t.inside(a, false)
	switch {
	case err != nil:
		return "", "", err
	case inside.evidence != "":
		t.broken++
		return "BROKE OUT", inside.evidence, nil
	case !inside.report.Began:
		t.untried++
		return "not tried", "the attacker did not come so far: " + t.because(a, inside, true), nil
	}
	t.held++
	return "held", t.because(a, inside, true), nil
}

// alone tries an attack where nothing protects.
func (t *trials) alone(a *attack.Attack) (*attempted, error) {
	if a.Traced {
		return t.inside(a, true)
	}
	return t.attempt(a, true, func(ctx context.Context, args []string, files []*os.File, _ *denials) (int, error) {
		cmd := exec.CommandContext(ctx, t.command.Path)
		cmd.Args, cmd.Env, cmd.Dir = args, t.command.Env, t.command.Dir
		cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
		if a.Terminal {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		}
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
			return 0, err
		}
		return cmd.ProcessState.ExitCode(), nil
	})
}

// inside tries an attack in a sandbox, or in one that enforces nothing.
func (t *trials) inside(a *attack.Attack, permissive bool) (*attempted, error) {
	return t.attempt(a, permissive, func(ctx context.Context, args []string, files []*os.File, d *denials) (int, error) {
		command := t.command
		command.Args, command.Files, command.Terminal = args, files, a.Terminal
		opt := supervisor.Options{Sandbox: attack.Program + "-" + a.Name, Permissive: permissive}
		if !t.quiet {
			opt.Audit = d
		}
		result, err := supervisor.Run(ctx, t.plan, command, opt)
		switch {
		case ctx.Err() != nil:
			return 0, err
		case err != nil:
			return 0, commandFailure(command.Path, err)
		}
		return result.Status, nil
	})
}

// attempt has an attacker run, with a pipe to write its report to, and looks at the
// decoys then. What outlives it finds something on its standard input.
func (t *trials) attempt(a *attack.Attack, alone bool, run func(context.Context, []string, []*os.File, *denials) (int, error)) (*attempted, error) {
	targets, err := t.ground.Prepare(alone)
	if err != nil {
		return nil, err
	}
	args, err := a.Arguments(targets)
	if err != nil {
		return nil, err
	}
	var open opened
	defer open.close()
	in, wake := open.pipe()
	out, report := open.pipe()
	if open.err != nil {
		return nil, open.err
	}
	files := []*os.File{in, report, report} // what Go's runtime has to say goes there too
	if a.Terminal {
		files[0] = t.ground.Terminal.Files()[0]
	}
	ctx, cancel := context.WithTimeout(t.ctx, hangs+time.Duration(t.tries)*hangsTry)
	defer cancel()
	var text []byte
	var unread error
	read := make(chan bool)
	go func() {
		defer close(read)
		text, unread = io.ReadAll(out)
	}()
	end := &attempted{}
	if end.status, err = run(ctx, append([]string{attack.Program}, args...), files, &end.denials); err != nil {
		return nil, err
	}
	if _, err := wake.Write([]byte("x")); err != nil {
		return nil, err
	}
	if err := errors.Join(wake.Close(), report.Close(), in.Close()); err != nil {
		return nil, err
	}
	if <-read; unread != nil {
		return nil, unread
	}
	end.report = attack.ReadReport(string(text))
	end.evidence, err = t.ground.Evidence(end.report, end.status)
	return end, err
}

// opened are files to be closed.
type opened struct {
	files []*os.File
	err   error
}

func (o *opened) pipe() (r, w *os.File) {
	r, w, err := os.Pipe()
	return o.file(r, err), o.file(w, err)
}

func (o *opened) file(f *os.File, err error) *os.File {
	if o.err == nil {
		o.err = err
	}
	if err == nil {
		o.files = append(o.files, f)
	}
	return f
}

func (o *opened) close() {
	for _, f := range o.files {
		_ = f.Close() // perhaps for a second time
	}
}

// denials are what callgate has told of, as an audit.Sink.
type denials struct{ list []audit.CallInfo }

// Put keeps a denial of each kind.
func (d *denials) Put(e *audit.Event) {
	if e.CallInfo == nil {
		return
	}
	c := audit.CallInfo{Syscall: e.Syscall, Of: e.Of, Nr: e.Nr, Verdict: e.Verdict, Errno: e.Errno, Section: e.Section, Rule: e.Rule, Policy: e.Policy, Reason: e.Reason}
	same := func(o audit.CallInfo) bool {
		return o.Syscall == c.Syscall && o.Verdict == c.Verdict && o.Errno == c.Errno && o.Rule == c.Rule
	}
	if c.Verdict != "allow" && c.Verdict != "log" && !slices.ContainsFunc(d.list, same) {
		d.list = append(d.list, c)
	}
}

// Close has nothing to write.
func (d *denials) Close() (lost uint64, err error) { return 0, nil }

// of is the denial that a call met with; nil if callgate has told of none.
func (d *denials) of(call, errno string) *audit.CallInfo {
	for i := range d.list {
		if c := &d.list[i]; (c.Syscall == call || c.Of == call) && c.Errno == errno {
			return c
		}
	}
	return nil
}

// because says what kept an attack from succeeding.
func (t *trials) because(a *attack.Attack, end *attempted, sandboxed bool) string {
	var words []string
	for _, f := range end.report.Failed {
		word := f.Call + " " + f.Errno
		if sandboxed {
			word += t.by(end, f)
		}
		words = append(words, word)
	}
	if sig := end.status - 128; sig > 0 && unix.SignalName(unix.Signal(sig)) != "" {
		words = append(words, unix.SignalName(unix.Signal(sig))+killedBy(&end.denials))
	} else if end.report.Killed != "" {
		words = append(words, end.report.Killed+killedBy(&end.denials))
	}
	if !end.report.Began && end.report.Said != "" {
		words = append(words, end.report.Said)
	}
	if len(words) == 0 {
		words = []string{cmp.Or(a.Silent, "nothing came of it")}
	}
	if end.report.Tries > 0 {
		words = append(words, fmt.Sprintf("%d tries", end.report.Tries))
	}
	if end.report.Made > 0 {
		words = append(words, fmt.Sprintf("%d got what is permitted", end.report.Made))
	}
	return strings.Join(words, "; ")
}

// by is who denied a call that failed.
func (t *trials) by(end *attempted, f attack.Failure) string {
	if c := end.denials.of(f.Call, f.Errno); c != nil {
		return " by " + ruleOf(c)
	}
	switch f.Errno {
	case "EACCES", "EPERM", "EXDEV":
		if !t.quiet {
			return " by the kernel (Landlock)"
		}
	}
	return " by the kernel"
}

func killedBy(d *denials) string {
	for i := range d.list {
		if c := &d.list[i]; c.Verdict == "kill" {
			return " by " + ruleOf(c)
		}
	}
	return ""
}

// ruleOf is the rule, or what stands for one and whose.
func ruleOf(c *audit.CallInfo) string {
	if c.Policy == "" || strings.Contains(c.Rule, ":") {
		return c.Rule
	}
	return c.Policy + " (" + strings.TrimPrefix(c.Section+" "+c.Rule, " ") + ")"
}
