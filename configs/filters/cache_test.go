package filters

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

func newCache(t *testing.T) *Cache {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c := UserCache("test")
	if c.dir == "" {
		t.Fatal("there is none")
	}
	return c
}

func parsed(t *testing.T, text string) policy.Set {
	t.Helper()
	var l policy.Loader
	p, err := l.Parse("own.yaml", []byte("callgate: 1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return policy.Set{p}
}

const rules = "default: allow\nsyscalls:\n  - deny: ioctl\n    args: {request: TIOCSTI}\n  - deny: swapon\n"

// kept is the files of a cache.
func kept(t *testing.T, c *Cache) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCache(t *testing.T) {
	c := newCache(t)
	compiles := func(text string, opts compile.Options) []byte {
		t.Helper()
		plan, err := c.Compile(parsed(t, text), opts)
		if err != nil {
			t.Fatal(err)
		}
		got := compile.AppendPrograms(nil, plan.Filters)
		if want := compiled(t, parsed(t, text), opts); !bytes.Equal(got, compile.AppendPrograms(nil, want.Filters)) {
			t.Errorf("%+v: the filter is another than what is compiled", opts)
		}
		return got
	}
	for i, want := range []int{1, 1} { // compiled, then taken
		compiles(rules, compile.Options{})
		if n := len(kept(t, c)); n != want {
			t.Errorf("%d files after start %d", n, i+1)
		}
	}
	// One is there that does more than it has to: the one that stops where conditions are.
	file := kept(t, c)[0]
	opts := compile.Options{}
	plan := compiled(t, parsed(t, rules), opts)
	more := len(stops(unix.SYS_IOCTL, plan.Filters[0]))
	if err := os.WriteFile(file, compile.AppendPrograms(nil, []compile.Program{stops(unix.SYS_IOCTL, plan.Filters[0])}), 0o600); err != nil {
		t.Fatal(err)
	}
	if plan, err := c.Compile(parsed(t, rules), opts); err != nil || len(plan.Filters[0]) != more {
		t.Errorf("%v: what is in the cache is not taken", err)
	}
	must(t, os.Remove(file))

	for _, text := range []string{rules, rules + "errno: EACCES\n", rules + "compat: {i386: same}\n", rules + "  - deny: swapoff\n"} {
		for _, opts := range []compile.Options{{}, {Report: true}, {Births: true}, {Holders: compile.Holders{Files: compile.Supervisor}}} {
			before := len(kept(t, c))
			compiles(text, opts)
			if len(kept(t, c)) != before+1 {
				t.Errorf("%q with %+v has no file of its own", text, opts)
			}
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stops is a program that sends one call to the supervisor, before another.
func stops(nr uint32, before compile.Program) compile.Program {
	return append(compile.Program{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: abi.AuditX86_64},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE | compile.TraceData},
	}, before...)
}

// opens is a program that allows everything where an argument of ioctl has one value of
// 2^32 that nothing speaks of, before another.
func opens(before compile.Program) compile.Program {
	return append(compile.Program{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_IOCTL},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 32},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: 0x1badcafe},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}, before...)
}

// TestCachePlanted: whoever can write to the cache cannot widen what a policy allows, nor
// keep a command from starting.
func TestCachePlanted(t *testing.T) {
	good := compiled(t, parsed(t, rules), compile.Options{}).Filters
	file := func(programs ...compile.Program) func(string) error {
		return func(path string) error { return os.WriteFile(path, compile.AppendPrograms(nil, programs), 0o600) }
	}
	for name, plant := range map[string]func(string) error{
		"nothing is denied":         file(compile.Program{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}),
		"one value lets through":    file(opens(good[0])),
		"a call without conditions": file(stops(unix.SYS_READ, good[0])),
		"no program":                file(),
		"an empty program":          file(nil),
		"cut off":                   func(path string) error { return os.WriteFile(path, compile.AppendPrograms(nil, good)[:20], 0o600) },
		"without end":               func(path string) error { return os.Symlink("/dev/zero", path) },
		"a link to one that is right": func(path string) error {
			elsewhere := path + ".elsewhere"
			return errors.Join(file(stops(unix.SYS_IOCTL, good[0]))(elsewhere), os.Symlink(elsewhere, path))
		},
		"a link to itself": func(path string) error { return os.Symlink(path, path) },
		"nobody writes":    func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a folder":         func(path string) error { return os.MkdirAll(filepath.Join(path, "sub"), 0o700) },
		"too large": func(path string) error {
			return os.WriteFile(path, append(compile.AppendPrograms(nil, good), make([]byte, mostRead)...), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(t)
			must(t, os.MkdirAll(c.dir, 0o700))
			must(t, plant(filepath.Join(c.dir, c.name(parsed(t, rules), &compile.Options{}))))
			plan, err := c.Compile(parsed(t, rules), compile.Options{})
			must(t, err)
			if !slices.EqualFunc(plan.Filters, good, slices.Equal[compile.Program]) {
				t.Error("the filter is another than what is compiled")
			}
			if left, _ := filepath.Glob(filepath.Join(c.dir, "new-*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestCacheOfOthers: a process that runs as another user than whose folder it is leaves
// nothing there, nor does one where there is none.
func TestCacheOfOthers(t *testing.T) {
	theirs := "/usr"
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(theirs, link))
	if os.Geteuid() == 0 {
		theirs = t.TempDir()
		must(t, os.Chown(theirs, 1, 1))
		must(t, os.Lchown(link, 1, 1)) // of theirs to what is ours
	}
	t.Setenv("HOME", "")
	for _, dir := range []string{theirs, link, "cache", "", filepath.Join(t.TempDir(), "missing")} {
		t.Setenv("XDG_CACHE_HOME", dir)
		c := UserCache("test")
		if c.dir != "" {
			t.Errorf("%q is used", c.dir)
		}
		if _, err := c.Compile(parsed(t, rules), compile.Options{}); err != nil {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

// TestCacheLinked: with a link in the cache's place nothing is put where that leads, nor
// removed there.
func TestCacheLinked(t *testing.T) {
	c := newCache(t)
	theirs := t.TempDir()
	for i := range mostKept + 20 {
		must(t, os.WriteFile(filepath.Join(theirs, fmt.Sprintf("letter%d", i)), nil, 0o600))
	}
	must(t, os.Symlink(theirs, c.dir))
	_, err := c.Compile(parsed(t, rules), compile.Options{})
	must(t, err)
	if n := len(kept(t, c)); n != mostKept+20 {
		t.Errorf("%d files, not %d", n, mostKept+20)
	}
}

// TestCacheIsBounded: the oldest filters make room.
func TestCacheIsBounded(t *testing.T) {
	c := newCache(t)
	for i := range mostKept + 20 {
		name := fmt.Sprintf("%03d.bpf", i)
		must(t, c.keep(name, nil))
		at := time.Unix(int64(i-mostKept), 0) // as clocks tick too slowly for the order
		if err := os.Chtimes(filepath.Join(c.dir, name), at, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	files := kept(t, c)
	if first := filepath.Base(files[0]); len(files) != mostKept || first < "010" {
		t.Errorf("%d files, the first %s", len(files), first)
	}
	// Somebody may have put more there than it takes moments to look at.
	const more = 2 * mostSeen
	for i := range more {
		must(t, os.WriteFile(filepath.Join(c.dir, fmt.Sprint("other", i)), nil, 0o600))
	}
	must(t, c.keep("last.bpf", nil))
	if n := len(kept(t, c)); n < more-mostSeen {
		t.Errorf("%d files are left of %d", n, more)
	}
}
