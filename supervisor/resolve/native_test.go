package resolve

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// answer is what the kernel says of a name.
type answer struct {
	dev, ino uint64
	errno    unix.Errno
}

func (a answer) String() string {
	if a.errno != 0 {
		return unix.ErrnoName(a.errno)
	}
	return fmt.Sprintf("%#x:%d", a.dev, a.ino)
}

// native asks the kernel itself. ELOOP is asked for again: a walk that the kernel
// has to begin anew, as it may on a busy machine, goes on counting links where
// the first ended (total_link_count in fs/namei.c, which filename_lookup keeps).
func native(dirfd int, name string, follow bool) (a answer) {
	for range 5 {
		if a = nativeOnce(dirfd, name, follow); a.errno != unix.ELOOP {
			break
		}
	}
	return a
}

func nativeOnce(dirfd int, name string, follow bool) answer {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if follow {
		flags = 0
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, flags); err != nil {
		return answer{errno: err.(unix.Errno)}
	}
	return answer{dev: st.Dev, ino: st.Ino}
}

// given is the same of a Result: where nothing is, stat(2) says ENOENT.
func given(res Result, err error) answer {
	switch {
	case err != nil:
		return answer{errno: err.(unix.Errno)}
	case !res.Exists:
		return answer{errno: unix.ENOENT}
	}
	return answer{dev: res.Dev, ino: res.Ino}
}

// me is this process as a task.
func me() Task {
	return Task{PID: os.Getpid(), TID: os.Getpid(), UID: func() uint32 { return uint32(os.Geteuid()) }}
}

func newResolver(t testing.TB) *Resolver {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// resolvers are all ways to the same answer.
func resolvers(t testing.TB) map[string]*Resolver {
	slow := newResolver(t)
	slow.walkOnly = true
	return map[string]*Resolver{"quick": newResolver(t), "without openat2": slow}
}

// sound checks what every Result promises of its Path.
func sound(t testing.TB, name string, res Result, err error) {
	t.Helper()
	switch {
	case err != nil:
		if res != (Result{}) {
			t.Errorf("%q: %v with %+v", name, err, res)
		}
		return
	case res.Path == "":
		if res.Object == "" {
			t.Errorf("%q: no path and no object: %+v", name, res)
		}
		return
	case !clean(res.Path) || res.Object != "":
		t.Errorf("%q: path %q, object %q", name, res.Path, res.Object)
	}
	if len(res.Path) >= pathMax {
		return
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, res.Path, &linkless)
	if err == nil {
		unix.Close(fd)
	}
	if res.Exists != (err == nil) {
		t.Errorf("%q: exists %v, but opening %q: %v", name, res.Exists, res.Path, err)
	}
	if res.Exists {
		if got := native(unix.AT_FDCWD, res.Path, false); got != given(res, nil) {
			t.Errorf("%q: %v, but its path %q is %v", name, given(res, nil), res.Path, got)
		}
	}
}

// descriptors counts this process's.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// noLeak fails if f leaves descriptors.
func noLeak(t testing.TB, f func()) {
	t.Helper()
	before := descriptors(t)
	f()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, were %d", after, before)
	}
}

// tracee is another process that resolves names for itself.
type tracee struct {
	pid int
	in  io.Writer
	out *bufio.Scanner
}

const traceeEnv = "RESOLVE_TRACEE"

// The tracee's first thread asks, by whose number it is known: what a package is initialized
// on, main stays on (runtime.LockOSThread).
func init() {
	if _, is := os.LookupEnv(traceeEnv); is {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if root, ok := os.LookupEnv(traceeEnv); ok {
		fmt.Println(os.Getpid(), beTracee(root))
		return
	}
	os.Exit(m.Run())
}

// beTracee answers each line "follow|stay NAME" with the kernel's word, and
// goes to the folder of "cd NAME".
func beTracee(root string) error {
	if root != "" {
		if err := unix.Chroot(root); err != nil {
			return fmt.Errorf("chroot: %w", err)
		}
		unix.Chdir("/")
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, quoted, _ := strings.Cut(in.Text(), " ")
		name, err := strconv.Unquote(quoted)
		switch {
		case err != nil:
			return err
		case verb == "cd":
			fmt.Println(unix.Chdir(name))
		default:
			a := native(unix.AT_FDCWD, name, verb == "follow")
			fmt.Println(a.dev, a.ino, int(a.errno))
		}
	}
	return nil
}

// newTracee starts one, with a root of its own if root is not "".
func newTracee(t testing.TB, root string) *tracee {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), traceeEnv+"="+root)
	if root != "" && os.Geteuid() != 0 { // CAP_SYS_CHROOT of a user namespace
		cmd.SysProcAttr = rootOfItsOwn()
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p := &tracee{cmd.Process.Pid, in, bufio.NewScanner(out)}
	if line := p.line(t); line != "ready" {
		t.Fatalf("the tracee says %q", line)
	}
	return p
}

func (p *tracee) line(t testing.TB) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatal("the tracee is gone")
	}
	return p.out.Text()
}

func (p *tracee) ask(t testing.TB, verb, name string) string {
	t.Helper()
	fmt.Fprintf(p.in, "%s %q\n", verb, name)
	return p.line(t)
}

func (p *tracee) stat(t testing.TB, name string, follow bool) (a answer) {
	t.Helper()
	verb := "stay"
	if follow {
		verb = "follow"
	}
	line := p.ask(t, verb, name)
	var errno int
	if _, err := fmt.Sscan(line, &a.dev, &a.ino, &errno); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	a.errno = unix.Errno(errno)
	return a
}
