package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// cleared waits for a job's working folder, which has ended, to be gone.
func (h *host) cleared(id string) {
	h.t.Helper()
	h.until("remove the working folder", func() bool {
		_, err := os.Lstat(h.file(id, "work"))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// hostile leaves what is not easy to remove, a link out of the folder among it.
const hostile = `mkdir -p a/b/c kept; echo x >a/b/c/f; echo collected >kept/file; ln -s / a/b/c/root; ln -s $0 away; ln -s $0/keep kept/link
i=0; cd a; while [ $i -lt 200 ]; do mkdir deep; cd deep; i=$((i+1)); done; cd $1; chmod 0 a/b/c a/b; chmod 0500 a; chmod 0 .; `

// TestWorkingFolderGoes: a job's own folder is removed when the job has ended, however
// that was, and what was collected stays.
func TestWorkingFolderGoes(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 8\n")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "keep"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	request := func(script string) *client.Request {
		return &client.Request{Argv: []string{"sh", "-c", `set -- "$PWD"; ` + hostile + script, outside}, Collect: []string{"kept/**"},
			Stdin: &client.Stdin{Content: client.Content{Text: "input"}}}
	}
	gone := func(id string) {
		t.Helper()
		if _, err := os.Lstat(h.file(id, "work")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the working folder is there: %v", err)
		}
		if _, err := os.Lstat(h.file(id, "stdin")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("its input is there: %v", err)
		}
	}
	ordinary := request("chmod 700 $1; exit 3")
	ordinary.Folder, ordinary.Copy = outside, true
	id := h.submit(ordinary).ID
	if j := h.wait(id); j.Result.Status != 3 {
		t.Errorf("%+v, %s", j.Result, h.output(id, client.StderrEvent))
	}
	gone(id)
	if body, err := h.File(t.Context(), id, "kept/file"); err != nil {
		t.Error(err)
	} else {
		_ = body.Close()
	}

	killed, lost, retried, late := h.submit(request("sleep 100")).ID, h.submit(request("sleep 100")).ID, "", ""
	again := request("sleep 100")
	again.Retries = 1
	retried = h.submit(again).ID
	late = h.submit(request("sleep 100")).ID
	for _, id := range []string{killed, lost, retried, late} {
		h.until("chmod", func() bool { st, err := os.Stat(h.file(id, "work")); return err == nil && st.Mode().Perm() == 0 })
	}
	if err := h.Kill(t.Context(), killed); err != nil {
		t.Fatal(err)
	}
	h.crash(lost)
	h.crash(retried)
	h.wait(killed)
	if j := h.wait(lost); j.Result.Cause != client.ByLoss {
		t.Errorf("%+v", j.Result)
	}
	for _, id := range []string{killed, lost, retried} { // h.file is of the first attempt
		h.cleared(id)
	}
	h.kill()
	h.crash(late) // no daemon sees it
	h.start()
	h.wait(late)
	h.cleared(late)
	gone(late)
	if err := h.Kill(t.Context(), retried); err != nil { // whose second attempt runs
		t.Fatal(err)
	}
	h.wait(retried)
	if text, err := os.ReadFile(filepath.Join(outside, "keep")); string(text) != "kept" {
		t.Errorf("%q, %v", text, err)
	}
}

// crash kills a job's supervisor.
func (h *host) crash(id string) {
	h.t.Helper()
	pid, err := strconv.Atoi(h.pid(id))
	if err == nil {
		err = unix.Kill(pid, unix.SIGKILL)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestTemporaryFolderGoes: the private temporary folder of a job whose supervisor was
// killed is not left for the next job of its user's to remove.
func TestTemporaryFolderGoes(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	r := shell("echo $TMPDIR; echo x >$TMPDIR/file; sleep 100")
	r.Policies = []client.Policy{{Name: "p.yaml", Text: "callgate: 1\ndefault: allow\nenvironment: {private-tmp: true}\n"}}
	id := h.submit(r).ID
	var dir string
	h.until("echo", func() bool {
		dir = strings.TrimSpace(h.output(id, client.StdoutEvent))
		return dir != "" && func() bool { _, err := os.Stat(dir + "/file"); return err == nil }()
	})
	h.crash(id)
	h.wait(id)
	h.until("remove "+dir, func() bool { _, err := os.Lstat(dir); return errors.Is(err, fs.ErrNotExist) })
}
