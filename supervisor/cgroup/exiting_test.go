package cgroup

import (
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExiting: a process that has ended is one that ends, whoever waits for it;
// this one goes on.
func TestExiting(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if !exiting("/proc/" + strconv.Itoa(pid)) {
		t.Error("a zombie goes on")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !exiting("/proc/" + strconv.Itoa(pid)) {
		t.Error("a process that is gone goes on")
	}
	if exiting("/proc/self") {
		t.Error("this process ends")
	}
	if !(&Group{path: "/nowhere/such"}).Holds(pid) {
		t.Error("a process that is gone has left its group")
	}
	if (&Group{path: "/nowhere/such"}).Holds(unix.Getpid()) {
		t.Error("this process is in a group that there is not")
	}
}
