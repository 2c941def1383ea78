package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const privatePolicy = "callgate: 1\nenvironment: {private-tmp: true}\n"

// leftIn are the private temporary folders in a folder.
func leftIn(t *testing.T, base string) []string {
	t.Helper()
	found, err := filepath.Glob(base + "/callgate-*/*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestPrivateTmp: the command has a folder of its own, which goes with it
// however it ends.
func TestPrivateTmp(t *testing.T) {
	base := openFolder(t)
	tr := trial{policy: privatePolicy, env: []string{"TMPDIR=" + base, "TMP=/elsewhere"}}
	for script, status := range map[string]int{
		`exit 3`:            3,
		`kill -9 $$`:        137,
		`sleep 100 & exit`:  0,
		`chmod 0 $TMPDIR/a`: 0,
		`rm -r $TMPDIR`:     0,
	} {
		got := tr.run(t, "/bin/sh", "-ec", `mkdir -p $TMPDIR/a/b; stat -c %a $TMPDIR; [ $TMP = $TMPDIR ]; [ $TEMP = $TMPDIR ]; echo ${TMPDIR%/callgate-*/*}; `+script)
		got.want(t, status, "700\n"+base+"\n")
		if got.stderr != "" {
			t.Errorf("%q: %s", script, got.stderr)
		}
		if left := leftIn(t, base); len(left) > 0 {
			t.Errorf("%q: left behind: %q", script, left)
		}
	}
}

// TestPrivateTmpOfDeadRun: a callgate that is killed leaves its folder to the
// next to remove, which lets that of one that lives alone.
func TestPrivateTmpOfDeadRun(t *testing.T) {
	base := openFolder(t)
	tr := trial{policy: privatePolicy, env: []string{"TMPDIR=" + base}}
	start := func() *running {
		r := tr.prepare(t, context.Background(), "/bin/sh", "-c", "echo >$TMPDIR/there; exec sleep 100")
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	wait := func(n int) {
		for end := time.Now().Add(hangAfter); ; time.Sleep(5 * time.Millisecond) {
			if found, _ := filepath.Glob(base + "/callgate-*/*/there"); len(found) == n {
				return
			}
			if time.Now().After(end) {
				t.Fatal("the command does not start")
			}
		}
	}
	dead := start()
	wait(1)
	left := leftIn(t, base)[0]
	live := start()
	wait(2)
	dead.cmd.Process.Kill()
	dead.cmd.Wait()
	dead.killLeft()
	tr.run(t, "/bin/true").want(t, 0, "")
	if found := leftIn(t, base); len(found) != 1 || found[0] == left {
		t.Errorf("after a run: %q; the dead one's was %s", found, left)
	}
	live.cmd.Process.Signal(os.Interrupt)
	live.cmd.Wait()
}

// TestPrivateTmpInPatterns: $TMPDIR in a policy is the command's, not the
// caller's.
func TestPrivateTmpInPatterns(t *testing.T) {
	base := openFolder(t)
	tr := trial{policy: privatePolicy + "files:\n  - read: /\n  - write: [$TMPDIR, /dev/null]\n", env: []string{"TMPDIR=" + base}}
	got := tr.run(t, "/bin/sh", "-c", `echo text >$TMPDIR/f && cat $TMPDIR/f; echo text >$TMPDIR/../f || echo denied`)
	got.want(t, 0, "text\ndenied\n")
	if !strings.Contains(got.stderr, "/f\"") {
		t.Errorf("nothing is told of %s/f: %s", base, got.stderr)
	}
}
