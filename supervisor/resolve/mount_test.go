package resolve

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// again runs this test once more in another process.
func again(t *testing.T, attr *syscall.SysProcAttr, dir string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.SysProcAttr, cmd.Dir = attr, "/"
	cmd.Env = append(os.Environ(), againEnv+"=1", "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

const againEnv = "RESOLVE_AGAIN"

// asUser runs this test once more as an ordinary user.
func asUser(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "resolve")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chown(dir, 65534, 65534))
	again(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, dir)
}

// Mounts are made in a mount namespace of the test's own.
func TestMounts(t *testing.T) {
	if os.Getenv(againEnv) == "" {
		attr := &syscall.SysProcAttr{}
		if os.Geteuid() != 0 {
			attr = rootOfItsOwn()
		}
		attr.Cloneflags |= syscall.CLONE_NEWNS
		again(t, attr, t.TempDir())
		return
	}
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	top := tree(t, "m/", "d/", "d/f", "b/", "b/sub/", "n/", "under/", "under/f", "to-m -> m", "p/")
	t.Cleanup(func() {
		for _, name := range []string{"m", "b/sub", "n", "under", "p"} {
			unix.Unmount(top+"/"+name, unix.MNT_DETACH)
		}
	})
	must(t, unix.Mount("none", top+"/m", "tmpfs", 0, ""))
	must(t, os.Mkdir(top+"/m/in", 0o755))
	must(t, os.Symlink("../../d/f", top+"/m/in/out"))
	must(t, unix.Mount(top+"/d", top+"/b/sub", "", unix.MS_BIND, ""))
	must(t, unix.Mount("none", top+"/n", "tmpfs", unix.MS_NOSYMFOLLOW, ""))
	must(t, os.WriteFile(top+"/n/f", nil, 0o600))
	must(t, os.Symlink("f", top+"/n/l"))
	must(t, unix.Mount("/proc", top+"/p", "", unix.MS_BIND|unix.MS_REC, ""))
	t.Chdir(top + "/m/in")
	for how, r := range resolvers(t) {
		noLeak(t, func() {
			for _, name := range []string{"out", "..", "../..", "../../d", "../../to-m/in/../../d/f", "../../b/sub/f", "../../b/sub/..", "../../b/sub/../../d/f",
				"../../n/f", "../../n/l", "../../n/l/", "../../n/l/x", "../../p/self", "../../p/self/cwd/out", "../../p/thread-self/root/"} {
				for _, follow := range []bool{true, false} {
					compare(t, how, r, unix.AT_FDCWD, name, follow)
				}
			}
		})
		res, err := r.Name(me(), unix.AT_FDCWD, top+"/b/sub/f", true)
		if err != nil || res.Path != top+"/b/sub/f" {
			t.Errorf("%s: %+v, %v", how, res, err)
		}
	}
	mountedOver(t, top)
}

// A folder on which something is mounted later has no name any more.
func mountedOver(t *testing.T, top string) {
	t.Chdir(top + "/under")
	must(t, unix.Mount("none", top+"/under", "tmpfs", 0, ""))
	for how, r := range resolvers(t) {
		if _, err := r.Name(me(), unix.AT_FDCWD, "f", true); err != unix.EACCES {
			t.Errorf("%s: %v", how, err)
		}
		if res, err := r.Name(me(), unix.AT_FDCWD, ".", true); err != nil || res.Object != "unreachable" || res.Was != top+"/under" {
			t.Errorf("%s: %+v, %v", how, res, err)
		}
		if res, err := r.Name(me(), unix.AT_FDCWD, "../d/f", true); err != nil || res.Path != top+"/d/f" {
			t.Errorf("%s: %+v, %v", how, res, err)
		}
		if b, err := r.Base(me(), unix.AT_FDCWD); err != unix.EACCES {
			t.Errorf("%s: %q, %v", how, b, err)
		}
	}
}
