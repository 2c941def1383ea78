package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNamesHeld: a thread exchanges the descriptor that a call acts on for one of
// a file that may only be read.
func TestNamesHeld(t *testing.T) {
	eachHeld(t, func(t *testing.T, argv []string) {
		c, changed := runWorld(t, "", append(argv, heldTries(argv, tried(t, 20000))))
		if c.got > 0 || changed != "" {
			t.Errorf("%d times it got what is denied\n%s", c.got, changed)
		}
		if c.made+c.refused == 0 {
			t.Error("nothing was tried")
		}
	})
}

// TestNamesHeldBite: the same where calls are only checked, as an ordinary user some.
func TestNamesHeldBite(t *testing.T) {
	build := checkOnly(t)
	eachHeld(t, func(t *testing.T, argv []string) {
		if some := argv[0] == "held-exec" || argv[1] == "fchmod"; !some && os.Geteuid() != 0 {
			return
		}
		if c, changed := runWorld(t, build, append(argv, heldTries(argv, 8000))); c.got == 0 && changed == "" {
			t.Error("it does not even succeed where calls are only checked")
		}
	})
}

func heldTries(argv []string, n int) string {
	if argv[0] == "held-exec" { // 50 calls each
		return itoa(n / 100)
	}
	return itoa(n)
}

func eachHeld(t *testing.T, do func(t *testing.T, argv []string)) {
	out, err := exec.Command(tracee(t), "held-list").Output()
	must(t, err)
	for _, call := range strings.Fields(string(out)) {
		t.Run(call, func(t *testing.T) { do(t, []string{"held", call}) })
	}
	for _, how := range []string{"link", "empty"} {
		t.Run("exec-"+how, func(t *testing.T) { do(t, []string{"held-exec", how}) })
	}
}

func runWorld(t *testing.T, build string, argv []string) (c counts, changed string) {
	t.Helper()
	w := newWorld(t, false)
	got := trial{policy: w.policy(), build: build, quiet: true, dir: w.dir}.run(t, append([]string{tracee(t)}, argv...)...)
	if _, err := fmt.Sscanf(got.stdout, "got %d made %d refused %d", &c.got, &c.made, &c.refused); err != nil || got.status != 0 {
		t.Fatalf("%v: %v", err, got)
	}
	return c, w.changed(t)
}

// TestNamesAround: what leads around names without a race changes nothing and
// reads nothing, as any user.
func TestNamesAround(t *testing.T) {
	for _, user := range []bool{false, true} {
		w := newWorld(t, user)
		got := trial{policy: w.policy(), quiet: true, dir: w.dir, user: user}.run(t, tracee(t), "files")
		if got.status != 0 || strings.Contains(got.stdout, "= done") || strings.Contains(got.stdout, "interpreter: 7") {
			t.Errorf("user %v: got %v", user, got)
		}
		if changed := w.changed(t); changed != "" {
			t.Errorf("user %v: %s", user, changed)
		}
	}
}

// TestNamesJail: root gives itself another root, where what names mean is another
// matter. Ordinary users cannot.
func TestNamesJail(t *testing.T) {
	if os.Getuid() != 0 {
		if err := unix.Chroot("."); err != unix.EPERM {
			t.Fatalf("chroot: %v", err)
		}
		return
	}
	w := newWorld(t, false)
	writeFile(t, filepath.Join(w.dir, "wk/secret"), "secret")
	policy := "callgate: 1\ndefault: allow\nfiles:\n  - deny: " + w.dir + "/wk/secret\n"
	tr := trial{policy: policy, quiet: true, dir: w.dir}
	tr.run(t, tracee(t), "jail-proc").want(t, 0, "chroot = 0\nread a pipe\n")
	tr.run(t, tracee(t), "jail-race", "20000").want(t, 0, "got 0\n")
}

// TestWatch: who may not list a folder is not told what others do in it (inotify(7)),
// whoever holds the rules.
func TestWatch(t *testing.T) {
	t.Parallel()
	const script = sockets + `
def watch(name):
    if libc.inotify_add_watch(libc.inotify_init(), name.encode(), 0xfff) < 0: return errno(ctypes.get_errno())
print(watch("seen"), watch("unseen"), watch("unseen/f"))
`
	dir := openFolder(t)
	for _, name := range []string{"seen", "unseen"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o777))
	}
	writeFile(t, filepath.Join(dir, "unseen/f"), "text")
	for _, more := range []string{"", "  - deny: \"**/never\"\n"} {
		policy := "callgate: 1\ndefault: deny\nfiles:\n" + more + "  - read: [/usr, /lib, /lib64, /bin, /etc, " + dir + "/seen]\n"
		for _, quiet := range []bool{true, false} {
			trial{policy: policy, quiet: quiet, dir: dir}.run(t, "/usr/bin/python3", "-c", script).want(t, 0, "None EACCES EACCES\n")
		}
	}
}
