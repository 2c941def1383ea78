package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// raw sends bytes as a request and gives the status line of the answer, "" where
// there is none.
func (h *host) raw(text string, half bool) string {
	h.t.Helper()
	c, err := net.Dial("unix", filepath.Join(h.dir, "s"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil && !errors.Is(err, syscall.EPIPE) {
		h.t.Fatal(err)
	}
	if half {
		_ = c.(*net.UnixConn).CloseWrite()
	}
	line, _ := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line)
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", path, len(body), body)
}

// TestMalformed sends what no client sends.
func TestMalformed(t *testing.T) {
	t.Parallel()
	h := running(t, "request: 1MiB\n")
	deep := strings.Repeat("[", 100000)
	for name, c := range map[string]struct{ request, want string }{
		"no JSON":         {post("/v1/jobs", "argv: [true]"), "400"},
		"cut off":         {post("/v1/jobs", `{"argv": ["tr`), "400"},
		"two values":      {post("/v1/jobs", `{"argv": ["true"]} {}`), "400"},
		"unknown field":   {post("/v1/jobs", `{"argv": ["true"], "root": true}`), "400"},
		"wrong type":      {post("/v1/jobs", `{"argv": "true"}`), "400"},
		"deep":            {post("/v1/jobs", deep), "400"},
		"empty":           {post("/v1/jobs", ""), "400"},
		"null":            {post("/v1/jobs", "null"), "400"},
		"other letters":   {post("/v1/jobs", `{"argv": ["true"], "ARGV": ["false"]}`), "400"},
		"twice":           {post("/v1/jobs", `{"argv": ["true"], "argv": ["false"]}`), "400"},
		"no UTF-8":        {post("/v1/jobs", "{\"argv\": [\"true\", \"\xff\"]}"), "400"},
		"no processes":    {post("/v1/jobs", `{"argv": ["true"], "limits": {"processes": 0}}`), "422"},
		"no command":      {post("/v1/jobs", `{"argv": []}`), "422"},
		"NUL":             {post("/v1/jobs", `{"argv": ["a\u0000b"]}`), "422"},
		"variable":        {post("/v1/jobs", `{"argv": ["true"], "env": {"A=B": "c"}}`), "422"},
		"huge":            {post("/v1/jobs", `{"argv": ["`+strings.Repeat("a", 2<<20)+`"]}`), "413"},
		"climbing file":   {post("/v1/jobs", `{"argv": ["true"], "files": [{"path": "../../x"}]}`), "422"},
		"absolute file":   {post("/v1/jobs", `{"argv": ["true"], "files": [{"path": "/etc/passwd"}]}`), "422"},
		"file in folder":  {post("/v1/jobs", `{"argv": ["true"], "folder": "/tmp", "files": [{"path": "x"}]}`), "422"},
		"relative folder": {post("/v1/jobs", `{"argv": ["true"], "folder": "tmp"}`), "422"},
		"climbing glob":   {post("/v1/jobs", `{"argv": ["true"], "collect": ["../**"]}`), "422"},
		"id of a path":    {"GET /v1/jobs/..%2f..%2fetc HTTP/1.0\r\n\r\n", "404"},
		"id of capitals":  {"GET /v1/jobs/AAAAAAAAAA HTTP/1.0\r\n\r\n", "404"},
		"query":           {"GET /v1/jobs?limit=0 HTTP/1.0\r\n\r\n", "400"},
		"page":            {"GET /v1/jobs?page=zzz HTTP/1.0\r\n\r\n", "400"},
		"unknown query":   {"GET /v1/jobs?all=1 HTTP/1.0\r\n\r\n", "400"},
		"broken query":    {"GET /v1/jobs?a=%zz HTTP/1.0\r\n\r\n", "400"},
		"method":          {"PATCH /v1/jobs HTTP/1.0\r\n\r\n", "405"},
		"empty part":      {"POST /v1/jobs//kill HTTP/1.0\r\n\r\n", "404"},
		"two slashes":     {"GET //v1/jobs HTTP/1.0\r\n\r\n", "404"},
		"dots":            {"GET /v1/../v1/jobs HTTP/1.0\r\n\r\n", "404"},
		"escaped dots":    {"GET /v1/%2e%2e/v1/jobs HTTP/1.0\r\n\r\n", "404"},
		"dot":             {"GET /v1/./jobs HTTP/1.0\r\n\r\n", "404"},
		"path":            {"GET /v2 HTTP/1.0\r\n\r\n", "404"},
		"headers":         {"GET /v1/jobs HTTP/1.0\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "431"},
		"no HTTP":         {"\x16\x03\x01\x02\x00\r\n\r\n", "400"},
		"length":          {"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n{}", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			if line := h.raw(c.request, false); !strings.HasPrefix(line, "HTTP/1") || strings.Fields(line)[1] != c.want {
				t.Errorf("%q, not %s", line, c.want)
			}
		})
	}
	h.raw("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", true)
}

// memory is what the daemon holds, in bytes.
func (h *host) memory() (bytes, descriptors int) {
	h.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", h.cmd.Process.Pid)
	text, err := os.ReadFile(dir + "status")
	if err != nil {
		h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fmt.Sscanf(rest, "%d", &bytes)
	list, err := os.ReadDir(dir + "fd")
	if err != nil {
		h.t.Fatal(err)
	}
	return bytes << 10, len(list)
}

// TestHostileClients has clients that are slow, break off and never read, and
// requests made of noise: CALLGATED_NOISE of them (20000 by hand). The daemon stays
// up, and what it holds stays small.
func TestHostileClients(t *testing.T) {
	h := running(t, "request: 1MiB\nlimits: {output: 8MiB}\n")
	id := h.submit(shell("yes | head -c 8000000")).ID
	h.wait(id)
	var held []net.Conn
	for i := range 100 {
		c, err := net.Dial("unix", filepath.Join(h.dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
		text := []string{
			"GET /v1/jobs/" + id + "/events HTTP/1.1\r\nHost: x\r\n\r\n", // and read nothing
			"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{",
			"GET /v1/jo",
			"GET /v1/jobs/" + id + "/stdout?follow=true HTTP/1.1\r\nHost: x\r\n\r\n",
		}[i%4]
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := h.memory()
	noise := rand.New(rand.NewPCG(1, 2))
	for range number(t, "CALLGATED_NOISE", 1000) {
		h.raw(mutated(noise, id), true)
	}
	for _, c := range held {
		_ = c.Close()
	}
	after, descriptors := h.memory()
	t.Logf("%d MiB before, %d MiB after, %d descriptors", before>>20, after>>20, descriptors)
	if after > before+(64<<20) {
		t.Errorf("the daemon held %d bytes, and then %d", before, after)
	}
	if j := h.wait(h.submit(shell("exit 5")).ID); j.Result.Status != 5 {
		t.Errorf("%+v", j.Result)
	}
}

// mutated is a request with some bytes that are others.
func mutated(r *rand.Rand, id string) string {
	bodies := []string{
		`{"argv":["true"],"env":{"A":"b"},"files":[{"path":"a/b","text":"x"}],"retries":1}`,
		`{"argv":["true"],"policies":[{"name":"p.yaml","text":"callgate: 1\nsyscalls:\n  - allow: openat\n"}],"limits":{"wall_seconds":1}}`,
		`{"argv":["true"],"stdin":{"base64":"AAAA","open":false},"collect":["**"],"labels":{"a":"b"},"requires":{"no":"host"}}`,
		`{"signal":"SIGTERM","to":"group"}`,
	}
	paths := []string{"/v1/jobs", "/v1/jobs/" + id + "/signal", "/v1/jobs/" + id + "/stdin?offset=0&end=true", "/v1/jobs/" + id + "/kill"}
	body := []byte(bodies[r.IntN(len(bodies))])
	for range 1 + r.IntN(4) {
		at := r.IntN(len(body))
		switch r.IntN(3) {
		case 0:
			body[at] = byte(r.IntN(256))
		case 1:
			body = append(body[:at], body[min(len(body), at+r.IntN(8)):]...)
			body = append(body, '}')
		default:
			body = bytes.Replace(body, body[at:min(at+3, len(body))], []byte(`"":[{}]`), 1)
		}
	}
	return post(paths[r.IntN(len(paths))], string(body))
}

// TestFullDisk is for root, who can mount a small file system: jobs are refused,
// those that run end as they would, and nothing that was stored is lost.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("a file system of its own takes root; TestFull of package journal is what others can try")
		return
	}
	h := newHost(t, "reserve: 8MiB\nlimits: {output: 40MiB}\n")
	state := filepath.Join(h.dir, "state")
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("callgated", state, "tmpfs", 0, "size=24m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.kill()
		h.killRuns()
		if err := unix.Unmount(state, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	h.start()
	kept := h.submit(shell("echo kept")).ID
	h.wait(kept)
	r := shell("read x; yes | head -c 30000000; echo whole >&2; exit 6")
	r.Stdin = &client.Stdin{Open: true}
	runs := h.submit(r).ID
	in := h.input(runs)
	fill := filepath.Join(state, "fill")
	if err := os.WriteFile(fill, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Submit(t.Context(), shell("true"), ""); !errors.Is(err, client.Full) {
		t.Errorf("a job for a full disk: %v", err)
	}
	io.WriteString(in, "\n")
	in.Close()
	if j := h.wait(runs); j.Result.Cause != client.ByExit || j.Result.Status != 6 || j.DroppedBytes == 0 || j.StdoutBytes+j.StderrBytes+j.DroppedBytes != 30000006 {
		t.Errorf("%+v, %+v", j, j.Result)
	}
	h.kill()
	h.start()
	if out := h.output(kept, client.StdoutEvent); out != "kept\n" {
		t.Errorf("what was stored is %q", out)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove(t.Context(), runs); err != nil {
		t.Fatal(err)
	}
	if j := h.wait(h.submit(shell("exit 2")).ID); j.Result.Status != 2 {
		t.Errorf("%+v", j.Result)
	}
}
