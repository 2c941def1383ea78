package launch

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// TestNoSections: without sections a sandbox is in a domain all the same, which
// signals do not leave and which permits all else.
func TestNoSections(t *testing.T) {
	dir := openFolder(t, os.Getuid())
	plant(t, dir, os.Getuid(), "a/", "b/", "a/f")
	script := `
		mv a/f b/f && mkdir c && : >c/g && ln c/g a/g || exit 1
		kill -0 $$ || exit 2
		`
	if hostOf(t).ABI >= 6 { // LANDLOCK_SCOPE_SIGNAL
		script += `kill -0 $PPID 2>/dev/null && exit 3
		`
	}
	stage(t, compile.Bound{}, dir, script+"exit 0")
}

// TestSections: the stage itself enters the ruleset, and can start the command.
func TestSections(t *testing.T) {
	dir := openFolder(t, os.Getuid())
	plant(t, dir, os.Getuid(), "r/", "r/f", "w/", "w/f", "w/s/", "n/", "n/f")
	stage(t, compile.Bound{Files: denyElse([]policy.BoundRule{
		permit(policy.Read, dir+"/r", "/usr", "/etc"),
		permit(policy.Write, dir+"/w", "/dev/null"),
	})}, dir, `
		exec 2>/dev/null
		read -r line <r/f; [ "$line" = text ] || exit 1
		(: >r/f) && exit 2
		(read -r line <n/f) && exit 3
		mv w/f w/s/f && : >w/new || exit 4
		exit 0`)
}

// stage runs a shell's script as a sandbox's command and wants status 0.
func stage(t *testing.T, b compile.Bound, dir, script string) {
	t.Helper()
	host := hostOf(t)
	host.Start = Executed("/bin/sh")
	l := compile.Confine(b, host)
	d, err := NewDomain(&l.Ruleset)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	runtime.LockOSThread() // the stage dies with its parent's thread
	defer runtime.UnlockOSThread()
	s, err := Start(&Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: dir, Files: []int{-1, 1, 2}, Domain: d})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Go()
	var status unix.WaitStatus
	if _, err := unix.Wait4(s.PID, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Err(); err != nil || status != 0 {
		t.Errorf("status %#x, %v\n%+v", status, err, l.Ruleset)
	}
}

// TestGone: what vanished after a ruleset was computed.
func TestGone(t *testing.T) {
	dir := openFolder(t, os.Getuid())
	plant(t, dir, os.Getuid(), "there/", "there/f")
	if err := os.Symlink("there", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	const read, write = unix.LANDLOCK_ACCESS_FS_READ_FILE, unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	for _, c := range []struct {
		name   string
		access uint64
		want   string
	}{
		{"there", write, ""},
		{"gone", read, ""},
		{"link", read, ""},
		{"link/f", read, ""},
		{"there/f/g", read, ""},
		{"gone", write, "/gone, to grant it to the sandbox: no such file"},
		{"link", write, "/link, to grant it to the sandbox: too many levels of symbolic links"},
		{"there/f", unix.LANDLOCK_ACCESS_FS_READ_DIR, "/there/f: invalid argument"},
	} {
		path := dir + "/" + c.name
		d, err := NewDomain(&compile.Ruleset{AccessFS: c.access, Paths: []compile.PathGrant{{Path: path, Access: c.access}}})
		if err == nil {
			d.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestLook(t *testing.T) {
	dir := openFolder(t, os.Getuid())
	plant(t, dir, os.Getuid(), "d/", "d/f")
	if err := os.Symlink("d", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]compile.Found{
		"": compile.Folder, "/d": compile.Folder, "/d/f": compile.File, "/link": compile.Link,
		"/none": compile.Missing, "/d/f/g": compile.Missing,
	} {
		if got := Look(dir + name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

// TestNested: a command may use Landlock itself. Where the outer ruleset has no
// right on files, though, the kernel lets an inner one that has some permit no
// moves between folders (security/landlock/ruleset.h,
// LANDLOCK_ACCESS_FS_INITIALLY_DENIED, holds for each layer).
func TestNested(t *testing.T) {
	uid := os.Getuid()
	host := hostOf(t)
	if host.ABI < 6 {
		return // then every outer ruleset has rights on files
	}
	for _, c := range []struct {
		outer []policy.BoundRule
		want  string
	}{{nil, "n"}, {[]policy.BoundRule{permit(policy.Write, "/")}, "y"}} {
		dir := openFolder(t, uid)
		plant(t, dir, uid, "a/", "b/", "a/f")
		b := compile.Bound{}
		if c.outer != nil {
			b.Files = denyElse(c.outer)
		}
		outer := compile.Confine(b, host)
		inner := compile.Confine(compile.Bound{Files: denyElse([]policy.BoundRule{permit(policy.Write, dir)})}, host)
		d, err := NewDomain(&inner.Ruleset)
		if err != nil {
			t.Fatal(err)
		}
		confined(t, uid, dir, &outer.Ruleset, func() {
			if err := enter(uid, dir, d); err != nil {
				t.Error(err)
			}
			if got := renamed("a/f", "b/f", 0).verdict(); got != c.want {
				t.Errorf("beneath %+v: %s, want %s", c.outer, got, c.want)
			}
		})
		d.Close()
	}
}

// TestPorts: what Landlock does about TCP, and that it does nothing before ABI 4,
// which Confine must know.
func TestPorts(t *testing.T) {
	host := hostOf(t)
	var refused error = unix.EACCES
	if host.ABI < 4 {
		refused = nil
	}
	free, taken := listener(t), listener(t)
	l := compile.Confine(compile.Bound{Network: &compile.Ports{Connect: []uint16{uint16(free)}}}, host)
	confined(t, os.Getuid(), t.TempDir(), &l.Ruleset, func() {
		for port, want := range map[int]error{free: nil, taken: refused} {
			if got := connect(port); got != want {
				t.Errorf("connect: %v, want %v", got, want)
			}
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != refused {
			t.Errorf("bind: %v, want %v", err, refused)
		}
	})
}

// listener gives the loopback port of a socket that listens until the test ends.
func listener(t *testing.T) (port int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		t.Fatal(err)
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return own.(*unix.SockaddrInet4).Port
}

func connect(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}
