package resolve

import (
	"path"
	"strings"
	"testing"
)

func TestLexical(t *testing.T) {
	for _, c := range []struct {
		base, name, want string
		slash, ok        bool
	}{
		{"/a", "b", "/a/b", false, true},
		{"/", "b", "/b", false, true},
		{"/a", "/b", "/b", false, true},
		{"/a", "/b/", "/b", true, true},
		{"/a/b", "..", "/a", false, true},
		{"/a/b", "../../../..", "/", false, true},
		{"/a/b", "../c", "/a/c", false, true},
		{"/a", "b/..", "/a", false, false},
		{"/a", "/..", "/", false, true},
		{"/a", "/../..//.b/./...", "/.b/...", false, true},
		{"/a", ".", "/a", false, true},
		{"/", ".", "/", false, true},
		{"/", "..", "/", false, true},
		{"/a", "./", "/a", true, true},
		{"/a", "/", "/", true, true},
		{"/a", "//", "/", true, true},
		{"/a", "", "/a", false, true},
		{"/a", "\xff/..x", "/a/\xff/..x", false, true},
	} {
		if got, slash, ok := Lexical(c.base, c.name); got != c.want || slash != c.slash || ok != c.ok {
			t.Errorf("Lexical(%q, %q) = %q, %v, %v", c.base, c.name, got, slash, ok)
		}
	}
}

func FuzzLexical(f *testing.F) {
	for _, name := range []string{"", "/", "..", "a/../b/", "/a//b/./c", "...", "/..a/.b./", "\x00\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const base = "/base/folder"
		got, slash, ok := Lexical(base, name)
		want := path.Clean(name)
		if !strings.HasPrefix(name, "/") {
			want = path.Join(base, name)
		}
		if got != want || !clean(got) || slash != strings.HasSuffix(name, "/") {
			t.Fatalf("%q: %q, %v", name, got, slash)
		}
		if again, _, _ := Lexical(base, got); again != got {
			t.Fatalf("%q: %q", got, again)
		}
		if !ok && !strings.Contains(name, "/..") {
			t.Fatalf("%q: not ok", name)
		}
	})
}
