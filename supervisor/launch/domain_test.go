package launch

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// confined calls f in a folder, on a thread of its own that has entered a
// domain; the thread and what it forks are all that it restricts. Where the
// tests run as root, uid can make it an ordinary user's.
func confined(t *testing.T, uid int, dir string, r *compile.Ruleset, f func()) {
	t.Helper()
	d, err := NewDomain(r)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := enter(uid, dir, d)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// enter restricts the calling thread alone: package syscall's functions would
// change all of them.
func enter(uid int, dir string, d *Domain) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	id := uintptr(uid)
	if uid != os.Getuid() {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, id, id, id); errno != 0 {
			return os.NewSyscallError("setresgid", errno)
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); errno != 0 {
			return os.NewSyscallError("setresuid", errno)
		}
	}
	if _, _, errno := unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(d.fd), 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}

// users are whom the tests run as: root is an ordinary user as well.
func users() []int {
	if os.Getuid() == 0 {
		return []int{0, nobody}
	}
	return []int{os.Getuid()}
}

// openFolder is a folder that every user of these tests may change.
func openFolder(t *testing.T, uid int) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plant makes files, and folders where a name ends in a slash.
func plant(t *testing.T, dir string, uid int, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte("text"), 0o644)
		}
		if err == nil {
			err = os.Lchown(path, uid, -1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// permit makes a rule for paths.
func permit(access policy.Access, paths ...string) policy.BoundRule {
	r := policy.BoundRule{Rule: &policy.Rule{Action: policy.Allow}, Access: access}
	for _, p := range paths {
		r.Paths = append(r.Paths, policy.BoundPath{Path: p})
	}
	return r
}

// denyElse are policies whose rules are all there is.
func denyElse(policies ...[]policy.BoundRule) compile.Tried {
	t := compile.Tried{Rules: policies}
	for range policies {
		t.Defaults = append(t.Defaults, policy.Deny)
	}
	return t
}

func hostOf(t *testing.T) compile.Host {
	t.Helper()
	version, err := LandlockABI()
	if err != nil {
		t.Fatal(err)
	}
	return compile.Host{ABI: version, Look: Look}
}

// try is one operation in a folder.
type try struct {
	name string
	do   func() error
}

func open(path string, flags int) try {
	return try{"open " + path, func() error {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o644)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}}
}

func renamed(a, b string, flags uint) try {
	return try{"rename " + a + " " + b, func() error { return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, flags) }}
}

func simple(name, path string, do func(path string) error) try {
	return try{name + " " + path, func() error { return do(path) }}
}

func mkdir(path string) error    { return unix.Mkdir(path, 0o755) }
func mkfifo(path string) error   { return unix.Mkfifo(path, 0o644) }
func truncate(path string) error { return unix.Truncate(path, 1) }
func symlink(path string) error  { return unix.Symlink("to", path) }
func list(path string) error     { _, err := os.ReadDir(path); return err }
func look(path string) error     { _, err := os.Lstat(path); return err }
func socket(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
}

func link(a, b string) try {
	return try{"link " + a + " " + b, func() error { return unix.Link(a, b) }}
}

// verdict is what a kernel says to a try: y, n, or why it could not say.
func (c try) verdict() string {
	err := c.do()
	switch {
	case err == nil:
		return "y"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EXDEV):
		return "n"
	}
	return err.Error()
}

// TestFiles: what a real kernel makes of rulesets for older ones and itself. r
// can be read, w and v written, n nothing but for two files in it.
func TestFiles(t *testing.T) {
	const (
		never  = "nnn"
		always = "yyy"
		refer  = "nyy" // before ABI 2 nothing moves between folders
		holes  = "yyn" // before ABI 3 truncate is not covered
	)
	for _, c := range []struct {
		try
		want string // for rulesets of ABI 1, 2, and 3 and later
	}{
		{open("r/f", unix.O_RDONLY), always},
		{open("r/f", unix.O_RDWR), never},
		{open("r/f", unix.O_WRONLY), never},
		{open("r/f", unix.O_RDONLY|unix.O_CREAT), always},
		{open("r/f", unix.O_RDONLY|unix.O_TRUNC), "yyn"},
		{open("r/f", unix.O_PATH), always},
		{simple("list", "r", list), always},
		{open("r/new", unix.O_CREAT|unix.O_WRONLY), never},
		{open("r/new", unix.O_CREAT|unix.O_RDONLY), never},
		{open("r", unix.O_TMPFILE|unix.O_RDWR), never},
		{simple("unlink", "r/f", unix.Unlink), never},
		{simple("mkdir", "r/new", mkdir), never},
		{simple("truncate", "r/f", truncate), holes},

		{open("n/f", unix.O_RDONLY), never},
		{open("n/f", unix.O_PATH), always},
		{simple("look", "n/f", look), always},
		{simple("list", "n", list), never},
		{open("f", unix.O_RDONLY), never},

		{open("w/new", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY), always},
		{open("w", unix.O_TMPFILE|unix.O_RDWR), always},
		{open("w/f", unix.O_RDWR|unix.O_TRUNC), always},
		{simple("truncate", "w/f", truncate), always},
		{simple("mkdir", "w/new", mkdir), always},
		{simple("mkfifo", "w/new", mkfifo), always},
		{simple("symlink", "w/new", symlink), always},
		{simple("socket", "w/new", socket), always},
		{simple("rmdir", "w/e", unix.Rmdir), always},
		{simple("unlink", "w/f", unix.Unlink), always},
		{simple("rmdir", "w", unix.Rmdir), never},

		{renamed("w/f", "w/g", 0), always},
		{renamed("w/f", "w/s/f", 0), refer},
		{renamed("w/f", "w/s/f", unix.RENAME_EXCHANGE), refer},
		{renamed("w/f", "w/e", unix.RENAME_EXCHANGE), always},
		{renamed("w/f", "v/new", 0), refer},
		{renamed("w/s", "v/e", 0), refer},
		{renamed("w", "v/new", 0), never},
		{renamed("w", "v", unix.RENAME_EXCHANGE), never},
		{renamed("r/f", "w/new", 0), never},
		{renamed("w/f", "r/new", 0), never},
		{renamed("w/f", "n/wf", 0), never},
		{renamed("w/f", "n/wf", unix.RENAME_EXCHANGE), never},

		{link("v/f", "v/h"), always},
		{link("v/f", "w/h"), refer},
		{link("r/f", "w/h"), never},
		{link("n/f", "w/h"), never},
		{link("w/f", "r/h"), never},

		{open("n/rf", unix.O_RDONLY), always},
		{open("n/rf", unix.O_RDWR), never},
		{link("n/rf", "w/h"), never},
		{open("n/wf", unix.O_RDWR|unix.O_TRUNC), always},
		{simple("unlink", "n/wf", unix.Unlink), never},
		{renamed("n/wf", "n/x", 0), never},
		{renamed("n/wf", "w/x", 0), never},
		{link("n/wf", "w/h"), refer},
		{link("n/wf", "n/h"), never},
	} {
		for _, uid := range users() {
			for version, want := range c.want {
				c.test(t, uid, version+1, string(want))
			}
		}
	}
}

func (c try) test(t *testing.T, uid, version int, want string) {
	dir := openFolder(t, uid)
	plant(t, dir, uid, "f", "r/", "r/f", "n/", "n/f", "n/rf", "n/wf", "w/", "w/f", "w/e/", "w/s/", "w/s/f", "v/", "v/f", "v/e/")
	in := func(name string) string { return filepath.Join(dir, name) }
	host := hostOf(t)
	if version < 3 {
		host.ABI = version
	}
	l := compile.Confine(compile.Bound{Files: denyElse([]policy.BoundRule{
		permit(policy.Read, in("r"), in("n/rf"), in("missing")),
		permit(policy.Write, in("w"), in("v"), in("n/wf")),
	})}, host)
	if l.Files.Exact != (version >= 3) {
		t.Errorf("ABI %d: %+v", version, l.Files)
	}
	confined(t, uid, dir, &l.Ruleset, func() {
		if got := c.verdict(); got != want {
			t.Errorf("%s, user %d, a ruleset of ABI %d: got %s, want %s", c.name, uid, version, got, want)
		}
	})
}
