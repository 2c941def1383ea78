package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTopOnce: where there is no terminal, it is a snapshot.
func TestTopOnce(t *testing.T) {
	got := callgate(t, newStandIn().serve(t), "top")
	want := "callgated 9.9 on h1: 1 of 4 slots in use, 1 queued\n\n" + topHeader + "\n" +
		"bbbbbbbbbb                 bob        running    1m40s  150%   3.0M     2       4 sh -c 'echo it'\\''s\\x1b[31m'\n" +
		"cccccccccc                 ann        queued      0.0s    0%     0B     0       0 sleep 1\n"
	if got.stdout != want || got.status != 0 {
		t.Errorf("top:\n%swant:\n%s%s", got.stdout, want, got.stderr)
	}
}

func TestTopFitsTheScreen(t *testing.T) {
	s := newStandIn()
	for i := range 30 {
		job := s.jobs[0]
		job.ID = fmt.Sprintf("job%07d", i)
		s.jobs = append(s.jobs, job)
	}
	term := newScreen(t)
	term.typed("stty cols 60 rows 12; callgate top --socket " + s.serve(t) + "\n")
	seen := term.expect("and ")
	_, seen, _ = strings.Cut(seen, enterDisplay)
	for line := range strings.SplitSeq(seen, "\r\n") {
		for _, sequence := range []string{topLeft, wholeLine, restBelow, reversed, normal} {
			line = strings.ReplaceAll(line, sequence, "")
		}
		if len(strings.TrimRight(line, "\r")) > 60 {
			t.Errorf("a line of %d columns: %q", len(line), line)
		}
	}
	if n := strings.Count(seen, wholeLine); n != 12 {
		t.Errorf("%d lines on a screen of 12", n)
	}
	term.typed("q")
	term.expect("ready> ")
}

// TestTopGivesTheTerminalBack, at every end that a process can notice.
func TestTopGivesTheTerminalBack(t *testing.T) {
	socket := newStandIn().serve(t)
	term := newScreen(t)
	dir := t.TempDir()
	term.typed("cd " + dir + "; stty -a >before; settings() { stty -a | cmp - before && echo same $1; }\n")
	term.expect("ready> ")
	for _, end := range []struct{ keys, status string }{{"q", "0"}, {"\x04", "0"}, {ctrlC, "0"}} {
		term.typed("callgate top --socket " + socket + "\n")
		term.expect(jobB)
		term.typed(end.keys)
		if seen := term.expect("ready> "); !strings.Contains(seen, leaveDisplay) {
			t.Errorf("%q leaves the display on: %q", end.keys, seen)
		}
		term.typed("settings $?\n")
		term.expect("same " + end.status)
	}
	term.typed("callgate top --socket " + socket + "\n")
	term.expect(jobB)
	term.stopped()
	if seen := term.expect("ready> "); !strings.Contains(seen, leaveDisplay) {
		t.Errorf("ctrl-Z leaves the display on: %q", seen)
	}
	term.typed("settings\n")
	term.expect("same")
	term.typed("fg\n")
	term.expect(enterDisplay)
	term.expect(jobB)
	term.typed("q")
	term.expect("ready> ")

	term.typed("sh -c 'echo $$ >pid; exec callgate top --socket " + socket + "'\n")
	term.expect(jobB)
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	term.expect("ready> ")
	term.typed("settings $?\n")
	term.expect("same 143")
}
