package work

import (
	"path"
	"strings"
)

// CheckPattern says why a pattern of collect cannot be one.
func CheckPattern(pattern string) error {
	if err := CheckName(pattern); err != nil {
		return err
	}
	for part := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(part, ""); err != nil {
			return err
		}
	}
	return nil
}

// matches says whether a path matches one of the patterns: * and ? and classes
// stay within a component, ** is any number of them.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if match(strings.Split(path.Clean(p), "/"), strings.Split(name, "/"), false) {
			return true
		}
	}
	return false
}

// leads says whether anything below a folder can match.
func leads(patterns []string, folder string) bool {
	for _, p := range patterns {
		if match(strings.Split(path.Clean(p), "/"), strings.Split(folder, "/"), true) {
			return true
		}
	}
	return false
}

// match matches components; with prefix the name may be the beginning of what would
// match. Where one does not match, the last ** takes one more: those before it need
// not, since what they could take it can.
func match(pattern, name []string, prefix bool) bool {
	p, n := 0, 0
	deep, taken := -1, 0 // the last **, and where what it has taken ends
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			if prefix {
				return true
			}
			deep, taken = p, n
			p++
		case p < len(pattern) && matchOne(pattern[p], name[n]):
			p++
			n++
		case deep >= 0:
			taken++
			p, n = deep+1, taken
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return prefix || p == len(pattern)
}

func matchOne(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // CheckPattern has seen to it
	return ok
}
