package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"
)

const stranger = "65533" // a user with jobs

// strangers is root's daemon, and a job of an ordinary user's there that runs
// until its input ends; nil where the tests are not root's: then all jobs are the
// daemon's own user's.
func strangers(t *testing.T, config string, argv ...string) (h *host, id string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("a daemon that is not root's has no jobs of others")
		return nil, ""
	}
	h = running(t, "root-jobs: false\n"+config)
	return h, h.stranger(argv...)
}

// stranger submits a job of an ordinary user's.
func (h *host) stranger(argv ...string) string {
	h.t.Helper()
	text, err := json.Marshal(&client.Request{Argv: argv, Stdin: &client.Stdin{Open: true}})
	if err != nil {
		h.t.Fatal(err)
	}
	answer := h.as(stranger, "http://x/v1/jobs -d '"+string(text)+"'")
	_, rest, _ := strings.Cut(answer, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if id == "" {
		h.t.Fatal(answer)
	}
	h.runs(id)
	return id
}

// file is a file of a job's run.
func (h *host) file(id, name string) string {
	return filepath.Join(h.dir, "state", "jobs", id+".1", name)
}

// pid waits for a job to begin, and is its supervisor's.
func (h *host) pid(id string) string {
	h.t.Helper()
	h.until("the job to begin", func() bool {
		st, err := os.Stat(h.file(id, "begun"))
		return err == nil && st.Size() > 0
	})
	text, err := os.ReadFile(h.file(id, "pid"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// TestSupervisorIsOutOfReach: a supervisor is its user's, and other processes of the user's
// can neither trace it nor take what it has open: journal, result, orders.
func TestSupervisorIsOutOfReach(t *testing.T) {
	t.Parallel()
	h, id := strangers(t, "", "sh", "-c", "read line")
	if h == nil {
		return
	}
	pid := h.pid(id)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	four := strings.Repeat("\t"+stranger, 4)
	for _, line := range []string{"Uid:" + four, "Gid:" + four, "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"} {
		if !strings.Contains(string(status), "\n"+line+"\n") {
			t.Errorf("there is no %q in\n%s", line, status)
		}
	}
	for _, name := range []string{"fd/5", "exe", "cwd"} {
		cmd := exec.Command("setpriv", "--reuid="+stranger, "--regid="+stranger, "--clear-groups", "readlink", "/proc/"+pid+"/"+name)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("the user reads %s of its supervisor: %s", name, out)
		}
	}
}

// until waits for something that is soon so.
func (h *host) until(what string, so func() bool) {
	h.t.Helper()
	for range 3000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatal("this took too long: " + what)
}

// TestNothingIsLearned: what a job's supervisor compiled is no other's to use: it
// comes from a process of some user's.
func TestNothingIsLearned(t *testing.T) {
	t.Parallel()
	h := running(t, "ceiling: [builtin:ci]\n")
	id := h.submit(shell("true")).ID
	if j := h.wait(id); j.Result.Status != 0 {
		t.Errorf("%+v", j.Result)
	}
	list, err := os.ReadDir(h.file(id, "."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !strings.Contains(" alive begun control files journal log pid result work ", " "+e.Name()+" ") {
			t.Errorf("the run left a file %s", e.Name())
		}
	}
}
