package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// podmanPolicy is for the program of testdata/tracee in a container that has
// nothing beside it.
const podmanPolicy = `callgate: 1
default: deny
compat: {i386: same, x32: same}
environment: {private-tmp: true}
files:
  - deny: /secret
    errno: ENOENT
  - read: [/tracee, /etc]
  - write: [/workspace, $TMPDIR]
`

// TestPodman: callgate enforces paths inside a container with podman's default
// profile, whose seccomp filter answers some calls before callgate's does (mseal
// with ENOSYS), and whose file system may be an overlay.
func TestPodman(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "without root podman takes subordinate user ids, which few have")
	}
	podman := newPodman(t)
	for _, tt := range []struct {
		argv []string
		want string
	}{
		{[]string{"native", "2", "s:/etc/passwd", "0", "0"}, "native 2 = ok"},
		{[]string{"native", "2", "s:/secret/key", "0", "0"}, "native 2 = -ENOENT"},
		{[]string{"native", "4", "s:/secret/key", "0"}, "native 4 = -ENOENT"},
		{[]string{"native", "83", "s:/workspace/new", "0700"}, "native 83 = 0"},
		{[]string{"native", "83", "s:/new", "0700"}, "native 83 = -EACCES"},
		{[]string{"int80", "39", "s:/new", "0700"}, "int80 39 = -EACCES"},
	} {
		out, err := podman.run(append([]string{"/callgate", "run", "-q", "-p", "/policy.yaml", "--", "/tracee"}, tt.argv...)...)
		if got := strings.TrimSpace(out); err != nil || got != tt.want && !(strings.HasSuffix(tt.want, "ok") && !strings.Contains(got, "-E")) {
			t.Errorf("%q: want %q, got %q, error %v", tt.argv, tt.want, got, err)
		}
	}
	out, err := podman.run("/callgate", "run", "-q", "-p", "/policy.yaml", "--isolate", "pid", "--", "/tracee", "exit", "0")
	if err == nil || !strings.Contains(out, "callgate: cannot isolate pid: ") ||
		!strings.Contains(out, "still decides what /policy.yaml says of syscalls, files") {
		t.Errorf("isolation: %v, %q", err, out)
	}
}

// podman runs commands in containers of an image that is made from scratch.
type podman struct{ flags []string }

func newPodman(t *testing.T) *podman {
	t.Helper()
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			lacking(t, program)
		}
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-tags", "netgo,osusergo", "-ldflags", `-linkmode external -extldflags "-static"`, "-o", filepath.Join(dir, "callgate"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := os.ReadFile(tracee(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tracee"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "policy.yaml"), podmanPolicy)
	writeFile(t, filepath.Join(dir, "file"), "root:x:0:0::/:/bin/sh\n")
	writeFile(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY callgate tracee policy.yaml /\nCOPY file /etc/passwd\nCOPY file /secret/key\nCOPY file /workspace/file\nCOPY file /tmp/file\n")
	p := &podman{[]string{"--runtime", "runc", "--cgroup-manager", "cgroupfs"}}
	const image = "callgate-test"
	if out, err := p.run("build", "-q", "-t", image, dir); err != nil {
		// Nobody can promise that containers start where the tests run, CI or not.
		skip(t, "podman builds no image: "+firstLine(out))
	}
	t.Cleanup(func() { p.run("rmi", "-f", image) })
	// Limits as low as these can be set everywhere.
	p.flags = append(p.flags, "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", image)
	if out, err := p.run("/callgate", "version"); err != nil {
		skip(t, "podman starts no container: "+firstLine(out))
	}
	return p
}

func (p *podman) run(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "podman", append(append([]string{}, p.flags...), argv...)...).CombinedOutput()
	return string(out), err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
