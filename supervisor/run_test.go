package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor"
	"callgate/supervisor/audit"

	"golang.org/x/sys/unix"
)

// planOf compiles a policy's text.
func planOf(t *testing.T, text string) *compile.Plan {
	t.Helper()
	loader := policy.Loader{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }}
	set, err := loader.LoadAll("test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := compile.Compile(set, compile.Options{Report: true})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

const allowAll = "callgate: 1\ndefault: allow\ncompat: {i386: same, x32: same}\n"

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []audit.Event
}

func (r *recorder) Put(e *audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, *e)
}

func (r *recorder) Close() (uint64, error) { return 0, nil }

// shell runs a script and returns what it wrote to standard output.
func shell(t *testing.T, ctx context.Context, plan *compile.Plan, opt supervisor.Options, script string) (*supervisor.Result, string, error) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := supervisor.Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(),
		Files: []*os.File{nil, out, out}}
	result, err := supervisor.Run(ctx, plan, cmd, opt)
	text, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return result, string(text), err
}

func TestStatus(t *testing.T) {
	plan := planOf(t, allowAll)
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137, "kill -SYS $$": 159,
	} {
		result, _, err := shell(t, context.Background(), plan, supervisor.Options{}, script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
		} else if result.Status != want {
			t.Errorf("%s: status %d, want %d", script, result.Status, want)
		}
	}
}

// TestSideBySide runs sandboxes with different policies in one process at once.
func TestSideBySide(t *testing.T) {
	const n = 16
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			text := allowAll + fmt.Sprintf("syscalls:\n  - deny: [mkdir, mkdirat]\n    errno: %d\n", 90+i)
			sink := &recorder{}
			result, out, err := shell(t, context.Background(), planOf(t, text), supervisor.Options{Audit: sink, Sandbox: strconv.Itoa(i)},
				fmt.Sprintf("mkdir /nonexistent/x; exit %d", i))
			if err != nil || result.Status != i {
				t.Errorf("sandbox %d: %+v, %v\n%s", i, result, err, out)
				return
			}
			if result.Totals.Denied != 1 {
				t.Errorf("sandbox %d: %d denied, want 1", i, result.Totals.Denied)
			}
			want := unix.Errno(90 + i)
			if !strings.Contains(strings.ToLower(out), strings.ToLower(want.Error())) {
				t.Errorf("sandbox %d: %q does not say %q", i, out, want)
			}
			for _, e := range sink.events {
				if e.Sandbox != strconv.Itoa(i) {
					t.Errorf("sandbox %d got sandbox %s's event", i, e.Sandbox)
				}
			}
		})
	}
	group.Wait()
}

// TestQuietDenials: a quiet rule's denials are counted and recorded, and not
// told; another's are told.
func TestQuietDenials(t *testing.T) {
	plan := planOf(t, allowAll+"syscalls:\n  - {deny: mkdir, quiet: true}\n  - {skip: [rmdir, unlinkat], quiet: true}\n  - deny: [symlink, symlinkat]\n")
	calls := func(r *recorder) (names []string) {
		for _, e := range r.events {
			if e.Kind == audit.Call {
				names = append(names, e.CallInfo.Syscall)
			}
		}
		return names
	}
	const script = "mkdir /nonexistent/x; rmdir /nonexistent/x; ln -s x /nonexistent/x"
	recorded, told, alone := &recorder{}, &recorder{}, &recorder{}
	for _, opt := range []supervisor.Options{{Audit: recorded, Terminal: told}, {Terminal: alone}} {
		result, out, err := shell(t, context.Background(), plan, opt, script)
		if err != nil || result.Totals.Denied != 3 {
			t.Fatalf("%+v, %v\n%s", result, err, out)
		}
	}
	if got := calls(recorded); len(got) != 3 {
		t.Errorf("recorded: %v", got)
	}
	for _, e := range recorded.events {
		if e.Kind == audit.Call && e.Quiet == strings.HasPrefix(e.Syscall, "symlink") {
			t.Errorf("%s is recorded as quiet: %v", e.Syscall, e.Quiet)
		}
	}
	for _, r := range []*recorder{told, alone} {
		if got := calls(r); len(got) != 1 || !strings.HasPrefix(got[0], "symlink") {
			t.Errorf("told: %v", got)
		}
	}
}

// TestCancel ends a sandbox whose tasks ignore signals and have left the
// session.
func TestCancel(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(10*time.Second, cancel) // should the script never get that far
	go func() {
		for {
			if text, _ := os.ReadFile(marker); bytes.Count(text, []byte("\n")) >= 3 {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, _, err := shell(t, ctx, planOf(t, allowAll), supervisor.Options{}, fmt.Sprintf(`
		trap '' INT TERM HUP
		(setsid sh -c 'echo $$ >>%[1]s; sleep 1000' &)
		sh -c 'echo $$ >>%[1]s; sleep 1000' &
		echo $$ >>%[1]s
		sleep 1000`, marker))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	noneOf(t, marker)
}

// noneOf fails for each process of a file's list that still runs.
func noneOf(t *testing.T, list string) {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !bytes.Contains(stat, []byte(") Z ")) {
			t.Errorf("process %s is left: %s", pid, stat)
		}
	}
}

// TestDaemonEnds: what outlives the command ends with the sandbox.
func TestDaemonEnds(t *testing.T) {
	list := filepath.Join(t.TempDir(), "pids")
	result, _, err := shell(t, context.Background(), planOf(t, allowAll), supervisor.Options{}, fmt.Sprintf(`
		(setsid sh -c 'echo $$ >>%[1]s; exec sleep 1000' &)
		while ! test -s %[1]s; do :; done
		exit 3`, list))
	if err != nil || result.Status != 3 {
		t.Errorf("%+v, %v; want status 3", result, err)
	}
	noneOf(t, list)
}

// TestNothingLeft: a run gives back its descriptors and its thread.
func TestNothingLeft(t *testing.T) {
	plan := planOf(t, allowAll)
	count := func(dir string) int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	run := func(n int) {
		for range n {
			if _, _, err := shell(t, context.Background(), plan, supervisor.Options{}, "true | true"); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(10) // the runtime's own threads and descriptors are there after some
	files, threads := count("/proc/self/fd"), count("/proc/self/task")
	run(100)
	if now := count("/proc/self/fd"); now > files {
		t.Errorf("%d descriptors before, %d after", files, now)
	}
	if now := count("/proc/self/task"); now > threads+2 {
		t.Errorf("%d threads before, %d after", threads, now)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "no-interpreter")
	if err := os.WriteFile(script, []byte("echo hi\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	plan := planOf(t, allowAll)
	for _, c := range []struct {
		cmd  supervisor.Command
		op   string
		want error
	}{
		{supervisor.Command{Path: dir + "/none"}, "execve", fs.ErrNotExist},
		{supervisor.Command{Path: dir}, "execve", unix.EACCES},
		{supervisor.Command{Path: script}, "execve", unix.ENOEXEC},
		{supervisor.Command{Path: "/bin/true", Dir: dir + "/none"}, "chdir", unix.ENOENT},
		{supervisor.Command{Path: "/bin/true", Keep: []int{987}}, "fcntl on a descriptor to keep", unix.EBADF},
		{supervisor.Command{Path: "/bin/true", Args: []string{"a\x00b"}}, "execve", unix.EINVAL},
	} {
		_, err := supervisor.Run(context.Background(), plan, c.cmd, supervisor.Options{})
		var failed *supervisor.StartError
		if !errors.As(err, &failed) || failed.Op != c.op || !errors.Is(err, c.want) {
			t.Errorf("%+v: %v; want %s: %v", c.cmd, err, c.op, c.want)
		}
	}
}

func TestDescriptors(t *testing.T) {
	kept, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	leaked, err := unix.Dup(int(kept.Fd())) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaked)
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := supervisor.Command{Path: "/bin/ls", Args: []string{"ls", "/proc/self/fd"},
		Files: []*os.File{nil, out, out}, Keep: []int{int(kept.Fd())}}
	if _, err := supervisor.Run(context.Background(), planOf(t, allowAll), cmd, supervisor.Options{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	// ls opens the folder itself, at the lowest free number: 0.
	if want := fmt.Sprintf("0\n1\n2\n%d\n", kept.Fd()); string(text) != want {
		t.Errorf("the command has descriptors %q, want %q", text, want)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"runs": 0o755, "data": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, want string
		err              error
	}{
		{"runs", dir, dir + "/runs", nil},
		{"runs", "/nonexistent:" + dir, dir + "/runs", nil},
		{"data", dir, "", unix.EACCES},
		{"folder", dir, "", unix.EISDIR},
		{"none", dir, "", fs.ErrNotExist},
		{"", dir, "", fs.ErrNotExist},
		{dir + "/runs", "", dir + "/runs", nil},
		{"./runs", "", "./runs", nil},
		{"./none", "", "", fs.ErrNotExist},
	} {
		got, err := supervisor.Find(c.name, c.path, dir)
		if !errors.Is(err, c.err) || err == nil && got != c.want {
			t.Errorf("Find(%q, %q) = %q, %v; want %q, %v", c.name, c.path, got, err, c.want, c.err)
		}
	}
}
