package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func make1(t *testing.T, base string) *Folder {
	t.Helper()
	f, err := newIn(base)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// abandon is what becomes of a folder whose callgate is killed.
func (f *Folder) abandon() {
	unix.Close(f.fd)
	unix.Close(f.base)
	unix.Close(f.above)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// usersIn is the folder in which this user's are.
func usersIn(base string) string { return filepath.Join(base, "callgate-"+strconv.Itoa(os.Geteuid())) }

func there(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func TestFolder(t *testing.T) {
	base := t.TempDir()
	f := make1(t, base)
	if filepath.Dir(f.Path) != usersIn(base) || !ours(filepath.Base(f.Path)) {
		t.Errorf("it is %s", f.Path)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("it is a %v, error %v", info.Mode(), err)
	}
	env := f.Environ([]string{"A=1", "TMPDIR=/tmp", "TEMP=x", "TMPDIRS=y"})
	if want := []string{"A=1", "TMPDIRS=y", "TMPDIR=" + f.Path, "TMP=" + f.Path, "TEMP=" + f.Path}; !slices.Equal(env, want) {
		t.Errorf("environment %q", env)
	}
	write(t, f.Path+"/file", "x")
	if err := f.Remove(); err != nil || there(f.Path) {
		t.Errorf("it is there: %v, error %v", there(f.Path), err)
	}
}

func TestBaseFromEnvironment(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f := make1(t, "")
	if filepath.Dir(f.Path) != usersIn(os.Getenv("TMPDIR")) {
		t.Errorf("it is %s", f.Path)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := New("/proc"); err == nil || !strings.Contains(err.Error(), "/proc/callgate-") {
		t.Errorf("where no folder can be made: %v", err)
	}
	if _, err := New(f.Path); err == nil || !strings.HasPrefix(err.Error(), "make a private temporary folder: open "+f.Path) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

// TestRemoveHostile: what a command leaves to keep its folder, or to have
// something else removed in its stead.
func TestRemoveHostile(t *testing.T) {
	base, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/keep", "x")
	f := make1(t, base)
	for _, make := range []error{
		os.Symlink(outside, f.Path+"/link"),
		os.Symlink(outside+"/keep", f.Path+"/file"),
		os.MkdirAll(f.Path+"/a/b/c", 0o700),
		os.MkdirAll(f.Path+"/callgate 1/callgate 2/callgate 3", 0o700),
		os.Symlink("../../..", f.Path+"/a/b/up"),
		os.Symlink(outside, f.Path+"/a/b/c/out"),
		unix.Mkfifo(f.Path+"/a/pipe", 0o600),
		os.Chmod(f.Path+"/a/b/c", 0),
		os.Chmod(f.Path+"/a/b", 0o500),
		os.Chmod(f.Path, 0),
	} {
		if make != nil {
			t.Fatal(make)
		}
	}
	if err := f.Remove(); err != nil || there(f.Path) {
		t.Errorf("it is there: %v, error %v", there(f.Path), err)
	}
	if !there(outside + "/keep") {
		t.Error("a link was followed")
	}
}

// TestRemoveDeep: a folder in a folder, 3,000 times, with more names in it than
// PATH_MAX allows.
func TestRemoveDeep(t *testing.T) {
	f := make1(t, t.TempDir())
	at, err := unix.Open(f.Path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if err := unix.Mkdirat(at, "folder", 0o700); err != nil {
			t.Fatal(i, err)
		}
		next, err := unix.Openat(at, "folder", unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(i, err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	if err := f.Remove(); err != nil || there(f.Path) {
		t.Errorf("it is there: %v, error %v", there(f.Path), err)
	}
}

// TestReplaced: of a folder that the command moved away, its content goes; what
// stands in its place stays.
func TestReplaced(t *testing.T) {
	base, outside := t.TempDir(), t.TempDir()
	f := make1(t, base)
	write(t, f.Path+"/file", "x")
	write(t, outside+"/keep", "x")
	if err := os.Rename(f.Path, base+"/moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, f.Path); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(); err != nil || there(base+"/moved/file") || !there(outside+"/keep") {
		t.Errorf("error %v", err)
	}
}

func TestSweep(t *testing.T) {
	base, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/keep", "x")
	dead, live := make1(t, base), make1(t, base)
	write(t, dead.Path+"/file", "x")
	dead.abandon()
	at := usersIn(base)
	others := []string{"callgate-mine", "callgate-ABCDEFGHIJKLMNO1", "callgate-ABCDEFGHIJKLMNOPQ", "callgate-test1234567890123456789012345", strings.TrimPrefix(filepath.Base(dead.Path), "callgate-")}
	for _, name := range others {
		if err := os.Mkdir(filepath.Join(at, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := at + "/callgate-" + strings.Repeat("A", 16)
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	next := make1(t, base)
	if there(dead.Path) {
		t.Error("a dead run's folder is left")
	}
	for _, name := range append(others, filepath.Base(live.Path), filepath.Base(link)) {
		if !there(filepath.Join(at, name)) {
			t.Errorf("%s was removed", name)
		}
	}
	if !there(outside + "/keep") {
		t.Error("a link was followed")
	}
	for _, f := range []*Folder{live, next} {
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestTakenName: where another has the name of the user's own folder, or a link has,
// nothing of that is used or followed.
func TestTakenName(t *testing.T) {
	for what, take := range map[string]func(name string) error{
		"a link":                func(name string) error { return os.Symlink(t.TempDir(), name) },
		"a file":                func(name string) error { return os.WriteFile(name, nil, 0o600) },
		"a folder for all":      func(name string) error { return errors.Join(os.Mkdir(name, 0o700), os.Chmod(name, 0o777)) },
		"another user's folder": func(name string) error { return errors.Join(os.Mkdir(name, 0o700), os.Chown(name, foreign(), -1)) },
	} {
		base := t.TempDir()
		if err := take(usersIn(base)); err != nil {
			t.Fatal(err)
		}
		dead := make1(t, base)
		dead.abandon()
		f := make1(t, base)
		if filepath.Dir(f.Path) != base && (what != "another user's folder" || os.Geteuid() == 0) || there(dead.Path) {
			t.Errorf("%s: it is %s, the dead run's is there: %v", what, f.Path, there(dead.Path))
		}
		if err := f.Remove(); err != nil || !there(usersIn(base)) && os.Geteuid() == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// foreign is a user that is not this one where this one may say so.
func foreign() int {
	if os.Geteuid() == 0 {
		return 65534
	}
	return os.Geteuid()
}

// TestSweepOthers: root leaves alone what is another user's.
func TestSweepOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can give a folder to another
	}
	base := t.TempDir()
	f := make1(t, base)
	f.abandon()
	if err := os.Chown(f.Path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := make1(t, base).Remove(); err != nil || !there(f.Path) {
		t.Errorf("it is there: %v, error %v", there(f.Path), err)
	}
}

// TestManyAtOnce: callgates that start together do not take one another's
// folders for dead ones'.
func TestManyAtOnce(t *testing.T) {
	base := t.TempDir()
	errs := make(chan error)
	const many = 16
	for range many {
		go func() {
			for range 50 {
				f, err := newIn(base)
				if err == nil && !there(f.Path) {
					err = fmt.Errorf("%s was removed", f.Path)
				}
				if err == nil {
					err = f.Remove()
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestEmptyAroundMounts: what is mounted in a folder stays as it is, and all around
// it goes, in which nothing is left that the next try does not remove.
func TestEmptyAroundMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can mount something there
	}
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside+"/keep", "x")
	at := dir + "/a/b/mount"
	for _, below := range []string{at, dir + "/a/b/c/d", dir + "/e"} {
		if err := os.MkdirAll(below, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, below+"/file", "x")
	}
	for n := range 2 * namesAtOnce {
		write(t, dir+"/e/"+strconv.Itoa(n), "")
	}
	if err := unix.Mount(outside, at, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	err := Empty(dir)
	found, failed := filepath.Glob(dir + "/*/mount") // brought up with the folder that it is in
	if failed != nil || len(found) != 1 {
		t.Fatal(found, failed)
	}
	mounted := there(found[0] + "/keep")
	if failed := unix.Unmount(found[0], unix.MNT_DETACH); failed != nil {
		t.Fatal(failed)
	}
	if !errors.Is(err, unix.EBUSY) || !mounted || !there(outside+"/keep") || there(dir+"/e") || there(dir+"/a") {
		t.Errorf("%v; what is mounted is there: %v", err, mounted)
	}
	if err := Empty(dir); err != nil || there(found[0]) {
		t.Error(err)
	}
}

// TestSweepAlone: what a dead run left goes without another run, and what lives stays.
func TestSweepAlone(t *testing.T) {
	base := t.TempDir()
	if err := Sweep(base); err != nil {
		t.Error(err)
	}
	dead, alive := make1(t, base), make1(t, base)
	write(t, dead.Path+"/file", "x")
	dead.abandon()
	if err := Sweep(base); err != nil || there(dead.Path) || !there(alive.Path) {
		t.Errorf("%v; the dead run's is there: %v", err, there(dead.Path))
	}
	if err := alive.Remove(); err != nil || there(usersIn(base)) {
		t.Error(err)
	}
	if err := os.Symlink("/", usersIn(base)); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(base); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		name := newName()
		if !ours(name) || seen[name] {
			t.Fatalf("%s: ours %v, seen %v", name, ours(name), seen[name])
		}
		seen[name] = true
	}
}
