package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strconv"
	"time"

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
	pid   int  // the command, 0 before it started
	apart bool // it has a terminal of its own
}

// passedOn are the signals that a person or another program sends to end,
// or to tell something to, a process.
var passedOn = [...]unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// held are the signals that would stop callgate before the command has had its
// say; stopped repeats them, and SIGTTOU, which startRelay has ignored.
var held = [...]unix.Signal{unix.SIGTSTP, unix.SIGTTIN}

// linger gives a context that ends when callgate is told to end, after the command
// has, and the function that says that it has: for run --linger.
func (r *relay) linger() (context.Context, func(), error) {
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return ctx, func() {
		tellTo(int(tell.Fd()))
		go func() {
			_, _ = told.Read(make([]byte, 1)) // the other end stays open
			cancel()
		}()
	}, nil
}

// startRelay begins to take signals. Those that callgate's caller had ignored
// stay so: the command ignores them too. A command that is apart, in a session of
// its own, gets nothing from the caller's terminal: then every signal is passed
// on, and those that stop a job stop callgate alone.
func startRelay(apart bool, grace time.Duration) *relay {
	killAfter(grace)
	for _, s := range passedOn {
		passOn(s, apart)
	}
	if !apart {
		for _, s := range held {
			hold(s)
		}
		// The command can put callgate's group in the background, and have the terminal stop who
		// writes there (TOSTOP): a write of callgate's would be restarted for ever.
		signal.Ignore(unix.SIGTTOU)
	}
	// A reader of ours that went away shall not end the command. What the
	// command ignores is not ours to say: package launch sees to it.
	signal.Ignore(unix.SIGPIPE)
	return &relay{apart: apart}
}

// started is called with the command's process once it is there.
func (r *relay) started(pid int) {
	r.pid = pid
	passOnTo(pid)
}

// stopped is called when job control has stopped the command: callgate then
// stops too, so that the shell sees it and can go on. Without a terminal there
// is no job control, and whoever stopped the command will wake it.
//
// It runs on the tracer's thread: nothing of the sandbox's goes on meanwhile.
func (r *relay) stopped(s unix.Signal) {
	if r.apart || !hasTerminal() {
		return
	}
	stopSelf(s)
	r.wake()
}

// wake passes on the SIGCONT that woke callgate, if that was sent to it alone:
// a shell's, to the whole process group, is pending for the command already.
func (r *relay) wake() {
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
