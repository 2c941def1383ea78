package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// TestInputKilled kills the daemon again and again while a job takes its input slowly:
// not a byte comes twice, or not at all.
func TestInputKilled(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("for i in $(seq 60); do head -c 7001; sleep 0.02; done; cat")
	r.Stdin = &client.Stdin{Open: true}
	id := h.submit(r).ID
	var text strings.Builder
	for i := range 90000 {
		fmt.Fprintln(&text, i)
	}
	in := h.input(id)
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(in, text.String())
		wrote <- errors.Join(err, in.Close())
	}()
	h.runs(id)
	for said := 0; said < 6; said++ {
		for len(h.output(id, client.StdoutEvent)) < said*60000+1 {
			pause()
		}
		h.kill()
		h.start()
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if j := h.wait(id); j.Result.Status != 0 {
		t.Errorf("%+v", j)
	}
	if out := h.output(id, client.StdoutEvent); out != text.String() {
		t.Errorf("of %d bytes of input came %d", text.Len(), len(out))
	}
}

// TestEarlier: what an attempt said that was lost is told, before what the next one
// says, and however often the daemon starts in between.
func TestEarlier(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	if err := os.Chmod(h.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	first := filepath.Join(h.dir, "first")
	r := openShell("if mkdir " + first + " 2>/dev/null; then echo one; else echo two; read line; exit 7; fi; sleep 100")
	r.Retries, r.Stdin = 1, &client.Stdin{Open: true}
	id := h.submit(r).ID
	for h.output(id, client.StdoutEvent) == "" {
		pause()
	}
	h.killRuns()
	for h.output(id, client.StdoutEvent) != "two\n" {
		pause()
	}
	h.kill()
	h.start()
	h.input(id).Close()
	j := h.wait(id)
	if j.Result.Status != 7 || j.Attempt != 2 || len(j.Earlier) != 1 || j.Earlier[0].Attempt != 1 || j.Earlier[0].Message == "" {
		t.Errorf("%+v", j)
	}
	told := func(q client.EventQuery) (words string, offsets []uint64) {
		for e, err := range h.Events(t.Context(), id, q) {
			if err != nil {
				t.Fatal(err)
			}
			word := string(e.Kind)
			switch {
			case e.Kind == client.StateEvent:
				word = fmt.Sprint(e.Job.State, len(e.Job.Earlier))
			case e.Kind == client.StdoutEvent:
				word = strings.TrimSpace(e.Text)
			}
			words += fmt.Sprint(e.Attempt, word, " ")
			offsets = append(offsets, e.Offset)
		}
		return words, offsets
	}
	kinds := []client.EventKind{client.StdoutEvent}
	got, offsets := told(client.EventQuery{Earlier: true, Kinds: kinds})
	if want := "0queued0 1running0 1one 1queued1 2running1 2two 2ended1 "; got != want {
		t.Errorf("with earlier attempts %q, not %q", got, want)
	}
	for i := range offsets[1:] {
		if offsets[i+1] <= offsets[i] {
			t.Errorf("the offsets do not grow: %d", offsets)
		}
		if _, rest := told(client.EventQuery{Earlier: true, Kinds: kinds, After: offsets[i]}); len(rest) != len(offsets)-i-1 {
			t.Errorf("after event %d of %d come %d", i, len(offsets), len(rest))
		}
	}
	if got, _ := told(client.EventQuery{Kinds: kinds}); got != "0queued0 2running1 2two 2ended1 " {
		t.Errorf("without: %q", got)
	}
	if err := h.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(h.dir, "state", "jobs", id+".*")); len(left) > 0 {
		t.Errorf("what is left of a removed job: %s", left)
	}
}

// TestHeldABitLonger: what a process that a killed daemon was about to start still
// holds, the socket and the folder's lock, a daemon after it waits for.
func TestHeldABitLonger(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	if err := os.Mkdir(filepath.Join(h.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(h.dir, "state/lock"))
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	socket := descriptor(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: filepath.Join(h.dir, "s")}, true)
	for i, held := range []*os.File{socket, lock} {
		time.AfterFunc(time.Duration(i+1)*200*time.Millisecond, func() { _ = held.Close() })
	}
	h.start()
}
