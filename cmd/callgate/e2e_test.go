package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"callgate/supervisor/audit"
)

// A trial is one way of running commands: bare, or as `callgate run` would be
// asked to run them.
type trial struct {
	bare   bool     // without callgate
	build  string   // another build of callgate than the test binary
	quiet  bool     // tells nothing, and has no audit log
	policy string   // a policy's text, or "builtin:NAME"
	flags  []string // more flags of `callgate run`
	env    []string // added to the environment
	stdin  string
	dir    string              // the working folder; "" is an empty one
	user   bool                // as an ordinary user even where the tests run as root
	attr   syscall.SysProcAttr // Credential is user's
}

// An outcome is all that could be seen of a finished command.
type outcome struct {
	stdout, stderr string
	status         int // exit status, 128+N if a signal ended the process that was started
	events         []audit.Event
}

// hangAfter is far beyond what any trial takes: it ends a test that hangs.
const hangAfter = 6 * time.Minute

// nobody is the ordinary user that root becomes for tests.
const nobody = 65534

// traceAll is the policy under which nothing may differ from a bare run.
const traceAll = "builtin:trace-all"

// run runs a command to its end. It fails the test if the command hangs or if
// anything of it is left running afterwards.
func (tr trial) run(t *testing.T, argv ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	var stdout, stderr bytes.Buffer
	r := tr.prepare(t, ctx, argv...)
	r.cmd.Stdout, r.cmd.Stderr = &stdout, &stderr
	r.cmd.WaitDelay = 10 * time.Second // for survivors that hold the pipes
	err := r.cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%q hangs\nstdout: %sstderr: %s", argv, tail(stdout.String()), tail(stderr.String()))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatal(err)
	}
	left := r.left()
	if len(left) > 0 && !tr.bare {
		t.Errorf("%q left running: %q", argv, left)
	}
	r.gone = len(left) == 0
	r.killLeft()
	return outcome{stdout.String(), stderr.String(), statusOf(r.cmd.ProcessState), r.events(t)}
}

// running is a command that is about to be started, or that runs.
type running struct {
	cmd   *exec.Cmd
	mark  string // a word in the environment of all that descends from it
	audit string // its audit log
	gone  bool   // it has ended, and nothing carries the mark any more
}

// prepare makes the command of a trial, with an audit log and a mark by which
// its descendants are found again.
func (tr trial) prepare(t *testing.T, ctx context.Context, argv ...string) *running {
	t.Helper()
	dir := openFolder(t)
	r := &running{mark: "CALLGATE_TEST_MARK=" + rand.Text(), audit: filepath.Join(dir, "audit")}
	if !tr.bare {
		argv = append(tr.callgate(t, dir, r.audit), argv...)
	}
	r.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	r.cmd.Env = append(os.Environ(), tr.env...)
	r.cmd.Env = append(r.cmd.Env, r.mark)
	r.cmd.Dir = tr.dir
	if tr.dir == "" {
		r.cmd.Dir = openFolder(t)
	}
	if tr.stdin != "" {
		r.cmd.Stdin = strings.NewReader(tr.stdin)
	}
	attr := tr.attr
	if u := asUser(tr.user); u != nil {
		attr.Credential = u.Credential
	}
	// A group of its own, whose leader's parent is outside of it: in an orphaned
	// process group, as CI may run the tests in, SIGTSTP stops nobody (setpgid(2)).
	attr.Setpgid = !attr.Setsid
	r.cmd.SysProcAttr = &attr
	t.Cleanup(r.killLeft)
	return r
}

func (tr trial) callgate(t *testing.T, dir, log string) []string {
	t.Helper()
	name := tr.policy
	if !strings.HasPrefix(name, "builtin:") {
		name = filepath.Join(dir, "policy.yaml")
		writeFile(t, name, tr.policy)
	}
	build := tr.build
	if build == "" {
		build = lookPath(t, "callgate")
	}
	argv := []string{build, "run", "-p", name}
	if tr.quiet {
		argv = append(argv, "--quiet")
	} else if name != traceAll { // whose log has every call: some would be lost on a busy machine, and told
		argv = append(argv, "--audit", log)
	}
	return append(append(argv, tr.flags...), "--")
}

// left names the processes that still carry the mark.
func (r *running) left() (found []string) {
	for _, pid := range r.pids() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%s/cmdline", pid))
		found = append(found, pid+" "+strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

func (r *running) pids() (found []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environments {
		text, err := os.ReadFile(name)
		if err == nil && bytes.Contains(text, []byte(r.mark)) {
			found = append(found, filepath.Base(filepath.Dir(name)))
		}
	}
	return found
}

// killLeft kills what carries the mark until nothing does.
func (r *running) killLeft() {
	if r.gone {
		return
	}
	for range 100 {
		pids := r.pids()
		if len(pids) == 0 {
			return
		}
		for _, text := range pids {
			var pid int
			fmt.Sscan(text, &pid)
			syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// events reads the audit log; a run that could not start has none.
func (r *running) events(t *testing.T) (events []audit.Event) {
	t.Helper()
	text, err := os.ReadFile(r.audit)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("audit log: %v in %q", err, line)
		}
		events = append(events, e)
	}
	return events
}

// calls are the decided calls among the events, of one name if name is not "".
func (o outcome) calls(name string) (found []audit.Event) {
	for _, e := range o.events {
		if e.Kind == audit.Call && (name == "" || e.Syscall == name) {
			found = append(found, e)
		}
	}
	return found
}

func (o outcome) String() string {
	return fmt.Sprintf("status %d\nstdout: %s\nstderr: %s", o.status, tail(o.stdout), tail(o.stderr))
}

// tail keeps the end of a long output.
func tail(text string) string {
	const most = 6000
	if len(text) > most {
		return "..." + text[len(text)-most:]
	}
	return text
}

func statusOf(state *os.ProcessState) int {
	ws := state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// openFolder is a new folder that every user may write to.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "callgate-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func itoa(n int) string { return strconv.Itoa(n) }

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// want fails the test unless the outcome has this status and standard output.
func (o outcome) want(t *testing.T, status int, stdout string) {
	t.Helper()
	if o.status != status || o.stdout != stdout {
		t.Errorf("want status %d and %q\ngot %v", status, stdout, o)
	}
}
