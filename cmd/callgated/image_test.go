package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestImages is for root: each target of the Dockerfile, its build stage replaced by
// files of the right names, has what it is to have and nothing else.
func TestImages(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "without root podman takes subordinate user ids, which few have")
	}
	if _, err := exec.LookPath("podman"); err != nil {
		lacking(t, "podman")
	}
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, targets, found := strings.Cut(string(text), "\nFROM scratch")
	if !found {
		t.Fatal("the Dockerfile has no stage from scratch")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"callgate": "1", "callgated": "2", "Makefile": "3",
		"Dockerfile": "FROM scratch AS build\nCOPY . /src/bin/\nFROM scratch" + targets,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	trivial := filepath.Join(dir, "trivial")
	if err := os.WriteFile(trivial, []byte("FROM scratch\nCOPY Makefile /\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := podman("build", "-q", "--layers=false", "-f", trivial, "-t", "callgated-test-trivial", dir); err != nil {
		skip(t, "podman builds no image here: "+out) // which nobody can promise, CI or not
	}
	defer podman("rmi", "-f", "callgated-test-trivial")
	for _, tt := range []struct{ target, files, entry string }{
		{"", "callgate", "[/callgate]"}, {"callgate", "callgate", "[/callgate]"}, {"callgated", "callgate callgated", "[/callgated]"},
	} {
		image := fmt.Sprintf("callgated-test-%d%s", os.Getpid(), tt.target)
		args := []string{"build", "-q", "--layers=false", "-t", image, dir}
		if tt.target != "" {
			args = append(args, "--target", tt.target)
		}
		if out, err := podman(args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		defer podman("rmi", "-f", image)
		if out, err := podman("inspect", "--format", "{{.Config.Entrypoint}}", image); err != nil || strings.TrimSpace(out) != tt.entry {
			t.Errorf("target %q begins with %s, not %s: %v", tt.target, out, tt.entry, err)
		}
		archive := filepath.Join(dir, "image"+tt.target)
		if out, err := podman("save", "-q", "--format", "docker-dir", "-o", archive, image); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if files := layers(t, archive); files != tt.files {
			t.Errorf("target %q has %s, not %s", tt.target, files, tt.files)
		}
	}
}

func podman(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "podman", append([]string{"--runtime", "runc", "--cgroup-manager", "cgroupfs"}, args...)...).CombinedOutput()
	return string(out), err
}

// layers lists the files of an image that was saved as a folder.
func layers(t *testing.T, dir string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, layer := range list {
		if out, err := exec.Command("tar", "-tf", layer).Output(); err == nil {
			files = append(files, strings.Fields(string(out))...)
		}
	}
	return strings.Join(files, " ")
}
