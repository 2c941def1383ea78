package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// spares gives the supervisors that wait for a job, once there are so many.
func (h *host) spares(n int) (pids []int) {
	h.t.Helper()
	for range 2000 {
		files, _ := filepath.Glob(h.dir + "/state/jobs/spare-*/pid")
		pids = nil
		for _, file := range files {
			if pid := supervisorIn(file); pid != 0 {
				pids = append(pids, pid)
			}
		}
		if len(pids) == n {
			return pids
		}
		pause()
	}
	h.t.Fatalf("%d supervisors wait, not %d", len(pids), n)
	return nil
}

func supervisorIn(file string) (pid int) {
	text, err := os.ReadFile(file)
	if err == nil {
		_, _ = fmt.Sscan(string(text), &pid)
	}
	return pid
}

func (h *host) runTrue() (supervisor int) {
	h.t.Helper()
	j := h.wait(h.submit(&client.Request{Argv: []string{"true"}}).ID)
	if j.Result.Cause != client.ByExit || j.Result.Status != 0 {
		h.t.Errorf("the job ended with %+v", j.Result)
	}
	return supervisorIn(filepath.Join(h.dir, "state/jobs", j.ID+".1", "pid"))
}

// TestSpares: supervisors that wait get a job each, and never a second one; those
// that have died get none, and a daemon's death leaves none behind.
func TestSpares(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 2\n")
	seen := []int{}
	for range 3 {
		waiting := h.spares(2)
		pid := h.runTrue()
		if !slices.Contains(waiting, pid) {
			t.Errorf("%d ran the job, and %d waited", pid, waiting)
		}
		if slices.Contains(seen, pid) {
			t.Errorf("%d ran two jobs", pid)
		}
		seen = append(seen, pid)
	}
	for _, pid := range h.spares(2) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		h.until("it is dead", func() bool {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
			return err != nil || strings.Contains(string(text), ") Z ") // the daemon has yet to wait for it
		})
	}
	h.runTrue()
	before := h.spares(2)
	h.kill()
	for _, pid := range before {
		h.gone(pid)
	}
	h.start()
	if again := h.spares(2); slices.Contains(again, before[0]) || slices.Contains(again, before[1]) {
		t.Errorf("%d wait still, of %d", again, before)
	}
	h.runTrue()
	h.spares(2)
	h.stop()
	h.spares(0)
}

// gone waits for a process to end.
func (h *host) gone(pid int) {
	h.t.Helper()
	for range 2000 {
		if unix.Kill(pid, 0) == unix.ESRCH {
			return
		}
		pause()
	}
	h.t.Errorf("process %d is still there", pid)
}

// TestNoSpares: with none, each supervisor is started for its job.
func TestNoSpares(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 0\n")
	if h.runTrue() == 0 {
		t.Error("no supervisor was noted")
	}
	h.spares(0)
}
