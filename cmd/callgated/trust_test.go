package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
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
		if err == nil && st.Size() > 0 {
			st, err = os.Stat(h.file(id, "pid")) // the daemon's to write meanwhile
			return err == nil && st.Size() > 0
		}
		return false
	})
	text, err := os.ReadFile(h.file(id, "pid"))
	if err != nil {
		h.t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(text), " ")
	return pid
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
		if !strings.Contains(" alive begun control files journal log pid result ", " "+e.Name()+" ") {
			t.Errorf("the run left a file %s", e.Name())
		}
	}
}

// forge stops a supervisor before its end, writes what its user might have if it
// could, and kills it.
func (h *host) forge(id, name string, forge func(file string) error) {
	h.t.Helper()
	pid, err := strconv.Atoi(h.pid(id))
	if err == nil {
		err = forge(h.file(id, name))
	}
	if err == nil {
		err = unix.Kill(pid, unix.SIGKILL)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestForged: whatever stands in the files that a job's user's process writes, the
// daemon lives, and the job ends.
func TestForged(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 1\n") // a job that does not end would be in the others' way
	for _, c := range []struct {
		name, file string
		forge      func(file string) error
		want       client.Cause
	}{
		{"a sparse result", "result", func(f string) error { return os.Truncate(f, 8<<40) }, client.ByLoss},
		{"a sparse log", "log", func(f string) error { return os.Truncate(f, 8<<40) }, client.ByLoss},
		{"a long message", "result", func(f string) error {
			return os.WriteFile(f, []byte(`{"cause":"exit","status":0,"message":"`+strings.Repeat("m", 9000000)+"\"}\n"), 0o600)
		}, client.ByLoss},
		{"a cause of its own", "result", func(f string) error { return os.WriteFile(f, []byte(`{"cause":"won","status":0}`+"\n"), 0o600) }, client.ByLoss},
	} {
		id := h.submit(shell("sleep 100")).ID
		h.forge(id, c.file, c.forge)
		if j := h.wait(id); j.Result.Cause != c.want || len(j.Result.Message) > 10000 {
			t.Errorf("%s: %.300v", c.name, j.Result)
		}
	}
	h.kill()
	h.start()
	if j := h.wait(h.submit(shell("true")).ID); j.Result.Status != 0 {
		t.Errorf("%+v", j.Result)
	}
}

// TestKilledWithoutAWord: a job that ran was not killed before it ran.
func TestKilledWithoutAWord(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	id := h.submit(shell("sleep 100")).ID
	pid, err := strconv.Atoi(h.pid(id))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil { // it takes no orders
		t.Fatal(err)
	}
	if err := h.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if j := h.wait(id); *j.Result != (client.Result{Cause: client.ByKill, Status: 137, Signal: "SIGKILL"}) {
		t.Errorf("%+v", j.Result)
	}
}

// TestStoppedSupervisor: a user that stops its supervisor, or holds what tells of
// its end, has no job that cannot be killed, by the daemon that started it or the next.
func TestStoppedSupervisor(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 3\n")
	for _, again := range []bool{false, true} {
		id := h.submit(shell("sleep 100")).ID
		pid, err := strconv.Atoi(h.pid(id))
		if err != nil {
			t.Fatal(err)
		}
		alive, err := os.OpenFile(h.file(id, "alive"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer alive.Close()
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if again {
			h.kill()
			h.start()
		}
		if err := h.Kill(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if j := h.wait(id); *j.Result != (client.Result{Cause: client.ByKill, Status: 137, Signal: "SIGKILL"}) {
			t.Errorf("%+v", j.Result)
		}
	}
}

// TestRemovedByItsUser: what a job's user may not remove, root does not for it.
func TestRemovedByItsUser(t *testing.T) {
	t.Parallel()
	h, id := strangers(t, "slots: 4\n", "sh", "-c", "mkdir -p a/b/c; touch a/b/c/f; chmod 0 a/b/c a/b; chmod 0500 a; chmod 0 .; read line")
	if h == nil {
		return
	}
	other := h.stranger("sh", "-c", "mkdir mine; read line")
	h.pid(id)
	h.pid(other)
	theirs := filepath.Join(h.file(other, "work"), "mine", "theirs")
	h.until("mkdir", func() bool { return os.Mkdir(theirs, 0o755) == nil })
	for name, do := range map[string]error{
		"file":  os.WriteFile(filepath.Join(theirs, "file"), []byte("kept"), 0o644),
		"owner": os.Chown(theirs, 65532, 65532),
	} {
		if do != nil {
			t.Fatal(name, do)
		}
	}
	h.until("chmod", func() bool { st, err := os.Stat(h.file(id, "work")); return err == nil && st.Mode().Perm() == 0 })
	for _, id := range []string{id, other} {
		if err := h.Kill(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		h.wait(id)
	}
	h.cleared(id)
	if err := h.Remove(t.Context(), id); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(h.file(id, ".")); err == nil {
		t.Error("the job's folder is there")
	}
	if err := h.Remove(t.Context(), other); err == nil {
		t.Error("a folder with another's was removed")
	}
	if text, err := os.ReadFile(filepath.Join(theirs, "file")); string(text) != "kept" {
		t.Errorf("another's file: %q, %v", text, err)
	}
}

// TestFolderIsNotTheDaemons: no job works in the daemon's folder but in its own there.
func TestFolderIsNotTheDaemons(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	first := h.submit(shell("sleep 100")).ID
	h.pid(first)
	state := filepath.Join(h.dir, "state")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{state, state + "/jobs/" + first + ".1/work", h.dir + "/x/../state/jobs"} {
		r := shell("true")
		r.Folder = folder
		if _, err := h.Submit(t.Context(), r, ""); !errors.Is(err, client.Invalid) {
			t.Errorf("%s: %v", folder, err)
		}
		for _, copied := range []bool{false, true} {
			r.Folder, r.Copy = link+"/jobs/"+first+".1/work", copied
			if j := h.wait(h.submit(r).ID); j.Result.Cause != client.ByFailure || j.Result.Message != "the working folder is the daemon's own, or in it" {
				t.Errorf("%s: %+v", r.Folder, j.Result)
			}
		}
	}
	outside := shell("true")
	outside.Folder = h.dir
	if j := h.wait(h.submit(outside).ID); j.Result.Status != 0 {
		t.Errorf("%+v", j.Result)
	}
}

// TestOOMScore: a daemon that the OOM killer spares runs jobs that it does not.
func TestOOMScore(t *testing.T) {
	t.Parallel()
	h, id := strangers(t, "", "sh", "-c", "read line")
	if h == nil {
		return
	}
	h.pid(id)
	if err := os.WriteFile("/proc/"+strconv.Itoa(h.cmd.Process.Pid)+"/oom_score_adj", []byte("-500"), 0); errors.Is(err, unix.EACCES) {
		t.Log("root lacks CAP_SYS_RESOURCE here, as in most containers: no process can be spared")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{h.pid(h.stranger("sh", "-c", "read line")), h.pid(h.submit(shell("sleep 100")).ID)} {
		if text, err := os.ReadFile("/proc/" + file + "/oom_score_adj"); string(text) != "0\n" {
			t.Errorf("%q, %v", text, err)
		}
	}
}
