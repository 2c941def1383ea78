package work

import "testing"

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
	} {
		if got := matches([]string{c.pattern}, c.name); got != c.matches {
			t.Errorf("%s matches %s: %t", c.pattern, c.name, got)
		}
		if got := leads([]string{c.pattern}, c.name); got != c.leads {
			t.Errorf("%s leads below %s: %t", c.pattern, c.name, got)
		}
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
