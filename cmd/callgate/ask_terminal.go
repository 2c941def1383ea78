package main

import (
	"bufio"
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
	signal.Ignore(unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	tty := os.NewFile(askFD, "terminal")
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	if !foreground(tty, &e, ended) {
		return 1, nil
	}
	giveBack, err := takeTerminal(int(tty.Fd()))
	if err != nil {
		return exitCallgate, err
	}
	defer giveBack()
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
			return // a shell has taken it, and has set it as it needs
		}
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, was) // a terminal that is gone needs nothing
		if group != 0 {
			_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group)
		}
	}, nil
}
