package ptrace

import (
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Stops are quiet, deaths are not, and what else the runtime had asked for with
// SIGCHLD stays.
func TestQuietStops(t *testing.T) {
	heard := make(chan os.Signal, 10)
	signal.Notify(heard, unix.SIGCHLD)
	defer signal.Stop(heard)
	var before, after signalAction
	if err := setAction(unix.SIGCHLD, nil, &before); err != nil {
		t.Fatal(err)
	}
	if err := QuietStops(); err != nil {
		t.Fatal(err)
	}
	if err := setAction(unix.SIGCHLD, nil, &after); err != nil {
		t.Fatal(err)
	}
	if before.flags |= noChildStops; after != before {
		t.Errorf("the action is %+v, want %+v", after, before)
	}

	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(unix.SIGSTOP)
	var status unix.WaitStatus
	if _, err := unix.Wait4(cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait4: %v, status %#x", err, status)
	}
	select {
	case <-heard:
		t.Error("a stop sent SIGCHLD")
	case <-time.After(50 * time.Millisecond):
	}
	cmd.Process.Kill()
	cmd.Wait()
	select {
	case <-heard:
	case <-time.After(10 * time.Second):
		t.Error("a death sent no SIGCHLD")
	}
}
