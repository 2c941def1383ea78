package resolve

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Renames and swapped links can change the answer, but not make one that was
// never true: all that is in top is in "in", and nothing leads to "secret".
func TestRenamesMeanwhile(t *testing.T) {
	top := tree(t, "in/", "in/a/", "in/a/f", "in/b/", "in/b/f", "in/b/up -> ..", "secret/", "secret/f", "in/l -> a")
	var stop atomic.Bool
	var busy sync.WaitGroup
	swap := func(f func()) {
		busy.Go(func() {
			for !stop.Load() {
				f()
			}
		})
	}
	swap(func() { // a folder and a link trade places
		unix.Renameat2(unix.AT_FDCWD, top+"/in/a", unix.AT_FDCWD, top+"/in/l", unix.RENAME_EXCHANGE)
	})
	swap(func() {
		os.Rename(top+"/in/b", top+"/in/c")
		os.Rename(top+"/in/c", top+"/in/b")
	})
	ways := resolvers(t)
	noLeak(t, func() {
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			for how, r := range ways {
				for _, name := range []string{"in/a/f", "in/l/../a/f", "in/b/up/a/f", "in/b/../b/up/l/f", "in/b/new", "in/l", "in/b/up/b/f"} {
					res, err := r.Name(me(), unix.AT_FDCWD, top+"/"+name, true)
					switch err {
					case nil:
						if !strings.HasPrefix(res.Path, top+"/in/") || !clean(res.Path) || res.Hidden {
							t.Fatalf("%s: %s: %+v", how, name, res)
						}
					case unix.ENOENT, unix.ELOOP, unix.ENOTDIR:
					default:
						t.Fatalf("%s: %s: %v", how, name, err)
					}
				}
			}
		}
	})
	stop.Store(true)
	busy.Wait()
}

// A FIFO would block who opens it, and a device act.
func TestNothingIsOpened(t *testing.T) {
	top := tree(t, "to-fifo -> fifo")
	must(t, unix.Mkfifo(top+"/fifo", 0o600))
	for how, r := range resolvers(t) {
		for _, name := range []string{"fifo", "to-fifo"} {
			res, err := r.Name(me(), unix.AT_FDCWD, top+"/"+name, true)
			if err != nil || res.Path != top+"/fifo" {
				t.Errorf("%s: %s: %+v, %v", how, name, res, err)
			}
		}
		if _, err := r.Name(me(), unix.AT_FDCWD, top+"/fifo/x", true); err != unix.ENOTDIR {
			t.Errorf("%s: %v", how, err)
		}
	}
}

// The worst that one name can cost ends.
func TestLongestWalk(t *testing.T) {
	top := tree(t, "d/", "l40")
	for i := range 40 {
		must(t, os.Symlink(strings.Repeat("d/../", 800)+"l"+strconv.Itoa(i+1), top+"/l"+strconv.Itoa(i)))
	}
	for how, r := range resolvers(t) {
		began := time.Now()
		compare(t, how, r, unix.AT_FDCWD, top+"/l0", true)
		t.Logf("%s: %v", how, time.Since(began))
	}
}

// fs.protected_symlinks is a host's setting: the rule is tested as the kernel
// states it, and against the kernel where the host has it on.
func TestProtectedLinks(t *testing.T) {
	top := tree(t, "sticky/", "plain/", "f", "d/", "d/f", "to-sticky -> sticky/l")
	must(t, os.Chmod(filepath.Dir(top), 0o755))
	must(t, os.Chmod(top+"/sticky", 0o777|os.ModeSticky))
	must(t, os.Chmod(top+"/plain", 0o777))
	for _, folder := range []string{"sticky", "plain"} {
		must(t, os.Symlink("../f", top+"/"+folder+"/l"))
		must(t, os.Symlink("../d", top+"/"+folder+"/to-d"))
	}
	const other = 4711
	task := func(uid uint32) Task {
		return Task{PID: os.Getpid(), TID: os.Getpid(), UID: func() uint32 { return uid }}
	}
	mine := uint32(os.Geteuid())
	host := newResolver(t).protected
	check := func(how string, r *Resolver, task Task, name string, want error) {
		t.Helper()
		if _, err := r.Name(task, unix.AT_FDCWD, top+"/"+name, true); err != want {
			t.Errorf("%s: %s as %d: %v, want %v", how, name, task.UID(), err, want)
		}
		if got := nativeAs(task.UID(), top+"/"+name); r.protected == host && os.Geteuid() == 0 && got != want {
			t.Errorf("%s as %d: the kernel says %v, want %v", name, task.UID(), got, want)
		}
	}
	for how, r := range resolvers(t) {
		r.protected = true
		for _, name := range []string{"sticky/l", "sticky/to-d/", "plain/l", "sticky/to-d/f", "to-sticky"} {
			check(how, r, task(mine), name, nil)
			check(how, r, task(other), name, nil) // the folder's owner made it
		}
		if os.Geteuid() == 0 {
			must(t, os.Chown(top+"/sticky", 1234, -1))
			for name, want := range map[string]error{"sticky/l": unix.EACCES, "to-sticky": unix.EACCES, "sticky/to-d/": unix.EACCES, "sticky/to-d/f": nil, "plain/l": nil} {
				check(how, r, task(other), name, want)
				check(how, r, task(mine), name, nil)
			}
			r.protected = false
			check(how, r, task(other), "sticky/l", nil)
			must(t, os.Chown(top+"/sticky", 0, -1))
		}
	}
}

// nativeAs asks the kernel with another fsuid.
func nativeAs(uid uint32, name string) error {
	answer := make(chan error)
	go func() {
		runtime.LockOSThread() // and so the thread ends with the goroutine
		unix.Setfsuid(int(uid))
		var st unix.Stat_t
		answer <- unix.Stat(name, &st)
	}()
	return <-answer
}

// A thread can have a working folder and descriptors of its own.
func TestThreadOfItsOwn(t *testing.T) {
	top := tree(t, "d/", "d/f", "d/e/")
	t.Chdir(top)
	type thread struct{ tid, fd int }
	started, done := make(chan thread), make(chan struct{})
	defer close(done)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_FILES)
		if err == nil {
			err = unix.Chdir(top + "/d")
		}
		fd, _ := unix.Open(top+"/d/e", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			fd = -1
		}
		started <- thread{unix.Gettid(), fd}
		<-done
	}()
	own := <-started
	task := Task{PID: os.Getpid(), TID: own.tid}
	processes, err := unix.Open(top, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(processes)
	for how, r := range resolvers(t) {
		for name, want := range map[string]string{"f": "/d/f", "..": "", "/proc/thread-self/cwd": "/d", "/proc/self/cwd": "", "/proc/thread-self/fd/" + strconv.Itoa(own.fd): "/d/e"} {
			if res, err := r.Name(task, unix.AT_FDCWD, name, true); err != nil || res.Path != top+want {
				t.Errorf("%s: %s: %+v, %v", how, name, res, err)
			}
		}
		if res, err := r.Name(task, own.fd, "../f", true); err != nil || res.Path != top+"/d/f" {
			t.Errorf("%s: %+v, %v", how, res, err)
		}
		res, err := r.Name(task, unix.AT_FDCWD, "/proc/thread-self/fd/"+strconv.Itoa(own.fd), true)
		if err != nil || res.Descriptor != own.fd {
			t.Errorf("%s: the thread's own descriptor %d: %+v, %v", how, own.fd, res, err)
		}
		res, err = r.Name(task, unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(processes), true)
		if err != nil || res.Path != top || res.Descriptor != -1 {
			t.Errorf("%s: the process's descriptor, which is not the thread's: %+v, %v", how, res, err)
		}
	}
}

// A folder that the task is in may be beneath one that it may not search.
func TestHidden(t *testing.T) {
	if os.Geteuid() == 0 {
		asUser(t)
		return
	}
	top := tree(t, "closed/", "closed/in/", "closed/in/f", "closed/in/l -> f", "closed/in/sub/", "closed/in/gone/")
	gone, err := unix.Open(top+"/closed/in/gone", unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(gone)
	must(t, os.Remove(top+"/closed/in/gone"))
	t.Chdir(top + "/closed/in")
	must(t, os.Chmod(top+"/closed", 0o600))
	defer os.Chmod(top+"/closed", 0o700)
	for how, r := range resolvers(t) {
		noLeak(t, func() {
			for name, want := range map[string]string{"f": "/f", "l": "/f", ".": "", "sub/../new": "/new"} {
				res, err := r.Name(me(), unix.AT_FDCWD, name, true)
				if err != nil || !res.Hidden || res.Path != top+"/closed/in"+want || given(res, err) != native(unix.AT_FDCWD, name, true) {
					t.Errorf("%s: %s: %+v, %v", how, name, res, err)
				}
			}
			if res, err := r.Name(me(), unix.AT_FDCWD, "..", true); err != nil || res.Hidden || res.Path != top+"/closed" {
				t.Errorf("%s: %+v, %v", how, res, err)
			}
			for _, name := range []string{"../in/f", top + "/closed/in/f", "f/", "sub/x/y"} {
				res, err := r.Name(me(), unix.AT_FDCWD, name, true)
				if got, want := given(res, err), native(unix.AT_FDCWD, name, true); got != want {
					t.Errorf("%s: %s: %v, the kernel says %v", how, name, got, want)
				}
			}
		})
	}
	if res, err := newResolver(t).Descriptor(me(), gone); err != nil || res.Object != "deleted" || res.Was != top+"/closed/in/gone" {
		t.Errorf("%+v, %v", res, err)
	}
	if b, err := newResolver(t).Base(me(), unix.AT_FDCWD); err != nil || b != filepath.Clean(top+"/closed/in") {
		t.Errorf("%q, %v", b, err)
	}
}
