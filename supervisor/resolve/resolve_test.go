package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func rootOfItsOwn() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree makes, in a new folder, what each line says: "d/" a folder, "f" a file,
// "l -> target" a link. It gives the folder's canonical path.
func tree(t testing.TB, lines ...string) string {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, line := range lines {
		name, target, link := strings.Cut(line, " -> ")
		path := top + "/" + name
		switch {
		case link:
			must(t, os.Symlink(target, path))
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		default:
			must(t, os.WriteFile(path, nil, 0o644))
		}
	}
	return top
}

// chain is links l1 -> l2 ... to the file end.
func chain(n int) []string {
	list := []string{"end"}
	target := "end"
	for i := n; i > 0; i-- {
		list = append(list, fmt.Sprintf("l%d -> %s", i, target))
		target = fmt.Sprintf("l%d", i)
	}
	return list
}

// Every name is resolved absolute, by a dirfd, and from the working folder, and
// must be what the kernel says.
func TestNamesAreTheKernels(t *testing.T) {
	top := tree(t, append(chain(42), "d/", "d/e/", "d/e/f", "f", "file (deleted)", "\xff\xfe", "no permission/", "no permission/f",
		"to-d -> d", "to-d-slash -> d/", "to-e -> d/e", "to-f -> f", "to-f-slash -> f/", "up -> ..", "dot -> .", "root -> /",
		"dangling -> missing", "far-dangling -> missing/x", "dangling-slash -> missing/", "loop -> loop", "a -> b", "b -> a",
		"d/back -> ../f", "d/e/top -> ../..", "through-file -> f/x", "deep -> to-d/e/top/to-e/f", "to-link -> to-d", "spaces -> file (deleted)")...)
	must(t, os.Symlink(top+"/d", top+"/absolute"))
	must(t, os.Chmod(top+"/no permission", 0o600))
	t.Cleanup(func() { os.Chmod(top+"/no permission", 0o700) })
	names := []string{".", "..", "./", "../", "d", "d/", "d//", "d/.", "d/..", "d/e/../e", "./d/./e/.", "f", "f/", "f/.", "f/..", "f/x",
		"missing", "missing/", "missing/.", "missing/..", "missing/x", "d/missing", "d/missing/",
		"to-d", "to-d/", "to-d/e", "to-d/..", "to-d/../f", "to-e/..", "to-e/../back", "to-d-slash", "to-d-slash/e", "to-f", "to-f/", "to-f-slash",
		"up", "up/", "dot", "dot/d", "dot/dot/dot/f", "root", "root/", "root/..", "absolute", "absolute/e", "absolute/../f",
		"dangling", "dangling/", "dangling/x", "far-dangling", "dangling-slash", "loop", "loop/", "loop/x", "a", "b/", "d/back", "d/e/top/f", "through-file",
		"deep", "to-link", "to-link/", "to-link/e/f", "l3", "l2", "l1", "l3/", "end", "\xff\xfe", "\xff", "file (deleted)", "spaces",
		"no permission", "no permission/", "no permission/f", "no permission/.", "no permission/..", "no permission/missing",
		strings.Repeat("x", 255), strings.Repeat("x", 256), "d/" + strings.Repeat("x", 256) + "/y", strings.Repeat("../", 60), strings.Repeat("../", 60) + "etc/../proc",
		"to-d/./../to-d//e/./f", "d/e/" + strings.Repeat("../e/", 50) + "f", "to-e/" + strings.Repeat("top/to-e/", 12) + "f", "to-e/" + strings.Repeat("top/to-e/", 30) + "f"}
	dir, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(dir)
	t.Chdir(top)
	for how, r := range resolvers(t) {
		noLeak(t, func() {
			for _, name := range names {
				for _, follow := range []bool{true, false} {
					compare(t, how, r, unix.AT_FDCWD, name, follow)
					compare(t, how, r, dir, name, follow)
					compare(t, how, r, -1, top+"/"+name, follow)
				}
			}
		})
	}
}

func compare(t testing.TB, how string, r *Resolver, dirfd int, name string, follow bool) {
	t.Helper()
	res, err := r.Name(me(), dirfd, name, follow)
	if got, want := given(res, err), native(dirfd, name, follow); got != want {
		t.Errorf("%s: %d, %.100q, follow %v: %v, the kernel says %v", how, dirfd, name, follow, got, want)
	}
	sound(t, name, res, err)
	// A link that is followed can end in a slash too (TestSlashOfLink).
	if err == nil && res.TrailingSlash != strings.HasSuffix(name, "/") && (!follow || !res.TrailingSlash) {
		t.Errorf("%s: %q: trailing slash %v", how, name, res.TrailingSlash)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	top := tree(t, "f")
	file, err := unix.Open(top+"/f", unix.O_RDONLY, 0)
	must(t, err)
	defer unix.Close(file)
	t.Chdir(top)
	full := strings.Repeat("./", 2047)
	for how, r := range resolvers(t) {
		for _, c := range []struct {
			dirfd int
			name  string
		}{
			{unix.AT_FDCWD, ""}, {-1, ""}, {-1, "f"}, {-7, "f"}, {1 << 20, "f"}, {file, "f"}, {file, "."}, {file, "/"},
			{unix.AT_FDCWD, full + "f"}, {unix.AT_FDCWD, full + "ff"}, {unix.AT_FDCWD, "/" + full}, {-1, full + "ff"},
			{unix.AT_FDCWD, strings.Repeat("/", 4095)}, {unix.AT_FDCWD, strings.Repeat("/", 4096)},
		} {
			compare(t, how, r, c.dirfd, c.name, true)
		}
	}
}

// Where a link leads nowhere, O_CREAT makes a file there.
func TestMissing(t *testing.T) {
	top := tree(t, "d/", "to-d -> d", "dangling -> to-d/new", "again -> dangling", "slash -> new/")
	for how, r := range resolvers(t) {
		for name, want := range map[string]string{
			"new": "/new", "d/new": "/d/new", "to-d/new": "/d/new", "dangling": "/d/new", "again": "/d/new", "to-d/../new": "/new", "d/../new/": "/new", "slash": "/new",
		} {
			res, err := r.Name(me(), unix.AT_FDCWD, top+"/"+name, true)
			if err != nil || res.Exists || res.Path != top+want || res.Inside != res.Path || res.TrailingSlash != (strings.HasSuffix(name, "/") || name == "slash") {
				t.Errorf("%s: %s: %+v, %v", how, name, res, err)
			}
		}
	}
	fd, err := unix.Open(top+"/again", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	must(t, err)
	unix.Close(fd)
	if _, err := os.Stat(top + "/d/new"); err != nil {
		t.Error(err)
	}
}

// mkdir(2), rename(2) and their like never follow the last component.
func TestEntry(t *testing.T) {
	top := tree(t, "d/", "f", "to-d -> d", "dangling -> missing")
	for how, r := range resolvers(t) {
		for name, want := range map[string]Result{
			"to-d":       {Path: "/to-d", Exists: true, Link: true},
			"to-d/":      {Path: "/to-d", Exists: true, Link: true, TrailingSlash: true},
			"dangling//": {Path: "/dangling", Exists: true, Link: true, TrailingSlash: true},
			"f/":         {Path: "/f", Exists: true, TrailingSlash: true},
			"new/":       {Path: "/new", TrailingSlash: true},
			"to-d/new/":  {Path: "/d/new", TrailingSlash: true},
			"d/":         {Path: "/d", Exists: true, Folder: true, TrailingSlash: true},
			"to-d/.":     {Path: "/d", Exists: true, Folder: true, Dots: true},
			"d/..":       {Path: "", Exists: true, Folder: true, Dots: true},
			"d/./":       {Path: "/d", Exists: true, Folder: true, Dots: true, TrailingSlash: true},
		} {
			res, err := r.Entry(me(), unix.AT_FDCWD, top+"/"+name)
			want.Path = top + want.Path
			want.Inside, want.Descriptor, want.Dev, want.Ino = want.Path, -1, res.Dev, res.Ino
			if err != nil || res != want {
				t.Errorf("%s: %s: %+v, %v, want %+v", how, name, res, err, want)
			}
			sound(t, name, res, err)
		}
		for name, want := range map[string]error{"f/x": unix.ENOTDIR, "missing/.": unix.ENOENT, "missing/x": unix.ENOENT, "f/.": unix.ENOTDIR} {
			if _, err := r.Entry(me(), unix.AT_FDCWD, top+"/"+name); err != want {
				t.Errorf("%s: %s: %v, want %v", how, name, err, want)
			}
		}
	}
}

// An absolute name cannot say where these are, but relative ones lead there.
func TestPathsBeyondPathMax(t *testing.T) {
	top := tree(t)
	part := strings.Repeat("x", 200)
	t.Chdir(top)
	for i := range 25 {
		for j := range 8 { // among which its name is to be found
			must(t, os.Mkdir(fmt.Sprint(i, j), 0o755))
		}
		must(t, os.Mkdir(part, 0o755))
		must(t, unix.Chdir(part))
	}
	must(t, os.WriteFile("f", nil, 0o644))
	must(t, os.Symlink("../"+part+"/f", "l"))
	want := top + strings.Repeat("/"+part, 25)
	for how, r := range resolvers(t) {
		noLeak(t, func() {
			for _, name := range []string{"f", "l", ".", "..", "../..", "missing", "l/", "f/x", "./../" + part + "/f", strings.Repeat("../", 26)} {
				compare(t, how, r, unix.AT_FDCWD, name, true)
			}
			for name, want := range map[string]string{".": want, "l": want + "/f", "new": want + "/new", "..": parent(want)} {
				if res, err := r.Name(me(), unix.AT_FDCWD, name, true); err != nil || res.Path != want {
					t.Errorf("%s: %s: %v, path of %d bytes, want %d", how, name, err, len(res.Path), len(want))
				}
			}
			if b, err := r.Base(me(), unix.AT_FDCWD); b != want || err != nil {
				t.Errorf("%s: base of %d bytes, %v", how, len(b), err)
			}
		})
	}
}

func TestBase(t *testing.T) {
	top := tree(t, "d/", "gone/", "gone (deleted)/", "f")
	open := func(name string) int {
		fd, err := unix.Open(top+"/"+name, unix.O_PATH|unix.O_CLOEXEC, 0)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	d, gone, named, f := open("d"), open("gone"), open("gone (deleted)"), open("f")
	must(t, os.Remove(top+"/gone"))
	t.Chdir(top)
	for how, r := range resolvers(t) {
		for range 2 {
			for fd, want := range map[int]string{unix.AT_FDCWD: top, d: top + "/d", named: top + "/gone (deleted)"} {
				if got, err := r.Base(me(), fd); got != want || err != nil {
					t.Errorf("%s: %q, %v, want %q", how, got, err, want)
				}
			}
			for fd, want := range map[int]error{gone: unix.ENOENT, f: unix.ENOTDIR, -5: unix.EBADF, 1 << 20: unix.EBADF} {
				if got, err := r.Base(me(), fd); got != "" || err != want {
					t.Errorf("%s: %q, %v, want %v", how, got, err, want)
				}
			}
		}
		if _, err := r.Base(Task{PID: 1 << 30, TID: 1 << 30}, unix.AT_FDCWD); err != unix.ESRCH {
			t.Errorf("%s: a dead task's: %v", how, err)
		}
	}
}
