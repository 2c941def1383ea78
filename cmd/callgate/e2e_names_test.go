package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The attacks on names happen in a world of folders (testdata/tracee/names.h):
// wk may be written, ro only read, no is denied. Landlock knows no denials and
// grants the whole world for the glob, so that what holds is the supervisor's.
const namesPolicy = `callgate: 1
default: deny
compat: {i386: same, x32: kill}
files:
  - deny:  WORLD/no
  - write: WORLD/w*
  - read:  /
exec:
  - deny:  WORLD/ro/prog
  - allow: /
`

// A world is a fresh one, and what of it must stay as it is.
type world struct{ dir, before string }

// newWorld makes a world that user, or whoever runs the tests, owns.
func newWorld(t *testing.T, user bool) *world {
	t.Helper()
	return newWorldIn(t, openFolder(t), user)
}

func newWorldIn(t *testing.T, dir string, user bool) *world {
	t.Helper()
	w := &world{dir: dir}
	program, err := os.ReadFile(compiled(t, "where"))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{"wk", "ro", "no"} {
		for _, dir := range []string{in, in + "/d", in + "/s", in + "/s/d"} {
			must(t, os.Mkdir(filepath.Join(w.dir, dir), 0o777))
		}
		text := map[string]string{"wk": "fine", "ro": "read only", "no": "secret"}[in]
		for _, file := range []string{"f", "s/f", "f2", "x"} {
			writeFile(t, filepath.Join(w.dir, in, file), text)
		}
		for _, file := range []string{"f", "x"} {
			_ = unix.Setxattr(filepath.Join(w.dir, in, file), "user.x", []byte("x"), 0) // tmpfs before Linux 6.6 has none
		}
		for _, file := range []string{"prog", "s/prog"} {
			must(t, os.WriteFile(filepath.Join(w.dir, in, file), program, 0o755))
		}
	}
	writeFile(t, filepath.Join(w.dir, "no/only"), "secret")
	must(t, os.Mkdir(filepath.Join(w.dir, "no/hid"), 0o777))
	must(t, os.Symlink("secret", filepath.Join(w.dir, "no/l")))
	must(t, os.Symlink("../no", filepath.Join(w.dir, "wk/t")))
	must(t, os.Symlink("../no/f", filepath.Join(w.dir, "wk/g")))
	if u := asUser(user); u != nil {
		must(t, filepath.WalkDir(w.dir, func(path string, _ fs.DirEntry, err error) error {
			return os.Lchown(path, int(u.Credential.Uid), int(u.Credential.Gid))
		}))
	}
	w.before = w.state(t)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) policy() string { return strings.ReplaceAll(namesPolicy, "WORLD", w.dir) }

// state is all that can be seen of ro and no but when they were read. The time
// of the last change of a file's attributes tells of each one.
func (w *world) state(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, top := range []string{"ro", "no"} {
		must(t, filepath.WalkDir(filepath.Join(w.dir, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			st := info.Sys().(*syscall.Stat_t)
			fmt.Fprintf(&b, "%s %v %d:%d links %d, size %d, changed %d.%09d", strings.TrimPrefix(path, w.dir+"/"), info.Mode(), st.Uid, st.Gid, st.Nlink, st.Size, st.Ctim.Sec, st.Ctim.Nsec)
			if info.Mode().IsRegular() && st.Size < 100 {
				text, _ := os.ReadFile(path)
				fmt.Fprintf(&b, " %q", text)
			}
			b.WriteByte('\n')
			return nil
		}))
	}
	return b.String()
}

// changed says what is not as it was, "" if nothing.
func (w *world) changed(t *testing.T) (diff string) {
	t.Helper()
	was := map[string]bool{}
	for line := range strings.Lines(w.before) {
		was[line] = true
	}
	for line := range strings.Lines(w.state(t)) {
		if !was[line] {
			diff += "+ " + line
		}
		delete(was, line)
	}
	for line := range was {
		diff += "- " + line
	}
	return diff
}

// A nameAttack is one call in one mode, tried again and again.
type nameAttack struct {
	mode, call, gain, object, tidies string

	tries int
	wrap  []string // a command of the tracee that runs it
}

// counts is what an attack says that it got.
type counts struct{ got, made, refused int }

// run makes an attack under a build of callgate, "" for the one under test, and
// says what it got; the world says what it changed.
func (a nameAttack) run(t *testing.T, build string) (c counts, changed string) {
	t.Helper()
	w := newWorldIn(t, a.place(t, build), false)
	tr := trial{policy: w.policy(), build: build, quiet: true, dir: w.dir}
	argv := append([]string{tracee(t)}, a.wrap...)
	got := tr.run(t, append(argv, "names", a.mode, a.call, itoa(a.tries))...)
	if _, err := fmt.Sscanf(got.stdout, "got %d made %d refused %d", &c.got, &c.made, &c.refused); err != nil || got.status != 0 {
		t.Fatalf("%v: %v", err, got)
	}
	return c, w.changed(t)
}

// place is a folder for an attack's world: on disk once for each call and where programs
// are run, which memory may not be for; elsewhere in memory if it keeps attributes.
func (a nameAttack) place(t *testing.T, build string) string {
	t.Helper()
	if a.mode == "letters" && len(a.wrap) == 0 && build == "" || a.gain == "runs" {
		return openFolder(t)
	}
	dir := fastFolder(t)
	if unix.Setxattr(dir, "user.x", []byte("x"), 0) != nil { // tmpfs before Linux 6.6
		return openFolder(t)
	}
	return dir
}

// checkOnly is a callgate that checks and lets the tracee's own call go on: an
// attack that does not succeed there proves nothing. Where it cannot be built,
// as an ordinary user's test may not, CALLGATE_CHECKONLY names it.
func checkOnly(t *testing.T) string {
	t.Helper()
	path, err := buildCheckOnly()
	must(t, err)
	return path
}

var buildCheckOnly = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("CALLGATE_CHECKONLY"); path != "" {
		return path, nil
	}
	dir, err := buildTestPrograms()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "callgate-checkonly")
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "netgo,osusergo,checkonly", "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", build, err, out)
	}
	return path, nil
})

// attackCalls are the calls that the tracee can attack by.
func attackCalls(t *testing.T) (list []nameAttack) {
	t.Helper()
	out, err := exec.Command(tracee(t), "names-list").Output()
	must(t, err)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		list = append(list, nameAttack{call: f[0], gain: f[1], object: f[2], tidies: f[3]})
	}
	return list
}
