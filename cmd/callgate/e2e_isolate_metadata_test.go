package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// metadataPolicy is one that Landlock holds but for changes of metadata; %[1]s is
// its folder, %[2]s the tracee's.
const metadataPolicy = `callgate: 1
default: deny
files:
  - read: [/usr, /etc, /bin, /lib, /lib64, /proc, %[1]s, %[2]s]
  - write: [%[1]s/w, /dev/null]
compat: {i386: same, x32: same}
`

// changeMetadata changes the metadata of argv[1], in all ways that there are, and
// prints each way's error or "done".
const changeMetadata = `import ctypes, os, sys
name = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
def call(nr, *args):
    if libc.syscall(nr, *args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def held(flags, use):
    fd = os.open(name, flags)
    use(fd)
me, group, at = os.getuid(), os.getgid(), os.open(os.path.dirname(name), os.O_PATH)
path, base = name.encode(), os.path.basename(name)
size16 = ctypes.c_ulonglong * 2
ways = {
    "chmod": lambda: os.chmod(name, 0o600), "fchmodat": lambda: os.chmod(base, 0o600, dir_fd=at),
    "fchmodat2": lambda: call(452, -100, path, 0o600, 0x100),
    "fchmod": lambda: held(os.O_RDONLY, lambda fd: os.fchmod(fd, 0o600)),
    "proc": lambda: held(os.O_PATH, lambda fd: os.chmod("/proc/self/fd/%d" % fd, 0o600)),
    "chown": lambda: os.chown(name, me, group), "lchown": lambda: os.lchown(name, me, group),
    "fchown": lambda: held(os.O_RDONLY, lambda fd: os.fchown(fd, me, group)),
    "fchownat empty": lambda: held(os.O_PATH, lambda fd: call(260, fd, b"", me, group, 0x1000)),
    "utime": lambda: os.utime(name, (1, 1)), "utimensat": lambda: os.utime(base, (1, 1), dir_fd=at),
    "futimens": lambda: held(os.O_RDONLY, lambda fd: os.utime(fd, (1, 1))),
    "setxattr": lambda: os.setxattr(name, "user.a", b"b"), "lsetxattr": lambda: os.setxattr(name, "user.a", b"b", follow_symlinks=False),
    "fsetxattr": lambda: held(os.O_RDONLY, lambda fd: os.setxattr(fd, "user.a", b"b")),
    "removexattr": lambda: os.removexattr(name, "user.a"),
}
for way, do in ways.items():
    try:
        do()
        print(way, "done")
    except OSError as e:
        print(way, e.strerror)
`

// metadataTree makes a folder with a file that may be written, w/f, and one that
// may not, r/f, to which w/link leads.
func metadataTree(t *testing.T) (dir, policy string) {
	t.Helper()
	dir = openFolder(t)
	for _, sub := range []string{"w", "r"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, sub, "f"), "whole")
	}
	if err := os.Symlink("../r/f", filepath.Join(dir, "w", "link")); err != nil {
		t.Fatal(err)
	}
	return dir, fmt.Sprintf(metadataPolicy, dir, filepath.Dir(tracee(t)))
}

// TestIsolateMetadata: read-only mounts hold changes of metadata, which Landlock
// does not, and nothing stops for them: a stop's answer would be EACCES.
func TestIsolateMetadata(t *testing.T) {
	t.Parallel()
	dir, policy := metadataTree(t)
	before := seen(t, dir+"/r/f")
	for _, what := range []string{"mount", "all"} {
		for _, name := range []string{"/r/f", "/w/link", "/w/../r/f"} {
			got := isolated(t, what, policy, dir, "/usr/bin/python3", "-c", changeMetadata, dir+name)
			if n := strings.Count(got.stdout, "Read-only file system\n"); got.status != 0 || n != 16 && name != "/w/link" {
				t.Errorf("%s: %s: %v", what, name, got)
			}
			if strings.Contains(got.stdout, "Permission") || seen(t, dir+"/r/f") != before {
				t.Errorf("%s: %s: %v", what, name, got)
			}
		}
		// Another process's mounts are the caller's.
		outside := fmt.Sprintf("/proc/%d/root%s/r/f", os.Getpid(), dir)
		got := isolated(t, what, policy, dir, "/usr/bin/python3", "-c", strings.Replace(changeMetadata, "os.open(os.path.dirname(name), os.O_PATH)", "-1", 1), outside)
		if !strings.Contains(got.stdout, "chmod ") || strings.Contains(got.stdout, "done") || seen(t, dir+"/r/f") != before {
			t.Errorf("%s: %s: %v", what, outside, got)
		}
		got = isolated(t, what, policy, dir, "/usr/bin/python3", "-c", changeMetadata, dir+"/w/f")
		if n := strings.Count(got.stdout, " done\n"); n != 16 && (n != 12 || strings.Count(got.stdout, "not supported") != 4) {
			t.Errorf("what may be written: %v", got)
		}
		for _, nr := range []string{"native 90", "int80 15"} {
			got := isolated(t, what, policy, dir, tracee(t), strings.Fields(nr)[0], strings.Fields(nr)[1], "s:"+dir+"/r/f", "0600")
			if !strings.Contains(got.stdout, "EROFS") || seen(t, dir+"/r/f") != before {
				t.Errorf("%s: %s: %v", what, nr, got)
			}
		}
	}
}

// seen is what a file's metadata are.
func seen(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("stat", "-c", "%a %u %g %Y %Z", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestIsolateMetadataOfItsOwn: nor do those of the sandbox's own file systems
// change where the policy does not let them be written.
func TestIsolateMetadataOfItsOwn(t *testing.T) {
	t.Parallel()
	dir, policy := metadataTree(t)
	places := "/ /tmp /dev /dev/shm /dev/zero /dev/pts /dev/pts/ptmx /dev/ptmx /proc /proc/self/status /proc/sys /sys"
	for _, what := range []string{"mount", "all"} {
		got := isolated(t, what, policy, dir, "sh", "-c", "for f in "+places+"; do chmod 1777 $f || touch $f || chown $(id -u) $f || continue; echo $f; done")
		if got.stdout != "" {
			t.Errorf("%s: %v", what, got)
		}
		got = isolated(t, what, strings.Replace(policy, "/dev/null", "/dev/null, /tmp, /dev/shm", 1), dir, "sh", "-c",
			"for f in /tmp /dev/shm; do echo x >$f/x && chmod 755 $f/x && touch $f/x && echo $f; done")
		got.want(t, 0, "/tmp\n/dev/shm\n")
	}
}

// TestIsolateMetadataHandedDown: a file that was handed down is on the caller's
// mounts. Then the supervisor decides as ever.
func TestIsolateMetadataHandedDown(t *testing.T) {
	t.Parallel()
	dir, policy := metadataTree(t)
	file := filepath.Join(dir, "policy.yaml")
	writeFile(t, file, policy)
	before := seen(t, dir+"/r/f")
	for redirect, fd := range map[string]string{"<r/f": "0", "7<r/f": "7", "8>>r/f": "8"} {
		for _, change := range []string{"chmod 600 /proc/self/fd/", "touch /dev/fd/", "/usr/bin/python3 -c 'import os, sys; os.fchmod(int(sys.argv[1]), 0o600)' "} {
			flags := ""
			if fd != "0" {
				flags = "--keep-fd " + fd
			}
			script := "cd " + dir + "; callgate run -q -p " + file + " --isolate all " + flags + " -- " + change + fd + " " + redirect
			out, err := exec.Command("bash", "-c", script).CombinedOutput()
			if err == nil || seen(t, dir+"/r/f") != before {
				t.Errorf("%s: %v: %s", script, err, out)
			}
		}
	}
}

// TestIsolateSharedMemory: /dev/shm is the sandbox's own, but for what the policy
// names there and the working folder, as /tmp is.
func TestIsolateSharedMemory(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/dev/shm", "callgate-test")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	writeFile(t, dir+"/f", "whole")
	policy := "callgate: 1\ndefault: deny\nfiles: [{read: /}, {write: [" + dir + ", /dev/null]}]\n"
	isolated(t, "mount", policy, dir, "sh", "-c", "cat f; echo x >g && chmod 600 g; cd /dev/shm; echo *").want(t, 0, "whole"+filepath.Base(dir)+"\n")
	if !exists(dir + "/g") {
		t.Error("what was to be written is not there")
	}
	isolated(t, "mount", openPolicy, dir, "sh", "-c", "cat f; chmod 600 f || echo kept").want(t, 0, "wholekept\n")
}
