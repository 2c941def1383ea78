package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"
)

// TestCurl is a job's whole life as the README has it.
func TestCurl(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	script := `
set -eu
curl() { command curl -sS --unix-socket s "$@"; }
submit() { curl http://callgated/v1/jobs -d "$1" | sed 's/.*"id":"\([^"]*\)".*/\1/'; }
job=$(submit '{"argv": ["sh", "-c", "echo hello; exit 3"]}')
curl "http://callgated/v1/jobs/$job/stdout?follow=true"
curl "http://callgated/v1/jobs/$job" | grep -o '"result":{[^}]*}'
curl "http://callgated/v1/jobs/$job/events" | grep -c '"kind":"state"'
job=$(submit '{"argv": ["sleep", "100"]}')
until curl "http://callgated/v1/jobs?state=running" | grep -q "$job"; do sleep 0.05; done
curl -X POST "http://callgated/v1/jobs/$job/kill"
curl "http://callgated/v1/jobs/$job?wait_seconds=60" | grep -o '"result":{[^}]*}'
curl -w '%{http_code}\n' -X DELETE "http://callgated/v1/jobs/$job"
curl -w '\n%{http_code}\n' "http://callgated/v1/jobs/$job"
`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = h.dir
	out, err := cmd.CombinedOutput()
	want := `hello
"result":{"cause":"exit","status":3}
3
"result":{"cause":"killed","status":137,"signal":"SIGKILL"}
204
{"type":"urn:callgate:problem:not-found","title":"There is no such thing","status":404}

404
`
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s, not\n%s", err, out, want)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 8\nlimits: {output: 1000, wall-time: 1m}\n")
	long := shell("yes | head -c 5000")
	slow := shell("echo begun; sleep 100")
	slow.Limits = &client.Limits{WallSeconds: 0.2}
	big := &client.Request{Argv: []string{"sh", "-c", "head -c 2000000 /dev/zero >big"}, Limits: &client.Limits{FileBytes: 1000000, MemoryBytes: 1 << 30, Processes: 20, OpenFiles: 50, CPUSeconds: 30}}
	in := shell("cat; exit 3")
	in.Stdin = &client.Stdin{Content: client.Content{Text: "what is put in\n"}}
	for name, c := range map[string]struct {
		request *client.Request
		want    client.Result
		stdout  string
		dropped int64
	}{
		"exit":    {in, client.Result{Cause: client.ByExit, Status: 3}, "what is put in\n", 0},
		"signal":  {shell("kill -TERM $$"), client.Result{Cause: client.BySignal, Status: 143, Signal: "SIGTERM"}, "", 0},
		"missing": {&client.Request{Argv: []string{"no-such-command"}}, client.Result{Cause: client.ByFailure, Status: 127, Message: "no-such-command: command not found"}, "", 0},
		"output":  {long, client.Result{Cause: client.ByExit}, strings.Repeat("y\n", 500), 4000},
		"size":    {big, client.Result{Cause: client.ByExit, Status: 153}, "", 0},
		"time":    {slow, client.Result{Cause: client.ByLimit, Status: 124, Limit: "wall_seconds", Message: "the limit on wall-time was reached"}, "begun\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := h.wait(h.submit(c.request).ID)
			if j.Result == nil || *j.Result != c.want || j.DroppedBytes != c.dropped {
				t.Errorf("%+v, %d bytes dropped; not %+v, %d", j.Result, j.DroppedBytes, c.want, c.dropped)
			}
			if out := h.output(j.ID, client.StdoutEvent); out != c.stdout {
				t.Errorf("the output is %q", out)
			}
		})
	}
}

// TestEvents has a job's events come as they happen, and go on from any offset.
func TestEvents(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("read line; echo got $line; read line; id >/dev/null 2>&1; exit 4")
	r.Stdin = &client.Stdin{Open: true}
	id := h.submit(r).ID
	in := h.input(id)
	io.WriteString(in, "one\n")
	var seen []string
	var offsets []uint64
	for e, err := range h.Events(t.Context(), id, client.EventQuery{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		word := string(e.Kind)
		if e.Kind == client.StateEvent {
			word = string(e.Job.State)
		}
		if e.Kind == client.StdoutEvent { // it lives: the second line has not been written
			word += ":" + e.Text
			io.WriteString(in, "two\n")
			in.Close()
		}
		seen, offsets = append(seen, word), append(offsets, e.Offset)
	}
	got := strings.Join(seen, " ")
	if !strings.HasPrefix(got, "queued running audit") || !strings.Contains(got, " stdout:got one\n ") || !strings.HasSuffix(got, " ended") {
		t.Errorf("the events are %s", got)
	}
	for i, after := range offsets {
		n := 0
		for e, err := range h.Events(t.Context(), id, client.EventQuery{After: after}) {
			if err != nil || e.Offset <= after && i < len(offsets)-1 {
				t.Fatal(e, err)
			}
			n++
		}
		if want := max(len(offsets)-i-1, 1); n != want { // the last always comes
			t.Errorf("after event %d of %d come %d", i, len(offsets), n)
		}
	}
	err := h.Write(t.Context(), id, 0, strings.NewReader("late"))
	if !errors.Is(err, client.NotOpen) {
		t.Errorf("input for a job that has ended: %v", err)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	id := h.submit(shell("trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.05; done")).ID
	out, err := h.Output(t.Context(), id, client.StdoutEvent, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := h.Signal(t.Context(), id, client.Signal{Signal: "SIGUSR1"}); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(out); string(rest) != "got it\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	if j := h.wait(id); j.Result.Status != 7 {
		t.Errorf("%+v", j.Result)
	}
	if err := h.Signal(t.Context(), id, client.Signal{Signal: "SIGUSR1"}); !errors.Is(err, client.NotRunning) {
		t.Errorf("a signal to a job that has ended: %v", err)
	}
	if err := h.Signal(t.Context(), h.submit(shell("sleep 1")).ID, client.Signal{Signal: "SIGNONE"}); !errors.Is(err, client.Invalid) {
		t.Errorf("a signal that there is none of: %v", err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	src := t.TempDir()
	if err := os.WriteFile(filepath.Join(src, "kept"), []byte("from the folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := shell("./run.sh; cat kept > out/copy; ln -s /etc/passwd out/link; rm kept; mkfifo out/fifo")
	r.Folder, r.Copy = src, true
	r.Files = []client.File{
		{Path: "run.sh", Content: client.Content{Text: "#!/bin/sh\ncat in/data >out/made\n"}, Executable: true},
		{Path: "in/data", Content: client.NewContent([]byte{0, 0xff, 1})},
		{Path: "out/old", Content: client.Content{Text: "old"}},
	}
	r.Collect = []string{"out/**", "missing"}
	j := h.wait(h.submit(r).ID)
	if j.Result.Status != 0 {
		t.Errorf("%+v: %s", j.Result, h.output(j.ID, client.StderrEvent))
	}
	files, err := h.Files(t.Context(), j.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range files.Files {
		got += fmt.Sprintf("%s %d %t; ", f.Path, f.SizeBytes, f.Missing != "")
	}
	if got != "out/copy 15 false; out/fifo 0 true; out/link 0 true; out/made 3 false; out/old 3 false; " {
		t.Errorf("collected: %s", got)
	}
	body, err := h.File(t.Context(), j.ID, "out/made")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if b, err := io.ReadAll(body); string(b) != "\x00\xff\x01" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := h.File(t.Context(), j.ID, "out/link"); !errors.Is(err, client.NotFound) {
		t.Errorf("a file that was not kept: %v", err)
	}
	if _, err := os.Stat(filepath.Join(src, "kept")); err != nil {
		t.Errorf("the copy was none: %v", err)
	}
}

// TestKillWhileCollecting: the command's end stands, and what was collected is no more
// than it was.
func TestKillWhileCollecting(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("d=.; for i in $(seq 900); do d=$d/a; done; mkdir -p $d; for i in $(seq 500); do : >$d/$i; done; exit 3")
	for i := range 100 {
		r.Collect = append(r.Collect, "**/"+strings.Repeat("a/", 450)+fmt.Sprint("b", i))
	}
	id := h.submit(r).ID
	for e, err := range h.Events(t.Context(), id, client.EventQuery{Follow: true, Kinds: []client.EventKind{client.AuditEvent}}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(e.Audit), `"event":"end"`) {
			break
		}
	}
	if err := h.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	j := h.wait(id) // of a supervisor that had to be killed there would be no status
	if j.Result.Cause != client.ByExit || j.Result.Status != 3 || !strings.HasPrefix(j.Result.Message, "not all files could be collected: ") {
		t.Errorf("%+v", *j.Result)
	}
}

// TestKilledJobsFiles: what a job has made until it is killed is collected too.
func TestKilledJobsFiles(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("echo x >made; echo up; sleep 100")
	r.Collect = []string{"made"}
	id := h.submit(r).ID
	h.until("the command runs", func() bool { return h.output(id, client.StdoutEvent) != "" })
	if err := h.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	want := client.Result{Cause: client.ByKill, Status: 137, Signal: "SIGKILL"}
	if j := h.wait(id); *j.Result != want {
		t.Errorf("%+v, not %+v", *j.Result, want)
	}
	files, err := h.Files(t.Context(), id)
	if err != nil || len(files.Files) != 1 {
		t.Errorf("collected: %+v, %v", files, err)
	}
}

// TestRestart stops and kills the daemon below a job that goes on.
func TestRestart(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("read a; echo one $a; read a; echo two $a")
	r.Stdin = &client.Stdin{Open: true}
	id := h.submit(r).ID
	in := h.input(id)
	io.WriteString(in, "a\n")
	h.stop()
	h.start()
	h.kill()
	h.start()
	io.WriteString(in, "b\n")
	in.Close()
	if j := h.wait(id); j.Result.Status != 0 || j.Attempt != 1 {
		t.Errorf("%+v", j)
	}
	if out := h.output(id, client.StdoutEvent); out != "one a\ntwo b\n" {
		t.Errorf("the output is %q", out)
	}
}

// TestInputAsked: a client that vanished holds nobody up who asks what has arrived.
func TestInputAsked(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("echo up; sleep 100")
	r.Stdin = &client.Stdin{Open: true}
	id := h.submit(r).ID
	h.until("the command runs", func() bool { return h.output(id, client.StdoutEvent) != "" })
	ctx, vanish := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer vanish()
	if err := h.Write(ctx, id, 0, bytes.NewReader(make([]byte, 300000))); err == nil {
		t.Error("all of it arrived at a command that does not read")
	}
	query, before := "", int64(0)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "http://callgated/v1/jobs/"+id+"/stdin"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := httpClient(h).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var arrived client.Written
		err = json.NewDecoder(resp.Body).Decode(&arrived)
		_ = resp.Body.Close()
		if err != nil || arrived.Offset == 0 || query != "" && arrived.Offset != before {
			t.Errorf("%+v, after %d; %v", arrived, before, err)
		}
		query, before = fmt.Sprintf("?offset=%d", arrived.Offset), arrived.Offset
	}
}

// TestInputBeforeBegin: what is written to a job whose supervisor dies before the
// command begins, with its daemon or alone, arrives when the job is run again.
func TestInputBeforeBegin(t *testing.T) {
	t.Parallel()
	h := newHost(t, "spares: 0\n")
	slow, gate := filepath.Join(h.dir, "slow"), filepath.Join(h.dir, "gate")
	program := must(callgate())
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nuntil [ -e "+gate+" ]; do sleep 0.05; done\nexec "+program+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const (
		both = iota
		supervisorLater
		supervisorAlone
	)
	for _, dies := range []int{both, supervisorLater, both, supervisorAlone, supervisorLater, both} {
		h.configure("supervisor: " + slow + "\nspares: 0\n")
		h.start()
		r := shell("read a; echo one $a")
		r.Stdin = &client.Stdin{Open: true}
		id := h.submit(r).ID
		h.runs(id)
		in := h.input(id)
		go func() {
			io.WriteString(in, "a\n")
			in.Close()
		}()
		for len(h.supervisors()) == 0 {
			pause()
		}
		if dies != supervisorAlone {
			h.kill()
			h.configure("supervisor: " + program + "\nspares: 0\n")
		}
		if dies == supervisorLater {
			h.start()
		}
		h.killRuns()
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if dies == both {
			h.start()
		}
		if j := h.wait(id); j.Result.Status != 0 || j.Attempt != 1 {
			t.Errorf("%d: %+v, %+v", dies, j, j.Result)
		}
		if out := h.output(id, client.StdoutEvent); out != "one a\n" {
			t.Errorf("%d: the output is %q", dies, out)
		}
		h.stop()
		if err := os.Remove(gate); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSupervisorThatDies: a job whose supervisor always dies before the command begins
// fails, and says why.
func TestSupervisorThatDies(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	broken := filepath.Join(h.dir, "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho started >>"+h.dir+"/count\necho no luck >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.configure("supervisor: " + broken + "\nspares: 0\n")
	h.start()
	j := h.wait(h.submit(shell("true")).ID)
	if j.Result.Cause != client.ByFailure || !strings.Contains(j.Result.Message, "no luck") || j.Attempt != 1 {
		t.Errorf("%+v, %+v", j, j.Result)
	}
	count, err := os.ReadFile(filepath.Join(h.dir, "count"))
	if n := strings.Count(string(count), "started"); err != nil || n != 3 {
		t.Errorf("it was started %d times, %v", n, err)
	}
}

// TestIdempotent has one key make one job.
func TestIdempotent(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	if _, err := h.Submit(t.Context(), shell("true"), "a key"); err == nil {
		t.Fatal("a key with a space was taken")
	}
	first, err := h.Submit(t.Context(), shell("true"), "key")
	if err != nil {
		t.Fatal(err)
	}
	h.kill()
	h.start()
	again, err := h.Submit(t.Context(), shell("true"), "key")
	if err != nil || again.ID != first.ID {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := h.Submit(t.Context(), shell("false"), "key"); !errors.Is(err, client.KeyReused) {
		t.Errorf("another job by the same key: %v", err)
	}
	h.wait(first.ID)
	if err := h.Remove(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if other, err := h.Submit(t.Context(), shell("false"), "key"); err != nil || other.ID == first.ID {
		t.Errorf("the key of a removed job: %+v, %v", other, err)
	}
}

// TestStop has the daemon's stop wait for jobs, and kill what takes too long.
func TestStop(t *testing.T) {
	t.Parallel()
	h := running(t, "stop: finish\ngrace: 1s\n")
	quick, slow := h.submit(shell("sleep 0.3; echo whole")).ID, h.submit(shell("sleep 100")).ID
	h.runs(quick)
	h.runs(slow)
	h.stop()
	h.start()
	if j := h.wait(quick); j.Result.Cause != client.ByExit || h.output(quick, client.StdoutEvent) != "whole\n" {
		t.Errorf("%+v", j.Result)
	}
	if j := h.wait(slow); j.Result.Cause != client.ByKill {
		t.Errorf("%+v", j.Result)
	}
}

// input is a job's open standard input. A job may end before it is told of the
// end of that.
func (h *host) input(id string) io.WriteCloser {
	r, w := io.Pipe()
	go func() {
		err := h.Write(h.t.Context(), id, 0, r)
		if errors.Is(err, client.NotOpen) { // true only of a job that ends
			ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
			_, err = h.Wait(ctx, id)
			cancel()
		}
		if err != nil && h.t.Context().Err() == nil {
			h.t.Errorf("input: %v", err)
		}
		r.CloseWithError(err)
	}()
	return w
}

// runs waits until a job runs.
func (h *host) runs(id string) {
	h.t.Helper()
	for range 3000 {
		if j, err := h.Inspect(h.t.Context(), id); err != nil {
			h.t.Fatal(err)
		} else if j.State != client.Queued {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatal("the job does not start")
}
