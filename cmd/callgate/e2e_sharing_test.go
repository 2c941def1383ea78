package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// sharedWorld is a folder with a/f, which may be opened, and b/f, which may not.
func sharedWorld(t *testing.T) (dir, policy string) {
	t.Helper()
	dir = openFolder(t)
	for name, text := range map[string]string{"a/f": "nothing", "b/f": "secret"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		writeFile(t, filepath.Join(dir, name), text)
	}
	return dir, "callgate: 1\ndefault: allow\nfiles:\n  - deny: " + dir + "/b/f\n  - read: /\n  - write: " + dir + "\n"
}

func sharingTries(t *testing.T, n int) string {
	if full := fullTries(t); full > 0 {
		n = full
	}
	return strconv.Itoa(n)
}

// TestSharing: a process that has another one's descriptors or working folder is known
// to, however it was made: the high half of the register that has the call's number
// means nothing to the kernel.
func TestSharing(t *testing.T) {
	for name, flags := range map[string]int{"files": unix.CLONE_FILES, "fs": unix.CLONE_FS} {
		for _, nr := range []int{unix.SYS_CLONE, 1<<32 | unix.SYS_CLONE, -1<<32 | unix.SYS_CLONE} {
			dir, policy := sharedWorld(t)
			tr := trial{policy: policy, quiet: true, dir: dir}
			got := tr.run(t, tracee(t), "sharing", strconv.Itoa(nr), strconv.Itoa(flags), sharingTries(t, 3000))
			if got.status != 0 || got.stdout != "got 0\n" {
				t.Errorf("%s, %#x: %v", name, nr, got)
			}
		}
	}
}

// TestSharingExec: likewise where nobody tells of the child, because the thread that
// made it dies of its process's execve.
func TestSharingExec(t *testing.T) {
	dir, policy := sharedWorld(t)
	got := trial{policy: policy, quiet: true, dir: dir}.run(t, tracee(t), "sharing-exec", sharingTries(t, 60))
	if got.status != 0 || got.stdout != "got 0\n" {
		t.Error(got)
	}
}
