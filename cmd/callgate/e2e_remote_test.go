package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// number is a process's in a message.
var number = regexp.MustCompile(`\[[0-9]+\]`)

// both runs a script with run and with run --remote, in the same folder, and tells
// where they differ. $run is the command to run by.
func both(t *testing.T, socket, script string) said {
	t.Helper()
	dir := openFolder(t)
	for name, text := range map[string]string{
		"ci.yaml": "callgate: 1\nextends: ./base.yaml\n", "base.yaml": "callgate: 1\nsyscalls:\n  - deny: mkdir\n    reason: none here\ndefault: allow\n",
		"bad.yaml": "callgate: 2\n", "text": "no program\n", "script": "#!/none\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	if err := os.Chmod(filepath.Join(dir, "script"), 0o755); err != nil {
		t.Fatal(err)
	}
	var seen [2]said
	for i, run := range []string{"callgate run", "callgate run --remote"} {
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		cmd := exec.CommandContext(ctx, "bash", "-c", script)
		cmd.Env = append(os.Environ(), client.SocketVariable+"="+socket, "run="+run)
		cmd.Dir = dir
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.WaitDelay = 10 * time.Second
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatalf("%s: %v", script, err)
		}
		cancel()
		lines := strings.SplitAfter(number.ReplaceAllString(stderr.String(), "[N]"), "\n")
		slices.Sort(lines) // callgate's come between the command's as they will
		seen[i] = said{stdout.String(), strings.Join(lines, ""), statusOf(cmd.ProcessState)}
	}
	if seen[0] != seen[1] {
		t.Errorf("%s\nrun:          %d %.300q\n%s\nrun --remote: %d %.300q\n%s", script, seen[0].status, seen[0].stdout, seen[0].stderr, seen[1].status, seen[1].stdout, seen[1].stderr)
	}
	return seen[1]
}

// TestRemoteIsAsRun holds run --remote to run: what is written, told and given as
// the exit status.
func TestRemoteIsAsRun(t *testing.T) {
	t.Parallel()
	socket := startDaemon(t)
	// What is denied is told while the command may write too: where callgate speaks, it
	// does not, for a line of its could be torn.
	for script, want := range map[string]said{
		`$run sh -c 'echo out; exit 3'`:            {"out\n", "", 3},
		`$run sh -c 'echo err >&2; kill -TERM $$'`: {"", "err\n", 143},
		`$run sh -c 'printf "\377\0a"'`:            {"\xff\x00a", "", 0},
		`echo in | $run cat`:                       {"in\n", "", 0},
		`$run cat </dev/null`:                      {},
		`head -c 3000000 /dev/zero | $run wc -c`:   {"3000000\n", "", 0},
		`yes | $run head -1`:                       {"y\n", "", 0},
		`$run seq 200000 | cksum`:                  {"", "", 0},
		`set -o pipefail; $run yes | head -1`:      {"y\n", "", 141},
		`$run --output 1KiB -- seq 1 100000 2>/dev/null | cksum; exit ${PIPESTATUS[0]}`:                                                      {"", "", 137},
		`rm -f up; $run -q bash -c 'trap "" TERM; >up; while :; do sleep 0.1; done' & until [ -e up ]; do sleep 0.1; done; kill $!; wait $!`: {"", "", 137},
		`$run no-such-command`: {"", "callgate: no-such-command: command not found\n", 127},
		`$run ./text`:          {"", "", 126},
		`$run ./script`:        {"", "", 126},
		`$run -p ci.yaml sh -c 'exec mkdir x 2>&-'`:                     {"", "", 1},
		`$run -q -p ci.yaml mkdir x`:                                    {"", "", 1},
		`$run -p builtin:ci -- ls -l text >/dev/null`:                   {}, // libc's question to nscd is denied quietly
		`$run -p builtin:compute -- sh -c 'exec 2>&-; cat /etc/shadow'`: {"", "", 0},
		`$run -p bad.yaml true`:                                         {"", "", 125},
		`$run -p builtin:none true`:                                     {"", "", 125},
		`$run -p builtin:ci -- sh -c 'echo >.callgate.yaml'; rm .callgate.yaml`: {"",
			"callgate: .callgate.yaml was made during this run: the next one that names no policy is under it; look at it first\n", 0},
		`$run -C / pwd`:     {"/\n", "", 0},
		`$run -C /none pwd`: {"", "callgate: --workdir /none: no such file or directory\n", 125},
		`A=1 $run -p builtin:trace-all -q --clear-env --setenv A --setenv C=3 /usr/bin/env | grep -v -E '^(HOME|PATH|USER)='`:                                           {"A=1\nC=3\n", "", 0},
		`$run -q sh -c 'echo $PPID >/dev/null; umask; echo $HOME'`:                                                                                                      {},
		`echo 'callgate: 1' >.callgate.yaml; echo 'syscalls: [{deny: mkdir}]' >>.callgate.yaml; echo 'default: allow' >>.callgate.yaml; $run sh -c 'exec mkdir y 2>&-'`: {"", "", 1},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			got := both(t, socket, script)
			if want == (said{}) || want.stdout == "" && want.stderr == "" && got.status == want.status {
				return
			}
			if got != want {
				t.Errorf("%s: %+v", script, got)
			}
		})
	}
}

// remote is a run --remote that has begun: it has written a line.
func remote(t *testing.T, socket, script string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command("callgate", "run", "--remote", "--socket", socket, "--", "bash", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line := make([]byte, 3)
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "up\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd, out
}

// TestRemoteLimits: a limit that is reached is told by the flag that set it.
func TestRemoteLimits(t *testing.T) {
	t.Parallel()
	socket := startDaemon(t)
	for flag, want := range map[string]string{
		"--wall-time=100ms": "limit: wall-time 100ms, used ", "--output=10B": "limit: output 10B, used ",
	} {
		name, _, _ := strings.Cut(flag, "=")
		got := callgate(t, socket, "run", "--remote", flag, "sh", "-c", "yes | head -c 100; sleep 60")
		if !strings.Contains(got.stderr, want) || !strings.Contains(got.stderr, ", by "+name+": SIG") {
			t.Errorf("%s: %s", flag, got.stderr)
		}
	}
}

func TestRemotePassesSignalsOn(t *testing.T) {
	t.Parallel()
	socket := startDaemon(t)
	for _, sig := range passedOn {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			cmd, out := remote(t, socket, "trap 'echo caught; exit 9' "+itoa(int(sig))+"; echo up; while :; do sleep 0.05; done")
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(out); string(rest) != "caught\n" || err != nil {
				t.Errorf("after the signal: %q, %v", rest, err)
			}
			if cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
				t.Errorf("ended by %v", cmd.ProcessState)
			}
		})
	}
}

// TestRemoteInATerminal: Ctrl-C is for the whole job, as under run; Ctrl-Z stops
// and fg wakes both ends; what is typed arrives as it is typed.
func TestRemoteInATerminal(t *testing.T) {
	t.Parallel()
	socket := startDaemon(t)
	term := newScreen(t)
	term.typed("export CALLGATE_SOCKET=" + socket + "\n")
	term.expect("ready> ")
	term.typed("callgate run --remote -- sh -c 'echo up; sleep 100; echo not reached'\n")
	term.expect("up\r\n")
	term.typed(ctrlC)
	if seen := term.expect("ready> "); strings.Contains(seen, "not reached") {
		t.Errorf("after ctrl-C: %q", seen)
	}
	term.typed("echo status $?\n")
	term.expect("status 130")

	term.typed("callgate run --remote -- sh -c 'while read line; do echo got $line; done; echo end'\n")
	term.typed("one\n")
	term.expect("got one")
	term.typed("two\n")
	term.expect("got two")
	term.typed("\x04")
	term.expect("end\r\n")

	// Without a trap bash goes on after a SIGINT that the sleep has just missed.
	term.typed("callgate run --remote -- bash -c 'trap \"echo continued\" CONT; trap \"exit 1\" INT; echo up; while :; do sleep 0.05; done'\n")
	term.expect("up\r\n")
	term.stopped()
	term.expect("ready> ")
	term.typed("fg\n")
	term.expect("continued")
	term.typed(ctrlC)
	term.expect("ready> ")
}

// TestRemoteQueued: what is not running yet is taken out of the queue by what would
// have ended it.
func TestRemoteQueued(t *testing.T) {
	t.Parallel()
	socket := startDaemon(t)
	term := newScreen(t)
	term.typed("export CALLGATE_SOCKET=" + socket + "\n")
	term.typed("for i in $(seq 64); do callgate submit -- sleep 1000; done >/dev/null; callgate run --remote -- sleep 1000; echo status $?\n")
	waitFor(t, "65 jobs", func() bool { return len(allJobs(t, socket)) == 65 }, func() string { return "" })
	term.typed(ctrlC)
	term.expect("status 1")
	for _, job := range allJobs(t, socket) {
		if job.Argv[0] != "sleep" || job.State == client.Ended && job.Result.Cause != client.ByKill {
			t.Errorf("%+v", job)
		}
	}
}

func allJobs(t *testing.T, socket string) []client.Job {
	t.Helper()
	page, err := client.New(socket).List(context.Background(), client.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Jobs
}
