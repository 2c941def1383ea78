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

// match matches components; with prefix the name may be the beginning of what
// would match.
func match(pattern, name []string, prefix bool) bool {
	for len(pattern) > 0 {
		if len(name) == 0 {
			return prefix || pattern[0] == "**" && match(pattern[1:], nil, false)
		}
		if pattern[0] == "**" {
			return prefix || match(pattern[1:], name, false) || match(pattern, name[1:], false)
		}
		if ok, _ := path.Match(pattern[0], name[0]); !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}
