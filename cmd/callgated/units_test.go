package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// unit gives the assignments of a unit in configs.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../configs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		keys[m[1]] = append(keys[m[1]], m[2])
	}
	return keys
}

// TestUnits has systemd itself read the units.
func TestUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		lacking(t, "systemd-analyze (Debian's package systemd)")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no"}
	for _, name := range []string{"callgated.service", "callgated.socket"} {
		text, err := os.ReadFile("../../configs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/callgated", self))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	cmd := exec.Command("systemd-analyze", args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestUnitsSuit: the units are what the daemon needs them to be.
func TestUnitsSuit(t *testing.T) {
	t.Parallel()
	service, socket := unit(t, "callgated.service"), unit(t, "callgated.socket")
	for key, want := range map[string]string{
		"Type": "notify", "KillMode": "process", "OOMPolicy": "continue", "StateDirectory": "callgated", "StateDirectoryMode": "0711",
		"TasksMax": "infinity", "Requires": "callgated.socket", "Also": "callgated.socket", "Restart": "on-failure", "NoNewPrivileges": "yes", "Delegate": "yes",
	} {
		if !slices.Equal(service[key], []string{want}) {
			t.Errorf("callgated.service: %s=%v, not %s", key, service[key], want)
		}
	}
	if !slices.Equal(socket["ListenStream"], []string{"/run/callgated/callgated.sock"}) || socket["SocketMode"][0] != "0666" || socket["DirectoryMode"][0] != "0755" {
		t.Errorf("callgated.socket: %v", socket)
	}
	for key := range service { // of what would hold for jobs too, or remove the socket
		if regexp.MustCompile(`^(Protect|Private|Restrict[A-Z]|SystemCall|MemoryDeny|LockPersonality|RuntimeDirectory|IPAddress|Device|ReadOnly|Inaccessible|User$)`).MatchString(key) {
			t.Errorf("callgated.service has %s", key)
		}
	}
}

// TestUnitPrivileges is for root: the daemon does its work with what the unit
// leaves it.
func TestUnitPrivileges(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "an ordinary user's daemon has no privileges to do without")
	}
	h := newHost(t, "root-jobs: false\n")
	cmd := h.command()
	set := strings.ToLower(strings.ReplaceAll(unit(t, "callgated.service")["CapabilityBoundingSet"][0], "CAP_", "+"))
	cmd.Args = append([]string{"setpriv", "--no-new-privs", "--bounding-set=-all," + strings.ReplaceAll(set, " ", ","), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = must(exec.LookPath("setpriv"))
	h.begin(cmd)
	r := shell("id -u; id -g; mkdir -p a/b; echo kept >a/b/file; chmod 0 a/b; exit 3")
	r.User, r.Collect = "65534", []string{"a/**"}
	r.Limits = &client.Limits{MemoryBytes: 1 << 30, Processes: 50, OpenFiles: 100, FileBytes: 1 << 20, CPUSeconds: 50, WallSeconds: 100}
	slow := shell("sleep 100")
	slow.User = "65534"
	ended, killed := h.submit(r), h.submit(slow)
	h.runs(killed.ID)
	for len(h.supervisors()) == 0 || h.wait(ended.ID) == nil {
		pause()
	}
	for _, pid := range h.supervisors() { // one that takes no order is killed
		if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Kill(t.Context(), killed.ID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended = h.wait(ended.ID)
	if killed, err := h.Wait(ctx, killed.ID); err != nil || killed.Result.Cause != client.ByKill {
		t.Fatalf("a job whose supervisor takes no order: %v", err)
	}
	if out := h.output(ended.ID, client.StdoutEvent); ended.Result.Status != 3 || out != "65534\n65534\n" {
		t.Errorf("%+v: %s", ended.Result, out)
	}
	for _, j := range []*client.Job{ended, killed} {
		if err := h.Remove(t.Context(), j.ID); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	theirs := filepath.Join(h.dir, "theirs")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, 1001, 1001); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(h.as("1001", `http://x/v1/jobs -d '{"argv": ["touch", "made"], "folder": "`+theirs+`"}'`), `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if j := h.wait(id); j.Result.Status != 0 {
		t.Errorf("a job in its user's folder: %+v: %s", j.Result, h.output(id, client.StderrEvent))
	}
}
