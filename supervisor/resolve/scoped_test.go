package resolve

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// nativeScoped asks the kernel itself.
func nativeScoped(dirfd int, name string, follow bool, resolve uint64) answer {
	how := unix.OpenHow{Flags: pathOnly, Resolve: resolve}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	fd, err := patiently(dirfd, name, &how)
	if err != nil {
		return answer{errno: err.(unix.Errno)}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if errno := status(fd, &st); errno != 0 {
		return answer{errno: errno}
	}
	return answer{dev: st.Dev, ino: st.Ino}
}

// patiently is openat2, asked again where something on the machine was renamed while ".."
// was looked at (openat2(2), EAGAIN).
func patiently(dirfd int, name string, how *unix.OpenHow) (fd int, err error) {
	err = unix.EAGAIN
	for err == unix.EAGAIN {
		fd, err = unix.Openat2(dirfd, name, how)
	}
	return fd, err
}

// scopes are combinations of the flags that make sense together.
var scopes = []uint64{unix.RESOLVE_BENEATH, unix.RESOLVE_IN_ROOT, unix.RESOLVE_NO_XDEV, unix.RESOLVE_NO_MAGICLINKS,
	unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS, unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS,
	unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT, unix.RESOLVE_BENEATH | 1<<20}

// Random names on random trees, against the kernel: what is there, and where what
// is not would be made.
func TestRandomScopedNames(t *testing.T) {
	const trees, names = 20, 400
	seed := uint64(os.Getpid())
	rnd := rand.New(rand.NewPCG(seed, 2))
	r := newResolver(t)
	outcomes, made := map[unix.Errno]int{}, 0
	wanted := []unix.Errno{0, unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EXDEV, unix.EINVAL}
	for i := 0; i < trees || i < 10*trees && (tame(outcomes, wanted) != nil || made < 20); i++ {
		top := tree(t, "a/", "a/b/")
		grow(t, rnd, top, 60)
		dirfd, err := unix.Open(top+[]string{"", "/a", "/a/b"}[rnd.IntN(3)], unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		for range names {
			name := randomName(rnd, "")
			switch rnd.IntN(6) {
			case 0:
				name = top + "/" + name
			case 1:
				name = "/" + name
			}
			follow, flags := rnd.IntN(2) == 0, scopes[rnd.IntN(len(scopes))]
			if name == "" {
				continue
			}
			what := fmt.Sprintf("tree %d: %q, follow %v, flags %#x", i, name, follow, flags)
			res, err := r.Scoped(me(), dirfd, name, follow, flags)
			got, want := given(res, err), nativeScoped(dirfd, name, follow, flags)
			outcomes[want.errno]++
			if got != want && !(got.errno == unix.ENOSYS && want.errno == unix.ELOOP && flags == unix.RESOLVE_NO_XDEV) {
				t.Errorf("%s: %v, the kernel says %v", what, got, want)
			}
			sound(t, name, res, err)
			if err == nil && !res.Exists {
				made += makes(t, what, dirfd, name, flags, res)
			}
		}
		unix.Close(dirfd)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("outcomes: %v, %d made", outcomes, made)
	must(t, tame(outcomes, wanted))
	if made < 20 {
		t.Errorf("%d files were made only", made)
	}
}

// makes has the kernel make what is not there, if it does, and compares where.
func makes(t *testing.T, what string, dirfd int, name string, flags uint64, res Result) int {
	t.Helper()
	fd, err := patiently(dirfd, name, &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY | unix.O_CLOEXEC, Mode: 0o600, Resolve: flags})
	if err != nil {
		if native(unix.AT_FDCWD, parent(res.Path), true).errno != 0 {
			t.Errorf("%s: it would be made as %q, where no folder is", what, res.Path)
		}
		return 0
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	if got := native(unix.AT_FDCWD, res.Path, false); got != (answer{dev: st.Dev, ino: st.Ino}) {
		t.Errorf("%s: it was not made as %q", what, res.Path)
	}
	must(t, unix.Unlink(res.Path))
	return 1
}

// Links of proc lead whoever asks to what is its own, and so must not be asked for
// in the task's place.
func TestScopedProc(t *testing.T) {
	r := newResolver(t)
	proc, err := unix.Open("/proc", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(proc)
	for _, c := range []struct {
		name  string
		flags uint64
		want  unix.Errno
	}{
		{"self", unix.RESOLVE_BENEATH, unix.ENOSYS},
		{"self/status", unix.RESOLVE_IN_ROOT, unix.ENOSYS},
		{"thread-self/stat", unix.RESOLVE_BENEATH, unix.ENOSYS},
		{"net/tcp", unix.RESOLVE_NO_MAGICLINKS, unix.ENOSYS},
		{"/proc/self/status", unix.RESOLVE_NO_XDEV, unix.EXDEV},
		{"self/exe", unix.RESOLVE_NO_XDEV, unix.ENOSYS},
		{"self/exe", unix.RESOLVE_BENEATH, unix.ENOSYS},
		{"self/fd/0", unix.RESOLVE_NO_MAGICLINKS, unix.ENOSYS},
		{"self/fd/4711/x/y", unix.RESOLVE_NO_MAGICLINKS, unix.ENOSYS},
		{"missing/x", unix.RESOLVE_NO_MAGICLINKS, unix.ENOENT},
		{"version", unix.RESOLVE_BENEATH, 0},
		{"1/status", unix.RESOLVE_IN_ROOT, 0},
	} {
		if _, err := r.Scoped(me(), proc, c.name, true, c.flags); err != c.want && !(err == nil && c.want == 0) {
			t.Errorf("%s, %#x: %v, want %v", c.name, c.flags, err, c.want)
		}
	}
	chrooted := me()
	chrooted.Chrooted = true // somebody is: this task's root is what it was
	if _, err := r.Scoped(chrooted, proc, "version", true, unix.RESOLVE_NO_MAGICLINKS); err != nil {
		t.Errorf("where another task has another root: %v", err)
	}
	stranger := me()
	stranger.UID = func() uint32 { return 4711 }
	r.protected = true
	if _, err := r.Scoped(stranger, proc, "version", true, unix.RESOLVE_BENEATH); err != unix.ENOSYS {
		t.Errorf("another user's: %v", err)
	}
}
