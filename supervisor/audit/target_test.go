package audit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenTargetFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	for range 2 {
		w, err := OpenTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(w, "x")
		w.Close()
	}
	st, err := os.Stat(name)
	if err != nil || st.Mode().Perm() != 0o600 || st.Size() != 4 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestOpenTargetDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd, err := unix.Dup(int(w.Fd())) // inheritable
	if err != nil {
		t.Fatal(err)
	}
	target, err := OpenTarget(fmt.Sprintf("fd:%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
		t.Error("programs inherit the audit log")
	}
	if _, err := OpenTarget(fmt.Sprintf("fd:%d", r.Fd())); err == nil || !strings.Contains(err.Error(), "not open for writing") {
		t.Errorf("a reader's end: %v", err)
	}
}

func TestOpenTargetMistakes(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"":            "expected FILE, fd:N or -",
		"fd:":         `"" is no descriptor`,
		"fd:x":        `"x" is no descriptor: expected fd:N with a number N, or ./fd:x for a file`,
		"fd:-1":       `"-1" is no descriptor`,
		"fd:2":        "descriptor 2 is the command's own",
		"fd:987":      "descriptor 987 is not open",
		"/":           "is a directory",
		"/nowhere/at": "no such file or directory",
		fifo:          "nobody reads this pipe",
	} {
		w, err := OpenTarget(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", spec, w, err, want)
		}
	}
}

// TestClosedStandardError runs this test binary again with a standard error
// that nobody reads: os.File would end it by SIGPIPE.
func TestClosedStandardError(t *testing.T) {
	if os.Getenv("AUDIT_TEST_CHILD") != "" {
		s := NewTerminal(os.Stderr, TerminalOptions{})
		s.Put(denied(CallInfo{Syscall: "x"}))
		lost, err := s.Close()
		out, _ := OpenTarget("-")
		fmt.Fprintln(out, lost, errors.Is(err, syscall.EPIPE))
		os.Exit(0)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestClosedStandardError$")
	cmd.Env = append(os.Environ(), "AUDIT_TEST_CHILD=1")
	cmd.Stderr = w
	out, err := cmd.Output()
	w.Close()
	if err != nil || string(out) != "1 true\n" {
		t.Errorf("%q, %v", out, err)
	}
}
