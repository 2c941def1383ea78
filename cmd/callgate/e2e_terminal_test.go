package main

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"
)

// waitFor polls until done; it gives up when nothing can come any more.
func waitFor(t *testing.T, what string, done func() bool, state func() string) {
	t.Helper()
	for end := time.Now().Add(hangAfter); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for %s; there is %q", what, state())
}

// TestInterruptBomb: Ctrl-C ends a fork bomb, all of it.
func TestInterruptBomb(t *testing.T) {
	program := tracee(t)
	for _, policy := range []string{traceAll, "builtin:default"} {
		r := &running{mark: "CALLGATE_TEST_MARK=" + rand.Text()}
		t.Cleanup(r.killLeft)
		term := newScreen(t)
		term.typed("cd " + filepath.Dir(program) + "\n") // which builtin:default lets the program be run in
		term.typed("env " + r.mark + " callgate run -q -p " + policy + " -- tracee bomb 150\n")
		term.expect("full\r\n")
		term.typed(ctrlC)
		term.expect("ready> ")
		if left := r.left(); len(left) > 0 {
			t.Errorf("left running: %q", left)
		}
		term.typed("echo status $?\n")
		term.expect("status 130")
	}
}

// TestTerminalTaken: a command that gives the terminal to a group of its own, and has the
// terminal stop who writes to it from the background, keeps callgate neither from telling nor
// from ending.
func TestTerminalTaken(t *testing.T) {
	const take = `$SIG{TTOU} = "IGNORE"; pipe R, W; if (!fork) { setpgid 0, 0; tcsetpgrp 0, $$; mkdir "/no"; exit } close W; <R>`
	term := newScreen(t)
	term.typed("callgate run --stats -p builtin:default -- sh -c 'stty tostop; exec perl -MPOSIX -e \"$0\"' '" + take + "'\n")
	for _, want := range []string{`callgate: denied mkdir("/no"`, "callgate: stops ", "ready> "} {
		term.expect(want)
	}
	term.typed("echo status $?\n")
	term.expect("status 0")
}
