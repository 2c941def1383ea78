package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"callgate/supervisor"
	"callgate/supervisor/audit"

	"golang.org/x/sys/unix"
)

// askAtTerminal asks what to do about the call that standard input tells of. Its
// result is the exit status.
//
// The command may have the same terminal, and may show there what it likes. So that nobody
// is led to say yes to what looks like another question, and nothing typed before is taken
// for an answer, a yes is a word that was made for this question.
func askAtTerminal() (status int, err error) {
	var e audit.Event
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil || e.CallInfo == nil {
		return exitCallgate, errors.New("ask is for callgate run to start")
	}
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU)
	tty := os.NewFile(askFD, "terminal")
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	// A stop is for the command to take part in. This goes on, to see who has the terminal.
	signal.Ignore(unix.SIGTSTP)
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	yes := askWord()
	for {
		if !foreground(tty, &e, ended) {
			return 1, nil
		}
		status, done, err := put(tty, &e, yes, ended, continued)
		if done || err != nil {
			return status, err
		}
	}
}

// put puts the question, and reads the answer; it is not done when a shell has taken the
// terminal meanwhile.
func put(tty *os.File, e *audit.Event, yes string, ended, continued <-chan os.Signal) (status int, done bool, err error) {
	giveBack, err := takeTerminal(int(tty.Fd()))
	if err != nil {
		return exitCallgate, true, err
	}
	defer giveBack()
	select {
	case <-continued: // by what brought the terminal
	default:
	}
	say(tty, audit.Question(e))
	fmt.Fprintf(tty, "callgate: %s: yes, once; %s!: yes, whenever it is the same; n!: no, likewise; anything else: no, once\ncallgate> ", yes, yes)
	line, done := answerLine(tty, ended, continued)
	switch line {
	case yes:
		return supervisor.AnswerYes, done, nil
	case yes + "!":
		return supervisor.AnswerAlways, done, nil
	case "n!":
		return supervisor.AnswerNever, done, nil
	}
	return 1, done, nil
}

// answerLine reads a line, "" where none comes. What is typed for a shell that has taken the
// terminal it leaves there: the kernel reads nothing for the background, whose SIGTTIN is
// ignored (EIO). A shell may have had it between two looks: then job control has let this
// process group go on. That it was stopped before does not show: a SIGTSTP that waits is
// gone with SIGCONT (prepare_signal in kernel/signal.c), and os/signal keeps no order.
func answerLine(tty *os.File, ended, continued <-chan os.Signal) (line string, done bool) {
	var read [4096]byte // a line has no more (termios(3))
	for {
		select {
		case <-ended:
			_, _ = io.WriteString(tty, "\n")
			return "", true
		case <-continued:
			return "", false
		default:
		}
		typed := []unix.PollFd{{Fd: int32(tty.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(typed, int(foregroundEvery.Milliseconds())); err == nil && n > 0 {
			n, err := tty.Read(read[:])
			if line += string(read[:max(n, 0)]); strings.HasSuffix(line, "\n") || len(line) > len(read) || err != nil && owned(tty) {
				return strings.TrimSpace(line), true
			}
		}
		if !owned(tty) {
			return "", false
		}
	}
}

// owned says whether the terminal is this process group's, or controls another session.
func owned(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
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

// foregroundEvery is how often it is looked whether a job was brought to the foreground.
const foregroundEvery = 100 * time.Millisecond

// foreground waits until the terminal may be taken; false if it is told to end before.
func foreground(tty *os.File, e *audit.Event, ended <-chan os.Signal) bool {
	for told := false; !mayTake(int(tty.Fd())); told = true {
		if !told {
			say(tty, filepath.Base(e.Exe)+" has a question, and runs in the background: fg lets you answer")
		}
		select {
		case <-time.After(foregroundEvery):
		case <-ended:
			return false
		}
	}
	return true
}

// mayTake says whether the terminal's foreground is callgate's: its own process group, or
// one of a shell's in the sandbox. That of a terminal that controls another session is
// nobody's business.
func mayTake(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp() || tracedGroup(group)
}

// tracedGroup says whether one of a process group is traced by callgate. Its first can be
// gone, and the others' parents.
func tracedGroup(group int) bool {
	all, _ := os.ReadDir("/proc") // of what cannot be read nobody is
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if g, err := unix.Getpgid(pid); err == nil && g == group && traced(pid) {
			return true
		}
	}
	return false
}

// traced says whether a process is traced by a thread of callgate's (TracerPid in proc(5)).
func traced(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := bytes.Cut(text, []byte("\nTracerPid:\t"))
	tracer, _, _ := bytes.Cut(rest, []byte("\n"))
	return len(tracer) > 0 && fileExists("/proc/"+strconv.Itoa(os.Getppid())+"/task/"+string(tracer))
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
		if now, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && now != own {
			return // a shell has taken it, and set it as it needs
		}
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, was) // a terminal that is gone needs nothing
		if group != 0 {
			_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group)
		}
	}, nil
}
