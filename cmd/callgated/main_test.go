package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// The test binary stands in for callgated. Its callgate is built, or named by
// CALLGATE_PROGRAM.
const standIn = "CALLGATED_STAND_IN"

func TestMain(m *testing.M) {
	if os.Getenv(standIn) != "" {
		main()
		os.Exit(0)
	}
	if config := os.Getenv(natsStandIn); config != "" {
		serveNATS(config)
	}
	os.Exit(m.Run())
}

var callgate = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("CALLGATE_PROGRAM"); program != "" {
		return program, nil
	}
	dir, err := os.MkdirTemp("", "callgated-test")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // jobs' users execute what is in it
		return "", err
	}
	program := filepath.Join(dir, "callgate")
	out, err := exec.Command("go", "build", "-tags", "netgo,osusergo", "-o", program, "../callgate").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build callgate: %w\n%s", err, out)
	}
	return program, err
})

// host is a daemon's folder, and the daemon while one runs there.
type host struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	log record
	*client.Client
}

// record is what a daemon logs, which it still does while it is read.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// pause is between two looks at something that takes its time.
func pause() { time.Sleep(10 * time.Millisecond) }

// newHost makes the folder of a daemon. What jobs write is below what everyone
// may enter.
func newHost(t *testing.T, config string) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "cgd")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := callgate()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, dir: dir, Client: client.New(filepath.Join(dir, "s"))}
	h.configure("supervisor: " + program + "\n" + config)
	t.Cleanup(func() {
		h.kill()
		h.killRuns()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", h.log.String())
		}
	})
	return h
}

func (h *host) configure(config string) {
	h.t.Helper()
	root := "\nroot-jobs: true"
	if strings.Contains(config, "root-jobs") {
		root = ""
	}
	text := "callgated: 1\nsocket: s\nstate: state" + root + "\n" + config
	if !strings.Contains(config, "default:") {
		text += "\ndefault: [builtin:ci]\n"
	}
	if err := os.WriteFile(filepath.Join(h.dir, "c.yaml"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// killRuns ends the supervisors that a killed daemon has left.
func (h *host) killRuns() {
	for _, pid := range h.supervisors() {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// supervisors are the processes that have a job.
func (h *host) supervisors() (pids []int) {
	names, _ := filepath.Glob(h.dir + "/state/jobs/*/pid")
	for _, name := range names {
		st, err := os.Stat(filepath.Join(filepath.Dir(name), "result"))
		if pid := supervisorIn(name); err == nil && st.Size() == 0 && pid != 0 && !dead(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// supervisorIn is whom the note of a run names.
func supervisorIn(file string) (pid int) {
	text, err := os.ReadFile(file)
	if err == nil {
		_, _ = fmt.Sscan(string(text), &pid)
	}
	return pid
}

// dead says whether a process is gone, or will not do anything any more.
func dead(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// command is the daemon's.
func (h *host) command() *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(self, "--config", filepath.Join(h.dir, "c.yaml"), "--text-log", "-v")
	cmd.Env = append(os.Environ(), standIn+"=1")
	cmd.Stderr = &h.log
	return cmd
}

// start starts the daemon and waits until it takes jobs.
func (h *host) start() {
	h.t.Helper()
	h.begin(h.command())
}

func (h *host) begin(cmd *exec.Cmd) {
	h.t.Helper()
	h.cmd = cmd
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	for range 3000 {
		if _, err := h.List(context.Background(), client.Query{Limit: 1}); err == nil {
			return
		}
		if unix.Kill(h.cmd.Process.Pid, 0) != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatal("the daemon does not start")
}

func (h *host) kill() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		h.cmd = nil
	}
}

// stop ends the daemon as systemd does.
func (h *host) stop() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(unix.SIGTERM); err != nil {
		h.t.Fatal(err)
	}
	if err := h.cmd.Wait(); err != nil {
		h.t.Errorf("the daemon ended with %v", err)
	}
	h.cmd = nil
}

func running(t *testing.T, config string) *host {
	t.Helper()
	h := newHost(t, config)
	h.start()
	return h
}

func (h *host) submit(r *client.Request) *client.Job {
	h.t.Helper()
	j, err := h.Submit(h.t.Context(), r, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return j
}

func shell(script string) *client.Request { return &client.Request{Argv: []string{"sh", "-c", script}} }

func (h *host) wait(id string) *client.Job {
	h.t.Helper()
	j, err := h.Wait(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return j
}

func (h *host) output(id string, kind client.EventKind) string {
	h.t.Helper()
	body, err := h.Output(h.t.Context(), id, kind, 0, false)
	if err != nil {
		h.t.Fatal(err)
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// lacking ends a test that this machine cannot run, and says what it lacks. On
// CI nothing may be lacking.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this machine lacks %s, and on CI nothing may be skipped", what)
	}
	skip(t, "this machine lacks "+what)
}

// skip ends a test and says why, also where go test would keep it to itself.
func skip(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "%s is skipped: %s\n", t.Name(), why)
	t.SkipNow()
}
