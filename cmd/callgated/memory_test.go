package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"callgate/supervisor/cgroup"
	"callgate/supervisor/client"
)

// TestMemoryOfUsers is for root: the memory of a user's job is held by a cgroup, which the
// user could not make and does not own, and which goes after the job.
func TestMemoryOfUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "jobs of other users take root")
	}
	if _, err := cgroup.Probe(); err != nil {
		skip(t, "no cgroup can be made here: "+err.Error())
	}
	h := running(t, "root-jobs: false\nlimits: {memory: 2GiB}\n")
	answer := h.as("1003", `http://x/v1/jobs -d '{"argv": ["sh", "-c", "cat /proc/self/cgroup; exec python3 -c \"b\\\"x\\\" * 10**9\""],
		"limits": {"memory_bytes": 67108864}}'`)
	id, _, _ := strings.Cut(strings.TrimPrefix(answer, `{"id":"`), `"`)
	j := h.wait(id)
	if j.Result.Cause != client.ByLimit || j.Result.Limit != "memory_bytes" || j.Result.Status != 137 {
		t.Errorf("%s: %+v, %+v", answer, j, j.Result)
	}
	if j.Usage.MaxRSSBytes > 100<<20 { // pages of files among it
		t.Errorf("it held %d bytes", j.Usage.MaxRSSBytes)
	}
	name := regexp.MustCompile("callgate-[A-Z2-7]{16}").FindString(h.output(id, client.StdoutEvent))
	if name == "" {
		t.Fatalf("the job is in no group:\n%s", h.output(id, client.StdoutEvent))
	}
	h.until("the group is gone", func() bool {
		out, err := exec.Command("find", "/sys/fs/cgroup", "-name", name).Output()
		return err == nil && len(out) == 0
	})
}
