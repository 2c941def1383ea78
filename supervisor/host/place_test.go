package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
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
