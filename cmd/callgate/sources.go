package main

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"callgate/policy"
)

// sources are the policies' files that a run rests on, and the one that a run without -p
// would find. Where the command can write them, it says what the next run may do.
type sources struct {
	dir   string            // that of the run
	texts map[string][]byte // as they were read, by absolute names
}

// watchSources begins with what is found in a folder now.
func watchSources(dir string) *sources {
	s := &sources{dir: cmp.Or(dir, "."), texts: map[string][]byte{}}
	if file, err := policy.Find(s.dir); err == nil && file != "" {
		_, _ = s.read(file) // whoever uses it hears of an error
	}
	return s
}

// read is for a policy.Loader.
func (s *sources) read(path string) ([]byte, error) {
	text, err := policy.ReadFile(path)
	if name, none := filepath.Abs(path); none == nil && isFile(path) {
		s.texts[name] = text
	}
	return text, err
}

// tell warns of what is not as it was.
func (s *sources) tell() {
	const look = "; look at it first"
	found, err := policy.Find(s.dir)
	if _, known := s.texts[found]; !known && found != "" && err == nil {
		say(os.Stderr, printable(relative(found))+" was made during this run: the next one that names no policy is under it"+look)
	}
	var changed []string
	for name, was := range s.texts {
		if !same(name, was) {
			changed = append(changed, printable(relative(name)))
		}
	}
	slices.Sort(changed)
	for _, name := range changed {
		say(os.Stderr, name+" was changed during this run: the next one may be under what it says now"+look)
	}
}

func same(name string, was []byte) bool {
	if !isFile(name) { // a FIFO would be waited for
		return false
	}
	now, err := policy.ReadFile(name)
	return err == nil && bytes.Equal(now, was)
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}
