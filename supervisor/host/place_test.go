package host

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// TestLinks: where links lead, and which ones did.
func TestLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "real/d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"a": "b", "b": "c/d", "c": "real", "loop": "loop", "round": "trip", "trip": "round", "gone": "real/none", "real/up": "../a", "out": dir + "/c",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	l := newLinker()
	defer l.close()
	for name, want := range map[string][]string{
		"real/d":   {"real/d"},
		"real/x/y": {"real/x/y"},
		"a":        {"real/d", "a", "b", "c"},
		"a/x":      {"real/d/x", "a", "b", "c"},
		"b":        {"real/d", "b", "c"},
		"c/up":     {"real/d", "c", "real/up", "a", "b", "c"},
		"gone/x":   {"real/none/x", "gone"},
		"out/d":    {"real/d", "out", "c"},
		"loop":     {"loop", "loop"},
		"loop/x":   {"loop/x", "loop"},
	} {
		to, through := l.follow(filepath.Join(dir, name))
		for i := range want {
			want[i] = filepath.Join(dir, want[i])
		}
		if to != want[0] || !slices.Equal(through, want[1:]) {
			t.Errorf("%s leads to %s by %q, not to %s by %q", name, to, through, want[0], want[1:])
		}
	}
	if _, through := l.follow(filepath.Join(dir, "round")); !slices.Contains(through, filepath.Join(dir, "trip")) && !slices.Contains(through, filepath.Join(dir, "round")) {
		t.Errorf("a link that leads round: %q", through)
	}
}

// TestLinksOfMany: names lead where the kernel has them lead, whichever others were asked for and however
// often, and what is there is what a look tells.
func TestLinksOfMany(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer other.Close()
	fd, nameless := strconv.Itoa(int(held.Fd())), strconv.Itoa(int(pipe.Fd()))
	names := []string{"/", "/bin/sh", "/proc/self", "/proc/mounts", "/dev/stdin", "/dev/fd/0/x", "/dev/fd/" + fd}
	for _, first := range []string{"/a", "/b", "/c", "/d"} {
		for _, second := range []string{"", "/b", "/c", "/none"} {
			names = append(names, dir+first+second, dir+first+second+"/b")
		}
	}
	targets := map[string][]string{ // none leads round: there it does depend on it
		"a/c": {"b", "../b", "../a/b", "none"},
		"b":   {"a", "a/b", "none/b"},
		"c":   {"a", "b", "b/c", dir + "/b", "/dev/fd/0", "/proc/self", "/dev/fd/" + fd, "/proc/self/fd/" + fd + "/b"},
		"d":   {"c", "c/b", "a/c", "b/../c", "/proc/self/root" + dir + "/c", "/proc/thread-self/../../../mounts", "/dev/fd/" + nameless},
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		for link, to := range targets {
			os.Remove(filepath.Join(dir, link))
			if err := os.Symlink(to[rnd.IntN(len(to))], filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		l := newLinker()
		for range 2 * len(names) {
			name := names[rnd.IntN(len(names))]
			alone := newLinker()
			to, through := l.follow(name)
			wantTo, wantThrough := alone.follow(name)
			alone.close()
			if to != wantTo || !slices.Equal(through, wantThrough) {
				t.Fatalf("%s leads to %s by %q, and asked for alone to %s by %q", name, to, through, wantTo, wantThrough)
			}
			if want := opened(name); filepath.IsAbs(want) && want != to || want != "" && want != opened(to) {
				t.Fatalf("%s leads to %s, and the kernel opens %s", name, to, want)
			}
			if got, want := l.look(to), launch.Look(to); got != want {
				t.Fatalf("%s is %d, not %d", to, got, want)
			}
		}
		l.close()
	}
}

// opened is what the kernel opens by a name, as proc(5) calls it; "" if it does not.
func opened(name string) string {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	what, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	own := "/proc/" + strconv.Itoa(os.Getpid())
	if rest, is := strings.CutPrefix(what, own); is && (rest == "" || rest[0] == '/') {
		return "/proc/self" + rest
	}
	return what
}
