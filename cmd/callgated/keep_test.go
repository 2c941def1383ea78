package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestKeepSize: what ended jobs have said takes no more than the config's keep-size. The
// oldest of whose jobs take the most go first, and none that runs.
func TestKeepSize(t *testing.T) {
	t.Parallel()
	h := running(t, "limits: {output: 1MiB, audit: 64KiB, files: 1MiB}\nkeep-size: 3MiB\n")
	const say = "yes | head -c 900000"
	other := ""
	if os.Geteuid() == 0 {
		answer := h.as("1001", `http://x/v1/jobs -d '{"argv": ["echo", "small"]}'`)
		_, rest, _ := strings.Cut(answer, `"id":"`)
		other, _, _ = strings.Cut(rest, `"`)
		h.wait(other)
	}
	r := shell(say + "; read x")
	r.Stdin = &client.Stdin{Open: true}
	runs := h.submit(r).ID
	h.until("say it", func() bool { return len(h.output(runs, client.StdoutEvent)) == 900000 })
	collects := shell(say + " >f")
	collects.Collect = []string{"f"}
	var ended []string
	for i := range 5 {
		r := shell(say)
		if i == 1 {
			r = collects
		}
		ended = append(ended, h.submit(r).ID)
		h.wait(ended[i])
	}
	kept := func(id string) bool {
		_, err := h.Inspect(t.Context(), id)
		if err != nil && !errors.Is(err, client.NotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	h.until("give up two jobs", func() bool { return !kept(ended[0]) && !kept(ended[1]) })
	if !kept(ended[2]) || !kept(ended[3]) || !kept(ended[4]) || !kept(runs) || other != "" && !kept(other) {
		t.Error("more was given up than had to be")
	}
	if _, err := os.Stat(h.file(ended[0], ".")); err == nil {
		t.Error("a job was given up, and its folder is there")
	}
	h.stop()
	h.start()
	last := h.submit(shell(say)).ID
	h.wait(last)
	h.until("give up a job after a restart", func() bool { return !kept(ended[2]) })
	if !kept(ended[3]) || !kept(ended[4]) || !kept(last) || !kept(runs) || other != "" && h.output(other, client.StdoutEvent) != "small\n" {
		t.Error("more was given up than had to be after a restart")
	}
}
