package main

import (
	"bytes"
	"os"
	"os/signal"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// relay makes signals and job control work as if callgate were not there.
//
// The command is in callgate's process group, so what a terminal sends (SIGINT,
// SIGQUIT, SIGTSTP, SIGWINCH) reaches it without callgate, which only must not
// die or stop of it first. What is sent to callgate's process alone is passed
// on. The two cannot be told apart for SIGINT and SIGQUIT: they count as the
// terminal's while callgate is in the terminal's foreground process group.
type relay struct {
	mu      sync.Mutex
	pid     int         // the command, 0 before it started
	waiting []os.Signal // came before that
}

// passedOn are the signals that a person or another program sends to end,
// or to tell something to, a process.
var passedOn = []os.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// held are the signals that would stop callgate before the command has had its
// say; stopped repeats them.
var held = []os.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}

// startRelay begins to take signals. Those that callgate's caller had ignored
// stay so: the command ignores them too.
func startRelay() *relay {
	r := &relay{}
	take := make(chan os.Signal, 16)
	for _, s := range passedOn {
		if !signal.Ignored(s) {
			signal.Notify(take, s)
		}
	}
	// Caught, not ignored, since execve keeps what is ignored; and nobody
	// reads: a full channel drops them. SIGPIPE is a reader of ours that went
	// away, which shall not end the command.
	signal.Notify(make(chan os.Signal, 1), append(held, unix.SIGPIPE)...)
	go func() {
		for s := range take {
			r.pass(s)
		}
	}()
	return r
}

func (r *relay) pass(s os.Signal) {
	if (s == unix.SIGINT || s == unix.SIGQUIT) && inForeground() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 {
		r.waiting = append(r.waiting, s)
		return
	}
	_ = unix.Kill(r.pid, s.(unix.Signal)) // ESRCH: it is gone, and we soon
}

// started is called with the command's process once it is there.
func (r *relay) started(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pid = pid
	for _, s := range r.waiting {
		_ = unix.Kill(pid, s.(unix.Signal))
	}
	r.waiting = nil
}

// stopped is called when job control has stopped the command: callgate then
// stops too, so that the shell sees it and can go on. Without a terminal there
// is no job control, and whoever stopped the command will wake it.
//
// It runs on the tracer's thread: nothing of the sandbox's goes on meanwhile.
func (r *relay) stopped(s unix.Signal) {
	if !hasTerminal() {
		return
	}
	stopSelf(s)
	r.wake()
}

// wake passes on the SIGCONT that woke callgate, if that was sent to it alone:
// a shell's, to the whole process group, is pending for the command already.
func (r *relay) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid != 0 && !pending(r.pid, unix.SIGCONT) {
		_ = unix.Kill(r.pid, unix.SIGCONT)
	}
}

// pending says whether a signal waits for a process (ShdPnd in proc(5)).
func pending(pid int, s unix.Signal) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	_, rest, _ := bytes.Cut(text, []byte("\nShdPnd:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	mask, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	return err == nil && mask&(1<<(uint(s)-1)) != 0
}

func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// inForeground says whether callgate is in the foreground process group of its
// controlling terminal; without a terminal it is not.
func inForeground() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
