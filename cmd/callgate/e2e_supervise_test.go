package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"callgate/supervisor/server/handover"
)

// TestSuperviseSyncs: what a job's supervisor hands over is on the disk (fsync(2)) before it says
// so. A pipe in the place of the file has no disk, which fails and is told: of the journal and
// the collected files by the result, which comes after them, and of the result in the log.
func TestSuperviseSyncs(t *testing.T) {
	t.Parallel()
	const failed = "sync handed: invalid argument"
	for which, tt := range map[int]struct{ piped, result, log string }{
		handover.JournalFile:   {"said\n", `"message":"not all could be stored: ` + failed + `"`, ""},
		handover.CollectedFile: {"content", `"message":"not all files could be collected: ` + failed + `"`, ""},
		handover.ResultFile:    {`"cause":"exit"`, "", "callgate: " + failed},
		handover.BegunFile:     {"\x01", `"cause":"exit","status":0,"Usage"`, ""}, // which is nothing to be kept
	} {
		piped, result, log := superviseInto(t, which)
		if !strings.Contains(piped, tt.piped) || !strings.Contains(result, tt.result) || !strings.Contains(log, tt.log) || tt.log == "" && log != "" {
			t.Errorf("%d: into the pipe %q; the result %q; the log %q", which, piped, result, log)
		}
	}
}

// superviseInto has a supervisor do one job, with a pipe in the place of one of its files.
func superviseInto(t *testing.T, pipe int) (piped, result, log string) {
	t.Helper()
	hand, theirs, err := handover.NewHand()
	must(t, err)
	end := os.NewFile(uintptr(theirs), "hand")
	cmd := exec.Command(lookPath(t, "callgate"), "supervise")
	var said bytes.Buffer
	cmd.Stderr, cmd.ExtraFiles = &said, []*os.File{end}
	must(t, cmd.Start())

	dir, work := t.TempDir(), openFolder(t)
	ends := func() (read, write *os.File) {
		read, write, err := os.Pipe()
		must(t, err)
		t.Cleanup(func() { read.Close(); write.Close() })
		return read, write
	}
	files := make([]*os.File, handover.StdinFile+1)
	for i := range files {
		files[i], err = os.Create(filepath.Join(dir, itoa(i)))
		must(t, err)
	}
	files[handover.ControlFile], _ = ends()
	_, files[handover.AliveFile] = ends()
	from, into := ends()
	files[pipe] = into
	spec := &handover.Spec{ID: "j", Argv: []string{"/bin/sh", "-c", "echo said; echo content >made"}, Env: os.Environ(), Work: work, Collect: []string{"made"},
		Policies: []string{"builtin:ci"}, State: dir, OutputBytes: 1 << 20, AuditBytes: 1 << 20, FilesBytes: 1 << 20, Reserve: -1} // a pipe has no room
	if os.Getuid() == 0 {
		spec.As = &handover.Identity{}
	}
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	must(t, hand.Give(spec, fds...))
	for _, f := range append(files, end) {
		must(t, f.Close())
	}
	hand.Close() // it has no other job
	text, err := io.ReadAll(from)
	must(t, err)
	_ = cmd.Wait() // its status is nobody's
	read := func(which int) string { return readFile(t, filepath.Join(dir, itoa(which))) }
	return string(text), read(handover.ResultFile), read(handover.LogFile) + said.String()
}
