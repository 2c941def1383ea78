package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func made(t *testing.T) *Group {
	t.Helper()
	g, err := New(64 << 20)
	if err != nil {
		if os.Geteuid() == 0 && strings.Contains(mounted(t), " - cgroup cgroup ") {
			t.Fatal(err)
		}
		t.Logf("this user can make no cgroup here, which is said: %v", err)
		return nil
	}
	return g
}

func mounted(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestGroup(t *testing.T) {
	g := made(t)
	if g == nil {
		return
	}
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(g.path, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if g.Kills() != 0 {
		t.Errorf("%d kills", g.Kills())
	}
	if err := g.Remove(); err != nil || there(g.path) {
		t.Errorf("removed: %v", err)
	}
}

// TestSweep: groups of the dead go, those of the living stay.
func TestSweep(t *testing.T) {
	dead, living := made(t), made(t)
	if dead == nil {
		return
	}
	unix.Close(dead.fd)
	third := made(t)
	if there(dead.path) || !there(living.path) {
		t.Errorf("the dead one is there: %v; the living one: %v", there(dead.path), there(living.path))
	}
	for _, g := range []*Group{living, third} {
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestSweepKeepsOthers: no link is followed, and what is not ours stays.
func TestSweepKeepsOthers(t *testing.T) {
	parent, target := t.TempDir(), t.TempDir()
	link := filepath.Join(parent, "callgate-ABCDEFGHIJKLMNOP")
	other := filepath.Join(parent, "callgate-x")
	if err := errors.Join(os.Symlink(target, link), os.Mkdir(other, 0o755)); err != nil {
		t.Fatal(err)
	}
	sweep(parent)
	if _, err := claim(link); err == nil || !there(target) || !there(other) {
		t.Errorf("a link was followed: %v", err)
	}
}

func TestFind(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"user.slice/app.slice/own", "none/own", "mem/job"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"cgroup.subtree_control": "cpu pids\n", "user.slice/cgroup.subtree_control": "cpu memory pids\n",
		"user.slice/cgroup.procs": "", "mem/job/cgroup.procs": "",
	} {
		if err := os.WriteFile(filepath.Join(top, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unified := "30 24 0:26 / " + top + " rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	memory := "31 24 0:27 /docker " + top + "/mem rw - cgroup cgroup rw,memory\n"
	for _, c := range []struct{ own, mounts, parent, version string }{
		{"0::/user.slice/app.slice/own\n", unified, top + "/user.slice", "cgroup v2"},
		{"0::/none/own\n", unified, "", ""},
		{"4:memory:/docker/job\n0::/none/own\n", unified + memory, top + "/mem/job", "cgroup v1"},
		{"4:memory:/elsewhere\n", memory, "", ""},
		{"4:cpu,memory:/dockerx\n", memory, "", ""},
		{"0::/user.slice/app.slice/own\n", "", "", ""},
	} {
		parent, k, err := find(c.own, c.mounts)
		if parent != c.parent && c.parent != "" || k.name != c.version || (err == nil) != (c.parent != "") {
			t.Errorf("%q: %s %s, %v; want %s %s", c.own, parent, k.name, err, c.parent, c.version)
		}
	}
}
