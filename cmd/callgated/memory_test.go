package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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

// TestMemoryOfUsersIsKept is for root: a user's job that may write to all of the cgroup
// file system cannot change its group or move to one above, and one that moves to a
// group of its user's own is ended.
func TestMemoryOfUsersIsKept(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "jobs of other users take root")
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	group := regexp.MustCompile(`(?m)^\d+:memory:(.*)$`).FindSubmatch(own)
	if group == nil {
		skip(t, "without version 1 of cgroups a user cannot leave root's")
	}
	parent := "/sys/fs/cgroup/memory" + string(group[1])
	h := running(t, "root-jobs: false\n")
	users := filepath.Join(parent, filepath.Base(h.dir))
	if err := os.Mkdir(users, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.kill()
		h.killRuns()
		h.until("the user's group is empty", func() bool { return os.Remove(users) == nil })
	})
	for _, file := range []string{users, filepath.Join(users, "cgroup.procs")} {
		if err := os.Chown(file, 1003, 1003); err != nil {
			t.Fatal(err)
		}
	}
	script := `g=/sys/fs/cgroup/memory$(sed -n "s/^[0-9]*:memory://p" /proc/self/cgroup)
		echo 4000000000 >$g/memory.memsw.limit_in_bytes; echo 4000000000 >$g/memory.limit_in_bytes && exit 3
		echo $$ >` + parent + `/cgroup.procs && exit 4
		case $g in *callgate-*) ;; *) exit 5;; esac
		echo kept; echo $$ >` + users + `/cgroup.procs || exit 6; sleep 1000`
	text, err := json.Marshal(&client.Request{Argv: []string{"sh", "-c", script}, Policies: openShell("").Policies, Limits: &client.Limits{MemoryBytes: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "job"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	answer := h.as("1003", "http://x/v1/jobs -d @job")
	id, _, _ := strings.Cut(strings.TrimPrefix(answer, `{"id":"`), `"`)
	j := h.wait(id)
	if j.Result.Cause != client.ByLimit || j.Result.Limit != "memory_bytes" || h.output(id, client.StdoutEvent) != "kept\n" {
		t.Errorf("%s: %+v\n%s%s", answer, j.Result, h.output(id, client.StdoutEvent), h.output(id, client.StderrEvent))
	}
}
