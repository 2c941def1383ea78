package work

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name  string
		matches, leads bool
	}{
		{"out/**", "out/a", true, true},
		{"out/**", "out", true, true},
		{"out/*", "out/a/b", false, false},
		{"**/*.xml", "a.xml", true, true},
		{"**/*.xml", "a/b/c.xml", true, true},
		{"a/**/b", "a/b", true, true},
		{"a/**/b", "a/x/y", false, true},
		{"a/b", "a", false, true},
		{"a/b", "c", false, false},
		{"./a", "a", true, true},
		{"**", "a/b", true, true},
		{"**/**/b", "a/b", true, true},
		{"**/a/**/a", "a/x", false, true},
		{"**/a/b", "a/a/b", true, true},
		{"**/a/b/**/c", "a/a/b/a/b/x/c", true, true},
		{"a/**/b/**", "a/b", true, true},
		{"a/b", "a/b/c", false, false},
	} {
		if got := matches([]string{c.pattern}, c.name); got != c.matches {
			t.Errorf("%s matches %s: %t", c.pattern, c.name, got)
		}
		if got := leads([]string{c.pattern}, c.name); got != c.leads {
			t.Errorf("%s leads below %s: %t", c.pattern, c.name, got)
		}
	}
}

// TestMatchTime: many ** take no longer than one.
func TestMatchTime(t *testing.T) {
	pattern, name := strings.Repeat("**/a/", 200)+"b", strings.Repeat("a/", 1000)+"c"
	begun := time.Now()
	if matches([]string{pattern}, name) {
		t.Errorf("%s matches %s", pattern, name)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"", "/a", "..", "a/..", "a/../../b", "a\x00", ".", "a/", "./", "../a"} {
		if CheckName(name) == nil {
			t.Errorf("%q passes", name)
		}
	}
	for _, name := range []string{"a", "a/b", "./a", "..a", "a/...", "-", "*"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
