package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// TestDescriptors has a user hold as many connections as it gets, each with as much behind
// it as there can be: the daemon has descriptors left for its jobs, and for others.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 4\nroot-jobs: true\nquota: {running: 3}\n")
	few := unix.Rlimit{Cur: 256, Max: 256}
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	ended := h.submit(shell("yes | head -c 1000000")).ID
	h.wait(ended)
	r := shell("yes | head -c 1000000 | tee f; read x; echo got $x")
	r.Stdin, r.Collect = &client.Stdin{Open: true}, []string{"f"}
	var running []string
	for range 3 {
		running = append(running, h.submit(r).ID)
		h.runs(running[len(running)-1])
	}
	waits := shell("true") // for the quota
	waits.Stdin = &client.Stdin{Open: true}
	queued := h.submit(waits).ID

	_, before := h.memory()
	for i := range 400 {
		c, err := net.Dial("unix", filepath.Join(h.dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, []string{
			"GET /v1/jobs/" + running[i%3] + "/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /v1/jobs/" + running[i%3] + "/stdout?follow=true HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /v1/jobs/" + ended + "/events HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST /v1/jobs/" + queued + "/stdin HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
		}[i%4]) // it may be refused by now
	}
	h.until("all are accepted, or refused", func() bool { _, n := h.memory(); return n > before+25 })
	if os.Geteuid() == 0 {
		answer := h.as("1001", `http://x/v1/jobs -d '{"argv": ["echo", "runs"]}'`)
		_, rest, _ := strings.Cut(answer, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if id == "" {
			t.Fatal(answer)
		}
		h.as("1001", "http://x/v1/jobs/"+id+"?wait_seconds=60")
		if out := h.as("1001", "http://x/v1/jobs/"+id+"/stdout"); out != "runs\n" {
			t.Errorf("another user's job says %q", out)
		}
	}
	if _, n := h.memory(); n > 200 {
		t.Errorf("the daemon holds %d descriptors", n)
	}
	if strings.Contains(h.log.String(), "too many open files") {
		t.Error("the daemon ran out of descriptors")
	}
}
