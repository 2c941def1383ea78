package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// exactCases are tracee commands that must print and return the same under
// builtin:trace-all as bare. Each runs in a new folder; "PATH" stands for a name
// in it that is not there yet.
var exactCases = []string{
	"numbers",
	"vsyscall",
	"sysenter PATH",
	"int80 5 s:/etc/hostname 0",
	"int80 5 s:/nonexistent 0",
	"int80 5 8 0",
	"int80-high 20",
	"int80-high 5 s:/etc/hostname 0",
	"int80-high 102 1 w:1,1,0",
	"int80-high 90 w:0,4096,3,0x22,-1,0",
	"int80-high 117 23 77 1 0",
	"int80 11 s:/bin/echo v:echo,by,int80 0",
	"int80 102 1 w:1,1,0",
	"int80 102 1 8",
	"int80 102 99 w:1,1,0",
	"int80 102 5 w:0,0,0",
	"int80 90 w:0,4096,3,0x22,-1,0",
	"int80 90 w:0,4096,3,0x22,-1,1",
	"int80 90 8",
	"int80 192 0 4096 3 0x22 -1",
	"int80 117 23 77 1 0",
	"int80 117 99 0 0 0",
	"int80 82 w:0,0,0,0,8",
	"int80 82 8",
	"int80 142 0 0 0 0 z:16",
	"int80 435 8 64",
	"int80 54 0 0x5401 8",
	"far 20",
	"far 5 s:/etc/hostname 0",
	"far 11 s:/bin/echo v:echo,far 0",
	"native 59 s:/bin/echo v:echo,native 0",
	"native 59 s:/nonexistent v:echo 0",
	"native 59 8 8 8",
	"native 322 -100 s:/bin/echo v:echo,at 0 0",
	"x32 39",
	"clone3-exact",
	"own-filter 0x7ff00063 PATH",
	"own-filter 0x00050007 PATH",
	"own-filter 0x00030005 PATH",
	"own-filter 0x80000000 PATH",
	"own-filter 0x00000000 PATH",
	"own-filter 0x7ffc0000 PATH",
	"vfork-exec /bin/echo child",
	"exec-thread /bin/echo from a thread",
	"leader-exits PATH",
	"threads 64 200",
	"processes 1000",
	"orphans",
	"kill-forker 200",
	"kill-execer 200",
	"kill-many 30", // as each of the two users that tests run as
	"limits",
	"exit 0", "exit 1", "exit 77", "exit 255",
	"fault segv", "fault ill", "fault trap", "fault fpe", "fault abort",
	"catch-all",
	"siginfo",
	"restart",
	"altstack",
	"evade-sigsys PATH",
	"kill-in-thread PATH",
	"death-signal",
	"stop-self",
	"stop-group",
	"stop-sleep",
	"stop-many 100",
	"close-all PATH",
	"affinity",
}

// TestExact runs every command bare and traced: not one line may differ.
func TestExact(t *testing.T) {
	t.Parallel()
	for _, line := range exactCases {
		t.Run(line, func(t *testing.T) { sameAsBare(t, traceeCommand(line)) })
	}
	t.Run("elf32", func(t *testing.T) {
		for _, args := range [][]string{{"20"}, {"5", "s:/etc/hostname", "0"}, {"11", "s:/bin/echo", "v:echo", "0"},
			{"102", "1", "w:1,1,0"}, {"90", "w:0,4096,3,0x22,-1,0"}, {"999"}, {"-1"}} {
			sameAsBare(t, func(t *testing.T, _ string) []string { return append([]string{elf32(t)}, args...) })
		}
	})
}

// TestExactDeath is the death of the command by every signal.
func TestExactDeath(t *testing.T) {
	for sig := 1; sig <= 64; sig++ {
		switch syscall.Signal(sig) {
		case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH, // do not kill
			syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
			32, 33: // the library's own
			continue
		}
		got := trial{policy: traceAll}.run(t, tracee(t), "die", itoa(sig))
		if got.status != 128+sig {
			t.Errorf("signal %d: %v", sig, got)
		}
	}
}

// traceeCommand gives a tracee command's words for a folder of its own.
func traceeCommand(line string) func(t *testing.T, dir string) []string {
	return func(t *testing.T, dir string) []string {
		words := strings.Fields(line)
		for i, word := range words {
			if word == "PATH" {
				words[i] = filepath.Join(dir, "new")
			}
		}
		return append([]string{tracee(t)}, words...)
	}
}

// sameAsBare runs a command bare and under builtin:trace-all, each in an empty
// folder, and compares all that came out.
func sameAsBare(t *testing.T, command func(t *testing.T, dir string) []string) {
	t.Helper()
	bareDir, dir := openFolder(t), openFolder(t)
	bare := trial{bare: true, dir: bareDir}.run(t, command(t, bareDir)...)
	traced := trial{policy: traceAll, flags: []string{"--quiet"}, dir: dir}.run(t, command(t, dir)...)
	compare(t, bare, traced, bareDir, dir)
}

// compare fails the test where traced is not as bare. Their folders' names are
// no difference.
func compare(t *testing.T, bare, traced outcome, bareDir, dir string) {
	t.Helper()
	clean := func(text, dir string) string { return strings.ReplaceAll(text, dir, "DIR") }
	if bare.status != traced.status ||
		clean(bare.stdout, bareDir) != clean(traced.stdout, dir) ||
		clean(bare.stderr, bareDir) != clean(traced.stderr, dir) {
		t.Errorf("traced: status %d, bare %d%s%s", traced.status, bare.status,
			firstDifference("output", clean(bare.stdout, bareDir), clean(traced.stdout, dir)),
			firstDifference("errors", clean(bare.stderr, bareDir), clean(traced.stderr, dir)))
	}
}

// firstDifference shows the first line that is not the same, and the one before.
func firstDifference(what, bare, traced string) string {
	a, b := strings.Split(bare, "\n"), strings.Split(traced, "\n")
	for i := range max(len(a), len(b)) {
		if line(a, i) != line(b, i) {
			return fmt.Sprintf("\n%s, line %d, after %q\nbare:   %q\ntraced: %q", what, i+1, line(a, i-1), line(a, i), line(b, i))
		}
	}
	return ""
}

func line(lines []string, i int) string {
	if i < 0 || i >= len(lines) {
		return ""
	}
	return lines[i]
}
