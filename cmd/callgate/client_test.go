package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/supervisor/client"
)

// standIn is a daemon that has these jobs and these events of each, to test what the
// client makes of answers that a real one gives rarely.
type standIn struct {
	jobs   []client.Job
	events map[string][]client.Event
	files  map[string]string // collected, by path
	paged  bool              // two jobs on a page

	mu    sync.Mutex
	asked []string // METHOD PATH BODY, of what changes something
}

const (
	jobA = "aaaaaaaaaa"
	jobB = "bbbbbbbbbb"
	jobC = "cccccccccc"
)

func newStandIn() *standIn {
	began := time.Now().Add(-100 * time.Second)
	return &standIn{
		jobs: []client.Job{
			{ID: jobC, User: "ann", State: client.Queued, Argv: []string{"sleep", "1"}, Submitted: began},
			{ID: jobB, User: "bob", State: client.Running, Argv: []string{"sh", "-c", "echo it's\x1b[31m"}, Submitted: began, Started: began, Host: "h1",
				Usage: client.Usage{UserSeconds: 150, MemoryBytes: 3 << 20, Processes: 2, Denied: 4}},
			{ID: jobA, User: "ann", State: client.Ended, Argv: []string{"false"}, Submitted: began, Started: began, Ended: began.Add(time.Second),
				Usage: client.Usage{WallSeconds: 1}, Result: &client.Result{Cause: client.ByExit, Status: 3}},
		},
		events: map[string][]client.Event{jobA: {
			{Offset: 4, Kind: client.StdoutEvent, Content: client.NewContent([]byte("out\n"))},
			{Offset: 6, Kind: client.StderrEvent, Content: client.NewContent([]byte("err\xff\n"))},
			{Offset: 7, Kind: client.AuditEvent, Audit: json.RawMessage(`{"event":"end","status":3}`)},
			{Offset: 9, Kind: client.LostEvent, Lost: &client.Lost{Kind: client.StdoutEvent, Count: 77}},
		}},
	}
}

func (s *standIn) serve(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "callgate") // t.TempDir's names are too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.mux())
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return socket
}

func (s *standIn) mux() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/jobs", s.list)
	m.HandleFunc("POST /v1/jobs", s.change(http.StatusCreated))
	m.HandleFunc("POST /v1/jobs/{id}/kill", s.change(http.StatusAccepted))
	m.HandleFunc("POST /v1/jobs/{id}/signal", s.change(http.StatusAccepted))
	m.HandleFunc("DELETE /v1/jobs/{id}", s.change(http.StatusNoContent))
	m.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		if job := s.job(w, r); job != nil {
			answer(w, 200, job)
		}
	})
	m.HandleFunc("GET /v1/jobs/{id}/events", s.follow)
	m.HandleFunc("GET /v1/jobs/{id}/files", func(w http.ResponseWriter, r *http.Request) {
		if s.job(w, r) == nil {
			return
		}
		var list client.Files
		for path, text := range s.files {
			list.Files = append(list.Files, client.Collected{Path: path, SizeBytes: int64(len(text)), Executable: path == "bin/tool"})
		}
		answer(w, 200, list)
	})
	m.HandleFunc("GET /v1/jobs/{id}/file", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s.files[r.FormValue("path")]) })
	m.HandleFunc("GET /v1/hosts", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, client.Hosts{Hosts: []client.Host{{Name: "h1", Slots: 4, Running: 1, Seen: time.Now()}}, Queued: 1})
	})
	m.HandleFunc("GET /v1/version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, client.Version{Version: "9.9", API: "1", Host: "h1"})
	})
	return m
}

func answer(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *standIn) list(w http.ResponseWriter, r *http.Request) {
	jobs := slices.DeleteFunc(slices.Clone(s.jobs), func(j client.Job) bool {
		state := r.FormValue("state")
		return state != "" && state != string(j.State)
	})
	page := client.Page{Jobs: jobs}
	if s.paged && r.FormValue("page") != "" {
		page.Jobs = jobs[2:]
	} else if s.paged && len(jobs) > 2 {
		page.Jobs, page.Next = jobs[:2], "more"
	}
	answer(w, 200, page)
}

func (s *standIn) job(w http.ResponseWriter, r *http.Request) *client.Job {
	for i := range s.jobs {
		if s.jobs[i].ID == r.PathValue("id") {
			return &s.jobs[i]
		}
	}
	answer(w, 404, client.NewProblem(client.NotFound, ""))
	return nil
}

func (s *standIn) change(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var job *client.Job
		if r.PathValue("id") == "" {
			job = &s.jobs[0]
		} else if job = s.job(w, r); job == nil {
			return
		}
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
		s.mu.Unlock()
		if status == http.StatusNoContent {
			w.WriteHeader(status)
			return
		}
		answer(w, status, job)
	}
}

func (s *standIn) follow(w http.ResponseWriter, r *http.Request) {
	job := s.job(w, r)
	if job == nil {
		return
	}
	_ = r.ParseForm()
	kinds := r.Form["kind"]
	for _, e := range s.events[job.ID] {
		if len(kinds) == 0 || slices.Contains(kinds, string(e.Kind)) || e.Kind == client.LostEvent {
			_ = json.NewEncoder(w).Encode(e)
		}
	}
	if job.State == client.Ended {
		_ = json.NewEncoder(w).Encode(client.Event{Offset: 99, Kind: client.StateEvent, Job: job})
	}
}

// changes are what was asked for since the last time.
func (s *standIn) changes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// said is what a client's command says and how it ends.
type said struct {
	stdout, stderr string
	status         int
}

func callgate(t *testing.T, socket string, args ...string) said {
	t.Helper()
	cmd := exec.Command("callgate", args...)
	cmd.Env = append(os.Environ(), client.SocketVariable+"="+socket)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return said{stdout.String(), stderr.String(), statusOf(cmd.ProcessState)}
}

func TestPs(t *testing.T) {
	s := newStandIn()
	s.paged = true
	socket := s.serve(t)
	got := callgate(t, socket, "ps")
	want := "JOB         USER  STATE    AGE    TIME   DENIED  COMMAND\n" +
		"cccccccccc  ann   queued   1m40s  0.0s   0       sleep 1\n" +
		"bbbbbbbbbb  bob   running  1m40s  1m40s  4       sh -c 'echo it'\\''s\\x1b[31m'\n"
	if got.stdout != want {
		t.Errorf("ps:\n%swant:\n%s", got.stdout, want)
	}
	if got := callgate(t, socket, "ps", "-a"); !strings.Contains(got.stdout, "aaaaaaaaaa  ann   exited 3  1m40s  1.0s") {
		t.Errorf("ps -a has not the second page:\n%s", got.stdout)
	}
	got = callgate(t, socket, "ps", "--json", jobA, "zzzzzzzzzz", jobB)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	var job client.Job
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &job) != nil || job.Result.Status != 3 {
		t.Errorf("ps --json: %s", got.stdout)
	}
	if got.status != 2 || got.stderr != "callgate: ps zzzzzzzzzz: there is no such job\n" {
		t.Errorf("of a job that is not there: %d, %s", got.status, got.stderr)
	}
}

func TestNoDaemon(t *testing.T) {
	got := callgate(t, filepath.Join(t.TempDir(), "none"), "ps")
	if got.status != 2 || !strings.Contains(got.stderr, "none: connect: no such file or directory\ncallgate: hint: is callgated running?") {
		t.Errorf("got %d, %s", got.status, got.stderr)
	}
	got = callgate(t, filepath.Join(t.TempDir(), "none"), "run", "--remote", "true")
	if got.status != 125 {
		t.Errorf("run --remote: %d, %s", got.status, got.stderr)
	}
}

func TestKillAndRm(t *testing.T) {
	s := newStandIn()
	socket := s.serve(t)
	callgate(t, socket, "kill", jobB, jobC)
	callgate(t, socket, "kill", "-s", "term", jobB)
	callgate(t, socket, "rm", jobA)
	callgate(t, socket, "rm", "--force", jobA)
	want := []string{
		"POST /v1/jobs/bbbbbbbbbb/kill", "POST /v1/jobs/cccccccccc/kill", `POST /v1/jobs/bbbbbbbbbb/signal {"signal":"SIGTERM"}`,
		"DELETE /v1/jobs/aaaaaaaaaa", "POST /v1/jobs/aaaaaaaaaa/kill", "DELETE /v1/jobs/aaaaaaaaaa",
	}
	if got := s.changes(); !slices.Equal(got, want) {
		t.Errorf("asked for %q", got)
	}
	for _, op := range []string{"kill", "rm", "wait", "ps"} {
		got := callgate(t, socket, op, "no-a", "no-b")
		want := "callgate: OP no-a: there is no such job\ncallgate: OP no-b: there is no such job\n"
		if got.status != 2 || got.stderr != strings.ReplaceAll(want, "OP", op) {
			t.Errorf("%s: %+v", op, got)
		}
	}
	for _, op := range []string{"logs", "files"} {
		if got := callgate(t, socket, op, "no-a"); got.status != 2 || got.stderr != "callgate: "+op+" no-a: there is no such job\n" {
			t.Errorf("%s: %+v", op, got)
		}
	}
	if got := callgate(t, socket, "kill"); got.status != 2 || !strings.Contains(got.stderr, "no job was named") {
		t.Errorf("kill of nothing: %+v", got)
	}
}

func TestWait(t *testing.T) {
	s := newStandIn()
	s.jobs[1].State, s.jobs[1].Result = client.Ended, &client.Result{Cause: client.ByLoss, Status: 125, Message: "host h1 went away"}
	socket := s.serve(t)
	if got := callgate(t, socket, "wait", jobB, jobA); got.status != 3 || got.stderr != "callgate: host h1 went away\n" {
		t.Errorf("got %+v", got)
	}
	if got := callgate(t, socket, "wait", "--json", jobB); got.status != 125 || !strings.HasPrefix(got.stdout, `{"id":"bbbbbbbbbb"`) {
		t.Errorf("got %+v", got)
	}
}

func TestLogs(t *testing.T) {
	socket := newStandIn().serve(t)
	lost := "callgate: 77 bytes of stdout are missing here: they were over a limit\n"
	for _, c := range []struct {
		flags []string
		want  said
	}{
		{nil, said{"out\n", "err\xff\n" + lost, 0}},
		{[]string{"-f", "--stdout"}, said{"out\n", lost, 0}},
		{[]string{"--stderr"}, said{"", "err\xff\n" + lost, 0}},
		{[]string{"--audit"}, said{"{\"event\":\"end\",\"status\":3}\n", lost, 0}},
	} {
		if got := callgate(t, socket, append(append([]string{"logs"}, c.flags...), jobA)...); got != c.want {
			t.Errorf("logs %q: %+v", c.flags, got)
		}
	}
	if got := callgate(t, socket, "logs", "--json", jobA); strings.Count(got.stdout, "\n") != 5 || !strings.Contains(got.stdout, `"base64":"ZXJy/wo="`) {
		t.Errorf("logs --json: %s", got.stdout)
	}
	earlier := logsFlags{earlier: true}
	job := &client.Job{State: client.Queued, Earlier: []client.Attempt{{Attempt: 1, Host: "h1", Message: "its host, h1, was lost"}}}
	want := "attempt 1, on h1, was lost: its host, h1, was lost; what follows is the next one's"
	if got := earlier.attempt(&client.Event{Kind: client.StateEvent, Attempt: 1, Job: job}); got != want {
		t.Errorf("logs --earlier says %q", got)
	}
	if got := callgate(t, socket, "logs", "--earlier", jobA); got != (said{"out\n", "err\xff\n" + lost, 0}) {
		t.Errorf("logs --earlier: %+v", got)
	}
}

// TestFilesStayInTheirFolder: the paths of files are a job's to choose.
func TestFilesStayInTheirFolder(t *testing.T) {
	s := newStandIn()
	s.files = map[string]string{"bin/tool": "tool", "../escaped": "no", "/tmp/callgate-escaped": "no", "link/file": "no"}
	socket := s.serve(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(out, "link")); err != nil {
		t.Fatal(err)
	}
	got := callgate(t, socket, "files", "-o", out, jobA)
	if got.status != 2 || strings.Count(got.stderr, "\n") != 3 || !strings.Contains(got.stderr, "callgate: ../escaped: ") {
		t.Errorf("got %+v", got)
	}
	if text, err := os.ReadFile(filepath.Join(out, "bin/tool")); err != nil || string(text) != "tool" {
		t.Errorf("bin/tool: %q, %v", text, err)
	}
	if st, err := os.Stat(filepath.Join(out, "bin/tool")); err != nil || st.Mode()&0o100 == 0 {
		t.Errorf("bin/tool cannot be executed: %v", err)
	}
	for _, name := range []string{filepath.Join(dir, "escaped"), "/tmp/callgate-escaped", filepath.Join(dir, "file")} {
		if fileExists(name) {
			t.Errorf("%s was written", name)
		}
	}
	if got := callgate(t, socket, "files", jobA); !strings.Contains(got.stdout, "    4B  bin/tool\n") {
		t.Errorf("files: %s", got.stdout)
	}
}

func TestSubmit(t *testing.T) {
	s := newStandIn()
	socket := s.serve(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ci.yaml": "callgate: 1\nextends: [builtin:compute, ./more/base.yaml]\n", "more/base.yaml": "callgate: 1\nsyscalls: []\n",
		"bad.yaml": "callgate: 1\nsyscalls: [{allow: opnat}]\n", "in": "text", "script": "#!/bin/sh\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), text)
	}
	submit := func(words string) said {
		t.Helper()
		cmd := "cd " + dir + " && exec callgate submit --clear-env --setenv A=b --socket " + socket + " " + words
		out, err := exec.Command("sh", "-c", cmd).CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		status := 0
		if exit != nil {
			status = exit.ExitCode()
		}
		return said{stdout: string(out), status: status}
	}
	common := `"env":{"A":"b"},`
	for words, want := range map[string]string{
		"-p lab -p builtin:ci -- true -x": `{"argv":["true","-x"],` + common + `"policies":[{"name":"lab"},{"name":"builtin:ci"}],"folder":"` + dir + `"}`,
		"-p ci.yaml --copy true": `{"argv":["true"],` + common + `"policies":[{"name":"ci.yaml","text":"callgate: 1\nextends: [builtin:compute, ./more/base.yaml]\n",` +
			`"files":{"more/base.yaml":"callgate: 1\nsyscalls: []\n"}}],"folder":"` + dir + `","copy":true}`,
		"--empty -p " + dir + "/more/base.yaml true": `{"argv":["true"],` + common + `"policies":[{"name":"` + dir + `/more/base.yaml","text":"callgate: 1\nsyscalls: []\n"}]}`,
		"-C more -p ci.yaml true": `{"argv":["true"],` + common + `"policies":[{"name":"` + dir + `/ci.yaml","text":"callgate: 1\nextends: [builtin:compute, ./more/base.yaml]\n",` +
			`"files":{"` + dir + `/more/base.yaml":"callgate: 1\nsyscalls: []\n"}}],"folder":"` + dir + `/more"}`,
		"--empty --limit wall-time=1m30s --limit memory=2MiB --limit processes=5 --label a=b --require c= --retries 2 --collect 'out/**' true": `{"argv":["true"],` + common +
			`"limits":{"wall_seconds":90,"memory_bytes":2097152,"processes":5},"collect":["out/**"],"labels":{"a":"b"},"requires":{"c":""},"retries":2}`,
		"--empty --file in --file bin/script=script --stdin in true": `{"argv":["true"],` + common + `"files":[{"path":"in","text":"text"},{"path":"bin/script","text":"#!/bin/sh\n"}],"stdin":{"text":"text"}}`,
	} {
		got := submit(words)
		asked := s.changes()
		if got.status != 0 || got.stdout != jobC+"\n" || len(asked) != 1 || asked[0] != "POST /v1/jobs "+want {
			t.Errorf("submit %s: %+v\nasked for %q\n     want %q", words, got, asked, want)
		}
	}
	for words, want := range map[string]string{
		"-p bad.yaml true":          `bad.yaml:2:20: unknown system call "opnat"; did you mean "openat"?`,
		"-p ./none.yaml true":       "none.yaml: cannot read the policy: no such file or directory",
		"--limit memory=lots true":  "--limit memory: ",
		"--limit cores=2 true":      "--limit cores=2: there is no such limit",
		"--label x true":            "--label x: expected KEY=VALUE",
		"-C none true":              "--workdir none: no such file or directory",
		"--file more true":          "--file more: not a regular file",
		"--empty $(printf '\\377')": "argv[0] is not UTF-8",
		"--empty --copy true":       "--copy does not go with --empty",
		"--empty -C more true":      "--workdir does not go with --empty",
		"":                          "no command to run\ncallgate: hint: callgate submit -- COMMAND\n",
	} {
		if got := submit(words); got.status != 2 || !strings.Contains(got.stdout, want) || s.changes() != nil {
			t.Errorf("submit %s: %+v", words, got)
		}
	}
}

// TestFlagOf: what the daemon says of a request is told of the flags that made it.
func TestFlagOf(t *testing.T) {
	for field, want := range map[string]string{
		"": "", "/retries": "--retries", "/files/0/path": "--file", "/policies/1/name": "--policy", "/labels/a~1b": "--label a/b", "/labels": "--label",
		"/requires/\x1b": `--require \x1b`, "/collect/3": "--collect", "/folder": "--workdir", "/argv/0": "the command", "/env/A": "the environment", "state": "--state",
	} {
		if got := flagOf(field); got != want {
			t.Errorf("%q is %q, want %q", field, got, want)
		}
	}
	if err := remoteFailure(client.ProblemAt(client.Invalid, "/retries", "from 0 to 100")); err.Error() != "--retries: from 0 to 100" {
		t.Error(err)
	}
}

func TestCompletionOfJobs(t *testing.T) {
	socket := newStandIn().serve(t)
	got := callgate(t, socket, "__complete", "kill", "")
	if !strings.Contains(got.stdout, "bbbbbbbbbb\tsh -c") || !strings.Contains(got.stdout, jobC) || strings.Contains(got.stdout, jobA) {
		t.Errorf("kill: %s", got.stdout)
	}
	if got := callgate(t, socket, "__complete", "rm", "a"); !strings.HasPrefix(got.stdout, jobA+"\tfalse\n") {
		t.Errorf("rm: %s", got.stdout)
	}
	if got := callgate(t, socket, "__complete", "submit", "--limit", "w"); !strings.HasPrefix(got.stdout, "wall-time=\n") {
		t.Errorf("submit: %s", got.stdout)
	}
	if got := callgate(t, "/none", "__complete", "kill", ""); !strings.HasPrefix(got.stdout, ":4\n") {
		t.Errorf("without a daemon: %s", got.stdout)
	}
}

func TestSizesAndTimes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.0K", 10 << 10: "10K", 1 << 20: "1.0M", 1<<20 - 1: "1.0M", 5 << 30: "5.0G", 1 << 62: "4194304T"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d bytes are %s, want %s", n, got, want)
		}
	}
	for s, want := range map[float64]string{-1: "0.0s", 0.04: "0.0s", 9.94: "9.9s", 10: "10s", 61: "1m01s", 3600: "1h00m", 90000: "1d01h"} {
		if got := formatSeconds(s); got != want {
			t.Errorf("%gs are %s, want %s", s, got, want)
		}
	}
}
