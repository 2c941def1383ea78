package host

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"callgate/supervisor/launch"
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

// TestLinksAgain: where names lead does not depend on which others were asked for, nor on how often, and
// what is there is what a look tells.
func TestLinksAgain(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"/", "/proc/self", "/dev/stdin", "/dev/fd/0/x"}
	for _, first := range []string{"/a", "/b", "/c", "/d"} {
		for _, second := range []string{"", "/b", "/c", "/none"} {
			names = append(names, dir+first+second, dir+first+second+"/b")
		}
	}
	targets := map[string][]string{ // none leads round: there it does depend on it
		"a/c": {"b", "../b", "../a/b", "none"},
		"b":   {"a", "a/b", "none/b"},
		"c":   {"a", "b", "b/c", dir + "/b", "/dev/fd/0", "/proc/self"},
		"d":   {"c", "c/b", "a/c", "b/../c", "/proc/self/root" + dir + "/c"},
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
			if got, want := l.look(to), launch.Look(to); got != want {
				t.Fatalf("%s is %d, not %d", to, got, want)
			}
		}
		l.close()
	}
}
