package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestState: what a program finds when it starts is what it finds without
// callgate: descriptors, environment, signals, limits, identity, scheduling.
func TestState(t *testing.T) {
	self := tracee(t)
	// Callers that pass on something unusual; %s is the state command.
	for name, script := range map[string]string{
		"plain":              "%s",
		"nohup":              "trap '' HUP PIPE INT; %s",
		"all ignored":        "trap '' HUP INT QUIT ILL ABRT FPE PIPE ALRM TERM USR1 USR2 TSTP TTIN TTOU CHLD CONT URG WINCH SYS SEGV; %s",
		"umask and limits":   "umask 027; ulimit -n 77; ulimit -c 0; ulimit -s 4096; ulimit -t 100; ulimit -f 9999; %s",
		"nice":               "nice -n 5 %s",
		"one processor":      "taskset 1 %s",
		"batch":              "chrt -b 0 %s",
		"no input":           "%s <&-",
		"no output to read":  "%s 2>&-",
		"read-write":         "%s <>/dev/null 2>>/dev/null",
		"an odd environment": "env -i A= 'B=x y' C=1 PATH=$PATH %s",
		"another folder":     "cd / && %s",
		"argument quoting":   "%s '' '*' \"a'b\" -- -p --audit",
	} {
		t.Run(name, func(t *testing.T) {
			run := func(tr trial) outcome { return tr.runIn(t, script, self, "state") }
			dir := openFolder(t)
			bare, traced := run(trial{bare: true, dir: dir}), run(trial{policy: traceAll, flags: []string{"--quiet"}, dir: dir})
			bare.stdout = strayFD.ReplaceAllString(bare.stdout, "")
			traced.stdout = testMark.ReplaceAllString(traced.stdout, "")
			bare.stdout = testMark.ReplaceAllString(bare.stdout, "")
			compare(t, bare, traced, dir, dir)
		})
	}
}

// strayFD is a descriptor beyond standard error, which the tests' own caller may
// have left open and callgate closes; testMark the tests' own variable.
var (
	strayFD  = regexp.MustCompile(`(?m)^fd ([3-9]|\d\d+):.*\n`)
	testMark = regexp.MustCompile(`(?m)^environment: CALLGATE_TEST_MARK=.*\n`)
)

// runIn has a shell run the command where script has %s.
func (tr trial) runIn(t *testing.T, script string, argv ...string) outcome {
	t.Helper()
	if tr.bare {
		return tr.run(t, "/bin/sh", "-c", fmt.Sprintf(script, strings.Join(argv, " ")))
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	r := tr.prepare(t, ctx, argv...)
	line := fmt.Sprintf(script, strings.Join(r.cmd.Args, " "))
	shell := trial{bare: true, dir: r.cmd.Dir, env: []string{r.mark}}
	return shell.run(t, "/bin/sh", "-c", line)
}

// TestRelatives: callgate is the command's parent, and all else of the family is
// as it was: the same session and process group.
func TestRelatives(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	r := trial{policy: traceAll}.prepare(t, ctx, tracee(t), "relatives")
	out, err := r.cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pid, parent, group, session int
	if _, err := fmt.Sscanf(string(out), "pid %d parent %d group %d session %d", &pid, &parent, &group, &session); err != nil {
		t.Fatal(err)
	}
	ownSession, _, _ := syscall.Syscall(syscall.SYS_GETSID, 0, 0, 0)
	callgate := r.cmd.Process.Pid // the leader of a group of its own: see prepare
	if parent != callgate || group != callgate || session != int(ownSession) {
		t.Errorf("%s: want parent %d, group %d, session %d", out, callgate, callgate, ownSession)
	}
}

// TestNoLeak: a descriptor that the caller left open does not reach the command,
// unless it is asked for.
func TestNoLeak(t *testing.T) {
	ends := make([]*os.File, 2)
	for i := range ends {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		ends[i] = f
	}
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "0 1 2"},
		{[]string{"--keep-fd", "4"}, "0 1 2 4"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		defer cancel()
		r := trial{policy: traceAll, flags: c.flags}.prepare(t, ctx, tracee(t), "state")
		r.cmd.ExtraFiles = ends // 3 and 4
		out, err := r.cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(descriptors(string(out)), " "); got != c.want {
			t.Errorf("with %q the command has descriptors %s, want %s", c.flags, got, c.want)
		}
	}
}

// descriptors are the numbers in the lines "fd N: ..." of the state command.
func descriptors(state string) (numbers []string) {
	for l := range strings.Lines(state) {
		if rest, ok := strings.CutPrefix(l, "fd "); ok {
			n, _, _ := strings.Cut(rest, ":")
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// TestEnvironment: a policy that speaks of the environment keeps and sets what it
// says; callgate adds nothing of its own.
func TestEnvironment(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\nenvironment:\n  keep: [PATH, \"KEEP_*\"]\n  set: { CI: \"yes\", PATH: /bin }\n"
	got := trial{policy: policy, env: []string{"KEEP_A=1", "KEEP=2", "SECRET=3"}}.run(t, tracee(t), "state")
	var lines []string
	for l := range strings.Lines(got.stdout) {
		if rest, ok := strings.CutPrefix(l, "environment: "); ok {
			lines = append(lines, strings.TrimSpace(rest))
		}
	}
	want := map[string]bool{"KEEP_A=1": true, "CI=yes": true, "PATH=/bin": true}
	for _, l := range lines {
		if !want[l] {
			t.Errorf("the command has %s", l)
		}
		delete(want, l)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
}
