package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// generous gives the daemon more than a login has, as far as this user may: what a
// unit's Limit lines would do.
func (h *host) generous() {
	h.t.Helper()
	for _, resource := range []int{unix.RLIMIT_STACK, unix.RLIMIT_CORE, unix.RLIMIT_NPROC, unix.RLIMIT_MEMLOCK,
		unix.RLIMIT_SIGPENDING, unix.RLIMIT_MSGQUEUE, unix.RLIMIT_NICE, unix.RLIMIT_RTPRIO} {
		more := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		err := unix.Prlimit(h.cmd.Process.Pid, resource, &more, nil)
		if errors.Is(err, unix.EPERM) {
			if err = unix.Prlimit(h.cmd.Process.Pid, resource, nil, &more); err == nil {
				more.Cur = more.Max
				err = unix.Prlimit(h.cmd.Process.Pid, resource, &more, nil)
			}
		}
		if err != nil {
			h.t.Fatal(resource, err)
		}
	}
}

// TestLimitsOfALogin: a job has not what the daemon may use, but what a login has, and
// the config's limits.
func TestLimitsOfALogin(t *testing.T) {
	t.Parallel()
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = files.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil { // from now on children have it too
		t.Fatal(err)
	}
	h := running(t, "")
	h.generous()
	tasks := uint64(0)
	if text, err := os.ReadFile("/proc/sys/kernel/threads-max"); err != nil {
		t.Fatal(err)
	} else if _, err := fmt.Sscan(string(text), &tasks); err != nil {
		t.Fatal(err)
	}
	j := h.wait(h.submit(shell("cat /proc/self/limits; ulimit -n 4096")).ID)
	out := h.output(j.ID, client.StdoutEvent)
	for name, most := range map[string][2]uint64{
		"Max stack size": {8 << 20, unix.RLIM_INFINITY}, "Max core file size": {0, 0}, "Max processes": {tasks / 2, tasks / 2},
		"Max open files": {1024, 4096}, "Max locked memory": {8 << 20, 8 << 20}, "Max pending signals": {tasks / 2, tasks / 2},
		"Max msgqueue size": {819200, 819200}, "Max nice priority": {0, 0}, "Max realtime priority": {0, 0},
	} {
		_, rest, found := strings.Cut(out, "\n"+name)
		line, _, _ := strings.Cut(rest, "\n")
		var soft, hard string
		if _, err := fmt.Sscan(line, &soft, &hard); err != nil || !found || amount(soft) > most[0] || amount(hard) > most[1] {
			t.Errorf("%s: %s, not %d", name, line, most)
		}
	}
	if files.Max >= 4096 && (!strings.Contains(strings.Join(strings.Fields(out), " "), "Max open files 1024 4096") || j.Result.Status != 0) {
		t.Errorf("%+v: %s", j.Result, out)
	}
	few := shell("ulimit -Sn; ulimit -Hn")
	few.Limits = &client.Limits{OpenFiles: 50}
	if out := h.output(h.wait(h.submit(few).ID).ID, client.StdoutEvent); out != "50\n50\n" {
		t.Errorf("with a limit of its own: %q", out)
	}
	many := shell("ulimit -Hn")
	many.Limits = &client.Limits{OpenFiles: 1 << 20}
	if out := h.output(h.wait(h.submit(many).ID).ID, client.StdoutEvent); files.Max >= 4096 && out != "4096\n" {
		t.Errorf("with a limit that is wider than the host's: %q", out)
	}
}

// amount is a limit as proc(5) has it.
func amount(text string) (n uint64) {
	if text == "unlimited" {
		return unix.RLIM_INFINITY
	}
	_, _ = fmt.Sscan(text, &n)
	return n
}
