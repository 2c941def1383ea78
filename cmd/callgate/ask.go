package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

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

// askCommand is how callgate starts itself to ask at a terminal, which is its argument.
const askCommand = "ask"

type asker func(*audit.Event) (pid int, err error)

// asker is who is asked under a set of policies, nil for nobody.
func (f *runFlags) asker(set policy.Set) (asker, error) {
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
	return askerNamed(whom)
}

func (f *runFlags) alone() string {
	if f.room.pty {
		return "with --pty the terminal is the command's to read"
	}
	return "there is no terminal"
}

// askerNamed is a terminal by its path, or a program.
func askerNamed(whom string) (asker, error) {
	if st, err := os.Stat(whom); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return atTerminal(whom)
	}
	path, err := supervisor.Find(whom, os.Getenv("PATH"), "")
	if err != nil {
		return nil, fmt.Errorf("--ask %s: no such program or terminal", printable(whom))
	}
	return func(e *audit.Event) (int, error) { return startAsker(e, path, whom) }, nil
}

func atTerminal(path string) (asker, error) {
	tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("--ask: %w", err)
	}
	defer tty.Close()
	if _, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil {
		return nil, fmt.Errorf("--ask %s: not a terminal", printable(path))
	}
	return func(e *audit.Event) (int, error) {
		return startAsker(e, "/proc/self/exe", "callgate", askCommand, path)
	}, nil
}

// startAsker starts a program that reads the event, a line of JSON, and says by its exit
// status what is to become of the call. It has callgate's environment and standard error;
// the command's output is not its to write to.
func startAsker(e *audit.Event, path string, argv ...string) (pid int, err error) {
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
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Files: []*os.File{question, os.Stderr, os.Stderr}})
	if err != nil {
		return 0, err
	}
	pid = p.Pid
	return pid, p.Release() // the trace loop waits for it
}

// askAt asks at a terminal what to do about the call that standard input tells of. Its
// result is the exit status.
//
// The command may have the same terminal, and may show there what it likes. So that nobody
// is led to say yes to what looks like another question, and nothing typed before is taken
// for an answer, a yes is a word that was made for this question.
func askAt(path string) (status int, err error) {
	var e audit.Event
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil || e.CallInfo == nil {
		return exitCallgate, errors.New("ask is for callgate run to start")
	}
	signal.Ignore(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return exitCallgate, err
	}
	defer tty.Close()
	giveBack, err := takeTerminal(int(tty.Fd()))
	if err != nil {
		return exitCallgate, err
	}
	defer giveBack()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	said := make(chan int, 1)
	go func() { said <- put(tty, &e) }()
	select {
	case status = <-said:
	case <-ended:
		status = 1
		_, _ = io.WriteString(tty, "\n")
	}
	return status, nil
}

// put puts the question, and reads the answer.
func put(tty io.ReadWriter, e *audit.Event) int {
	yes := askWord()
	say(tty, audit.Question(e))
	fmt.Fprintf(tty, "callgate: %s: yes, once; %s!: yes, whenever it is the same; n!: no, likewise; anything else: no, once\ncallgate> ", yes, yes)
	line, _ := bufio.NewReader(tty).ReadString('\n') // of an error no answer comes
	switch strings.TrimSpace(line) {
	case yes:
		return supervisor.AnswerYes
	case yes + "!":
		return supervisor.AnswerAlways
	case "n!":
		return supervisor.AnswerNever
	}
	return 1
}

// askWord is three letters that nobody could know before, easily told apart.
func askWord() string {
	const letters = "abcdefghkmprstuwxyz"
	var b [3]byte
	for i := range b {
		for b[i] == 0 {
			var r [1]byte
			_, _ = rand.Read(r[:]) // it never fails
			if int(r[0]) < 256/len(letters)*len(letters) {
				b[i] = letters[int(r[0])%len(letters)]
			}
		}
	}
	return string(b[:])
}

// takeTerminal has a terminal read lines, of which it shows what is typed, from now on and
// for this process group. What it gives undoes that.
func takeTerminal(fd int) (giveBack func(), err error) {
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, os.NewSyscallError("tcgetattr", err)
	}
	group, own := 0, unix.Getpgrp()
	if group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group == own { // not ours to give, or ours
		group = 0
	} else if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, own); err != nil {
		return nil, os.NewSyscallError("tcsetpgrp", err)
	}
	now := *was
	now.Lflag |= unix.ICANON | unix.ECHO | unix.ECHOE | unix.ISIG
	now.Iflag |= unix.ICRNL
	now.Oflag |= unix.OPOST | unix.ONLCR
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &now); err != nil {
		return nil, os.NewSyscallError("tcsetattr", err)
	}
	return func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, was) // a terminal that is gone needs nothing
		if group != 0 {
			_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group)
		}
	}, nil
}
