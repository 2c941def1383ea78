package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// asking makes requests by package net/http and holds their answers to the contract.
type asking struct {
	t   *testing.T
	c   *contract
	ops map[string]operation
}

// ask makes a request of an operation, and wants this status. path is what the
// document's has for {id}, and the query.
func (a *asking) ask(h *host, id, path, body string, want int) {
	a.t.Helper()
	op, known := a.ops[id]
	if !known {
		a.t.Fatalf("the document has no operation %s", id)
	}
	target := "http://callgated" + op.path
	job, query, _ := strings.Cut(path, "?")
	target = strings.Replace(target, "{id}", job, 1)
	if query != "" {
		target += "?" + query
	}
	req, err := http.NewRequestWithContext(a.t.Context(), op.method, target, strings.NewReader(strings.TrimPrefix(body, "key ")))
	if err != nil {
		a.t.Fatal(err)
	}
	if strings.HasPrefix(body, "key ") {
		req.Header.Set("Idempotency-Key", "key")
	}
	resp, err := httpClient(h).Do(req)
	if err != nil {
		a.t.Errorf("%s %s: %v", id, path, err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		a.t.Errorf("%s %s %s: %d, want %d", id, path, body, resp.StatusCode, want)
	}
	a.c.check(a.t, op, resp)
}

func httpClient(h *host) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.dir, "s"))
	}}}
}

// unprovoked are answers that no small test brings about: 503 is what everything
// answers while the store is gone. Submit and ready are asked for it below.
func unprovoked(answer string) bool {
	return strings.HasSuffix(answer, " 503") && answer != "submit 503" && answer != "ready 503"
}

// TestContract holds the server to openapi.yaml: every path and status of it is
// there, and bodies are as it says.
func TestContract(t *testing.T) {
	t.Parallel()
	a := &asking{t, readContract(t), map[string]operation{}}
	for _, op := range a.c.operations() {
		a.ops[op.id] = op
	}
	h := running(t, fmt.Sprintf("operators: {users: [\"%d\"]}\n", unix.Geteuid())+"request: 64KiB\nquota: {queued: 3}\nstop: finish\ngrace: 1m\nlabels: {zone: a}\n")
	t.Run("malformed", func(t *testing.T) { a.malformed(h) })
	ended, run := a.jobs(h)
	a.answers(h, ended, run)
	a.refusals(t)
	a.stopping(h, run)
	for _, op := range a.c.operations() {
		for _, status := range op.statuses {
			if answer := op.id + " " + status; !a.c.seen[answer] && !unprovoked(answer) {
				t.Errorf("nothing answered %s", answer)
			}
		}
	}
}

// malformed asks every operation for what it cannot know, and for a job that is
// not there.
func (a *asking) malformed(h *host) {
	for id, op := range a.ops {
		switch {
		case slices.Contains(op.statuses, "400"):
			a.ask(h, id, "abcdefgh?nope=1", "{}", 400)
		}
		if slices.Contains(op.statuses, "404") {
			query := ""
			if id == "file" {
				query = "?path=x"
			}
			body := ""
			if id == "signal" {
				body = `{"signal":"SIGTERM"}`
			}
			a.ask(h, id, "abcdefgh"+query, body, 404)
		}
	}
	for _, body := range []string{"", "{", "[]", `{"argv":["true"],"nope":1}`, `{"argv":"true"}`, `{"argv":["true"]}{}`} {
		a.ask(h, "submit", "", body, 400)
	}
}

// jobs makes a job that has ended and one that runs.
func (a *asking) jobs(h *host) (ended, run string) {
	body := `key {"argv":["sh","-c","echo out; echo err >&2; printf \\377; cat; echo x >made; cat /etc/shadow; exit 3"],"stdin":{"text":"in"},` +
		`"files":[{"path":"a/b","text":"x","executable":true}],"collect":["made","a/**"],"labels":{"a":"b"},"requires":{"zone":"a"},"limits":{"wall_seconds":60},` +
		`"policies":[{"name":"own.yaml","text":"callgate: 1\nextends: [builtin:ci, base.yaml]\n","files":{"base.yaml":"callgate: 1\n"}}]}`
	a.ask(h, "submit", "", body, 201)
	a.ask(h, "submit", "", body, 200)
	a.ask(h, "submit", "", `key {"argv":["false"]}`, 409)
	page, err := h.List(a.t.Context(), client.Query{})
	if err != nil || len(page.Jobs) != 1 {
		a.t.Fatalf("%+v, %v", page, err)
	}
	ended = page.Jobs[0].ID
	if job := h.wait(ended); job.Result.Status != 3 || job.Usage.Denied == 0 {
		a.t.Errorf("%+v", job)
	}
	r := shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")
	r.Stdin = &client.Stdin{Open: true}
	run = h.submit(r).ID
	out, err := h.Output(a.t.Context(), run, client.StdoutEvent, 0, true)
	if err != nil {
		a.t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Read(make([]byte, 3)); err != nil {
		a.t.Fatal(err)
	}
	return ended, run
}

func (a *asking) answers(h *host, ended, run string) {
	for _, id := range []string{"list", "hosts", "version", "health", "ready", "metrics"} {
		a.ask(h, id, "", "", 200)
	}
	a.ask(h, "list", "?state=ended&label=a=b&label=a&limit=1&user=0&host=none", "", 200)
	a.ask(h, "list", "?state=asleep", "", 400)
	a.ask(h, "list", "?limit=0", "", 400)
	for _, job := range []string{ended, run} {
		for _, id := range []string{"inspect", "events", "stdout", "stderr", "files"} {
			a.ask(h, id, job, "", 200)
		}
	}
	a.ask(h, "inspect", ended+"?wait_seconds=9", "", 200)
	a.ask(h, "inspect", ended+"?wait_seconds=x", "", 400)
	a.ask(h, "events", ended+"?follow=true&kind=stdout&kind=audit&after=3", "", 200)
	a.ask(h, "stdout", ended+"?offset=2&follow=true", "", 200)
	a.ask(h, "file", ended+"?path=made", "", 200)
	a.ask(h, "file", ended+"?path=../../secret", "", 404)
	a.ask(h, "file", ended, "", 400)
	a.ask(h, "write", run+"?offset=0", "some", 200)
	a.ask(h, "write", run+"?offset=1", "some", 409)
	a.ask(h, "write", run, "", 200)
	a.ask(h, "write", ended, "some", 409)
	a.ask(h, "signal", run, `{"signal":"SIGCONT","to":"group"}`, 202)
	a.ask(h, "signal", run, `{"signal":"SIGNONE"}`, 422)
	a.ask(h, "signal", run, `{"signal":"SIGCONT","to":"all"}`, 422)
	a.ask(h, "signal", ended, `{"signal":"SIGCONT"}`, 409)
	a.ask(h, "remove", run, "", 409)
	a.ask(h, "submit", "", `{"argv":["`+strings.Repeat("x", 70<<10)+`"]}`, 413)
	a.ask(h, "submit", "", `{"argv":["true"],"policies":[{"name":"p.yaml","text":"callgate: 1\nnope: 1\n"}]}`, 422)
	a.ask(h, "submit", "", `{"argv":["true"],"limits":{"wall_seconds":-1}}`, 422)
	a.ask(h, "submit", "", `{"argv":["true"],"folder":"relative"}`, 422)
	for range 2 {
		h.submit(shell("sleep 100"))
	}
	a.ask(h, "submit", "", `{"argv":["true"]}`, 429)
	page, err := h.List(a.t.Context(), client.Query{})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, job := range page.Jobs {
		if job.ID != run && job.State != client.Ended {
			a.ask(h, "kill", job.ID, "", 202)
			h.wait(job.ID)
		}
	}
	a.ask(h, "kill", ended, "", 202)
	a.ask(h, "remove", ended, "", 204)
}

// refusals are those of daemons that are configured so.
func (a *asking) refusals(t *testing.T) {
	full := running(t, "reserve: 8000000GiB\n")
	a.ask(full, "submit", "", `{"argv":["true"]}`, 507)
	a.ask(full, "ready", "", "", 503)
	full.kill()
	closed := running(t, "submit: {users: [\"4294967290\"]}\n")
	a.ask(closed, "submit", "", `{"argv":["true"]}`, 403)
	if unix.Geteuid() != 0 {
		a.ask(closed, "metrics", "", "", 403)
		return
	}
	a.c.seen["metrics 403"] = true // root is an operator; users_test.go asks as another
}

// stopping asks a daemon that waits for its last job.
func (a *asking) stopping(h *host, run string) {
	if err := h.cmd.Process.Signal(unix.SIGTERM); err != nil {
		a.t.Fatal(err)
	}
	for range 1000 {
		resp, err := httpClient(h).Get("http://callgated/ready")
		if err != nil {
			a.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == 503 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	a.ask(h, "ready", "", "", 503)
	a.ask(h, "submit", "", `{"argv":["true"]}`, 503)
	a.ask(h, "inspect", run, "", 200)
	a.ask(h, "signal", run, `{"signal":"SIGTERM"}`, 202)
	if err := h.cmd.Wait(); err != nil {
		a.t.Errorf("the daemon ended with %v", err)
	}
	h.cmd = nil
}

// TestEveryRouteIsDocumented: what is at no path or method of the document is not
// there, and what is takes the parameters that it has.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	a := &asking{t, readContract(t), map[string]operation{}}
	h := running(t, "")
	byPath := map[string][]string{"/": nil, "/v1": nil, "/v1/jobs/": nil, "/v1/jobs/abcdefgh/x": nil, "/openapi.yaml": nil, "/debug/pprof/": nil}
	for _, op := range a.c.operations() {
		path := strings.Replace(op.path, "{id}", "abcdefgh", 1)
		byPath[path] = append(byPath[path], op.method)
		for _, param := range op.params {
			// Too long a value is none, but the name is known: the answer does not speak of it.
			resp, body := get(t, h, op.method, path+"?"+param+"=1")
			if resp.StatusCode == 400 && strings.Contains(body, "no such parameter") {
				t.Errorf("%s knows no %s: %s", op.id, param, body)
			}
		}
	}
	for path, methods := range byPath {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if slices.Contains(methods, method) {
				continue
			}
			want := 405
			if methods == nil {
				want = 404
			}
			if resp, body := get(t, h, method, path); resp.StatusCode != want || !strings.Contains(body, "urn:callgate:problem:") {
				t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, body)
			}
		}
	}
}

func get(t *testing.T, h *host, method, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://callgated"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := httpClient(h).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := make([]byte, 4096)
	n, _ := resp.Body.Read(body)
	return resp, string(body[:n])
}
