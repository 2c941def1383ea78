package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKilledAnywhere: SIGKILL of callgate at a random moment, CALLGATE_RUNS (24) times:
// no process survives, and after the next start no cgroup and no temporary folder.
func TestKilledAnywhere(t *testing.T) {
	n := 24
	if text := os.Getenv("CALLGATE_RUNS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	base := openFolder(t)
	tr := trial{policy: "callgate: 1\ncompat: {i386: same, x32: same}\nenvironment: {private-tmp: true}\n" +
		"limits: {memory: 1GiB, cpu-time: 1h, processes: 200, output: 1GiB}\n", env: []string{"TMPDIR=" + base}}
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	for i := range n {
		linger := []string{"--quiet", "--linger"}[:1+i%2]
		one := tr
		one.flags = linger
		r := one.prepare(t, ctx, "/bin/sh", "-c", `mkdir -p $TMPDIR/a/b; (trap "" TERM HUP; setsid sleep 1000 &)
			for i in 1 2 3 4 5 6 7 8 9; do mkdir $TMPDIR/a/b/$i; sleep 0; done & while :; do sleep 0.01; echo out; done`)
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(60 * time.Millisecond)) // from before the start to well within
		r.cmd.Process.Kill()
		r.cmd.Wait()
		waitFor(t, "the end of all", func() bool { return len(r.left()) == 0 }, func() string { return fmt.Sprint(r.left()) })
	}
	tr.run(t, "/bin/true").want(t, 0, "")
	if left := leftIn(t, base); len(left) > 0 {
		t.Errorf("folders are left: %q", left)
	}
	left := deadGroups(t)
	waitFor(t, "the end of all cgroups", func() bool { // those of tests beside this one come and go
		still := deadGroups(t)
		left = slices.DeleteFunc(left, func(path string) bool { return !slices.Contains(still, path) })
		return len(left) == 0
	}, func() string { return fmt.Sprint(left) })
}

// TestKillRefused: root without CAP_KILL may not signal a command that has become
// another user, and ends it all the same.
func TestKillRefused(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "nobody but root can become another user")
	}
	dir := openFolder(t)
	tr := trial{policy: limited("wall-time: 200ms"), flags: []string{"--grace=50ms"}}
	argv := append([]string{"setpriv", "--bounding-set=-kill", "--inh-caps=-kill"}, tr.callgate(t, dir, filepath.Join(dir, "audit"))...)
	argv = append(argv, "setpriv", "--reuid=65534", "--clear-groups", "sleep", "1000")
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	r := trial{bare: true}.prepare(t, ctx, argv...)
	text, err := r.cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil || !strings.Contains(string(text), "operation not permitted") {
		t.Errorf("%v: %s", err, text)
	}
	waitFor(t, "the end of the command", func() bool { return len(r.left()) == 0 }, func() string { return fmt.Sprint(r.left()) })
}

// deadGroups are callgate's cgroups without a process in them: those of other tests
// have some.
func deadGroups(t *testing.T) (found []string) {
	t.Helper()
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() || !strings.HasPrefix(d.Name(), "callgate-") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err == nil && len(text) == 0 {
			found = append(found, path)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}
