package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestKilledSupervisor: SIGKILL of callgate, at any moment, ends all that it
// traces (PTRACE_O_EXITKILL), and nothing that was denied gets through.
func TestKilledSupervisor(t *testing.T) {
	for i := range 30 {
		line := []string{"bomb 60", "threads 32 100000", "kill-forker 100000", "kill-execer 100000", "processes 100000"}[i%5]
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		r := trial{policy: []string{traceAll, denyMkdir}[i%2], flags: []string{"--quiet"}}.
			prepare(t, ctx, traceeCommand(line)(t, "")...)
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i*i) * time.Millisecond / 4) // from before the start to well within
		r.cmd.Process.Kill()
		r.cmd.Wait()
		waitFor(t, "the end of all", func() bool { return len(r.left()) == 0 }, func() string { return fmt.Sprint(r.left()) })
		cancel()
	}
}

// TestDaemonEnds: what the command leaves behind ends with it.
func TestDaemonEnds(t *testing.T) {
	got := trial{policy: traceAll}.run(t, "/bin/sh", "-c", "setsid sleep 1000 & (sleep 1000 &) ; nohup sleep 1000 >/dev/null 2>&1 & exit 6")
	got.want(t, 6, "")
}

// TestRelayed: a signal to callgate is one to the command.
func TestRelayed(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGHUP: 129, syscall.SIGINT: 130,
		syscall.SIGQUIT: 131, syscall.SIGUSR1: 138, syscall.SIGUSR2: 140} {
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		defer cancel()
		r := trial{policy: traceAll, flags: []string{"--quiet"}}.prepare(t, ctx, "/bin/sh", "-c", "echo ready; exec sleep 1000")
		out, err := r.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(out).ReadString('\n')
		r.cmd.Process.Signal(sig)
		r.cmd.Wait()
		if got := statusOf(r.cmd.ProcessState); got != want {
			t.Errorf("%v: status %d, want %d", sig, got, want)
		}
	}
}

// TestSideBySide: ten sandboxes at once, each with its own policy and answer.
func TestSideBySide(t *testing.T) {
	tracee(t)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			policy := fmt.Sprintf("callgate: 1\ndefault: allow\nsyscalls:\n  - deny: mkdir\n    errno: %d\n", 100+i)
			got := trial{policy: policy}.run(t, tracee(t), "processes", "100")
			got.want(t, 0, "100 processes, 0 wrong, statuses as given\n")
			got = trial{policy: policy}.run(t, "/bin/sh", "-c", tracee(t)+" exit "+itoa(i))
			got.want(t, i, "")
		})
	}
	all.Wait()
}

// TestClosedErrors: with no standard error to tell of it, a denied call is denied
// all the same, and the command runs to its end.
func TestClosedErrors(t *testing.T) {
	for _, script := range []string{"%s 2>&-", "%s 2>/dev/full", "%s 2>&- >&1 <&-"} {
		dir := openFolder(t)
		got := trial{policy: denyMkdir, dir: dir}.runIn(t, script, tracee(t), "native", "83", "s:new", "0700")
		got.want(t, 0, "native 83 = -EACCES\n")
		if exists(filepath.Join(dir, "new")) {
			t.Error("the denied folder is there")
		}
	}
}

// TestFullAudit: an audit log on a full disk. Nothing gets through undecided, and
// what was lost is told.
func TestFullAudit(t *testing.T) {
	dir := openFolder(t)
	got := trial{policy: denyMkdir, dir: dir, flags: []string{"--audit", "/dev/full"}}.
		run(t, tracee(t), "native", "83", "s:new", "0700")
	got.want(t, 0, "native 83 = -EACCES\n")
	if !strings.Contains(got.stderr, "lost") {
		t.Errorf("nobody tells of what was lost: %s", got.stderr)
	}
}

// TestAuditReaderGone: an audit pipe whose reader goes away, or never reads.
func TestAuditReaderGone(t *testing.T) {
	for name, gone := range map[string]bool{"gone": true, "idle": false} {
		t.Run(name, func(t *testing.T) {
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if gone {
				reader.Close()
			}
			ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
			defer cancel()
			// Far more events than a pipe and any queue hold.
			script := fmt.Sprintf("i=0; while [ $i -lt 300 ]; do /bin/mkdir %s; i=$((i+1)); done 2>/dev/null; echo done", strings.Repeat("x", 4000))
			r := trial{policy: denyMkdir, flags: []string{"--quiet", "--audit", "fd:3"}}.prepare(t, ctx, "/bin/sh", "-c", script)
			r.cmd.ExtraFiles = []*os.File{writer}
			out, err := r.cmd.Output()
			writer.Close()
			if err != nil || string(out) != "done\n" {
				t.Errorf("%v, %q", err, out)
			}
		})
	}
}

// TestPermissive: nothing is enforced and everything is reported.
func TestPermissive(t *testing.T) {
	dir := openFolder(t)
	got := trial{policy: denyMkdir, dir: dir, flags: []string{"--permissive"}}.run(t, tracee(t), "native", "83", "s:new", "0700")
	got.want(t, 0, "native 83 = 0\n")
	calls := got.calls("mkdir")
	if len(calls) != 1 || calls[0].Enforced || calls[0].Verdict != "deny" || !exists(filepath.Join(dir, "new")) {
		t.Errorf("events %q", describe(calls))
	}
}
