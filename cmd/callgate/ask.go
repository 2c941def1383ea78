package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"callgate/policy"
	"callgate/supervisor"
	"callgate/supervisor/audit"

	"golang.org/x/sys/unix"
)

// Whom --ask names beside terminals and programs.
const (
	askTerminal = "tty"
	askNobody   = "nobody"
)

// askCommand is how callgate starts itself to ask at a terminal, which is open as askFD.
const (
	askCommand = "ask"
	askFD      = 3
)

type asker func(*audit.Event) (pid int, err error)

// asker is who is asked under a set of policies, nil for nobody. rules are those of the set
// on files, where it has some.
func (f *runFlags) asker(set policy.Set, rules *policy.Sections) (asker, error) {
	whom := f.ask
	switch {
	case whom == askNobody, f.permissive, whom == "" && (!set.Asks() || f.found != nil):
		return nil, nil
	case whom == "" && (f.room.pty || !hasTerminal()):
		if !f.quiet {
			say(os.Stderr, "nobody can be asked, so that what the policy asks about is denied: "+f.alone()+"; --ask PROGRAM")
		}
		return nil, nil
	case whom == askTerminal && f.room.pty:
		return nil, errors.New("--ask tty: with --pty the terminal is the command's to read; name another one, or a program")
	case whom == "", whom == askTerminal:
		return atTerminal("/dev/tty")
	}
	return askerNamed(whom, rules)
}

func (f *runFlags) alone() string {
	if f.room.pty {
		return "with --pty the terminal is the command's to read"
	}
	return "there is no terminal"
}

// askerNamed is a terminal by its path, or a program.
func askerNamed(whom string, rules *policy.Sections) (asker, error) {
	if st, err := os.Stat(whom); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return atTerminal(whom)
	}
	path, err := supervisor.Find(whom, os.Getenv("PATH"), "")
	if err != nil {
		return nil, fmt.Errorf("--ask %s: no such program or terminal", printable(whom))
	}
	if path, err = canonical(path); err != nil {
		return nil, fmt.Errorf("--ask: %w", err)
	}
	if answerable(rules, path) {
		return nil, &failure{
			status: exitCallgate,
			err:    fmt.Errorf("--ask %s: the policy lets the command write that, and so answer itself", printable(whom)),
			hint:   "keep it elsewhere, or above the rule that permits it: files: - deny: " + printable(path),
		}
	}
	return func(e *audit.Event) (int, error) { return startAsker(e, path, []string{whom}) }, nil
}

// canonical is a path as rules have it: absolute, and without links, which others could be
// put in the place of.
func canonical(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// answerable says whether the command could change the program that is asked, or put another in
// its place. Where it can write everything, that is no more than it has anyway.
func answerable(rules *policy.Sections, path string) bool {
	return rules != nil && rules.File("/", policy.Write).Action.Restricts() && !rules.File(path, policy.Write).Action.Restricts()
}

// atTerminal asks at the terminal that has the path now: the name of one that is closed can
// become that of another, of the command's.
func atTerminal(path string) (asker, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("--ask: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	tty := os.NewFile(uintptr(fd), path) // it stays open as long as callgate runs
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return nil, fmt.Errorf("--ask %s: not a terminal", printable(path))
	}
	return func(e *audit.Event) (int, error) {
		return startAsker(e, "/proc/self/exe", []string{"callgate", askCommand}, tty)
	}, nil
}

// startAsker starts a program that reads the event, a line of JSON, and says by its exit
// status what is to become of the call. It has callgate's environment and standard error;
// the command's output is not its to write to. It is told to end when callgate is killed:
// when its parent is dead, the tracer's thread, which is there until the sandbox is gone.
func startAsker(e *audit.Event, path string, argv []string, more ...*os.File) (pid int, err error) {
	fd, err := unix.MemfdCreate("question", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, os.NewSyscallError("memfd_create", err)
	}
	question := os.NewFile(uintptr(fd), "question")
	defer question.Close()
	sink := audit.NewJSON(question, audit.JSONOptions{})
	sink.Put(e)
	if _, err := sink.Close(); err != nil {
		return 0, err
	}
	if _, err := question.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	p, err := os.StartProcess(path, argv, &os.ProcAttr{
		Files: append([]*os.File{question, os.Stderr, os.Stderr}, more...),
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM},
	})
	if err != nil {
		return 0, err
	}
	pid = p.Pid
	return pid, p.Release() // the trace loop waits for it
}
