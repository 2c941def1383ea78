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
	found string            // what a run without -p finds there; "": nothing
	texts map[string][]byte // as they were read, by absolute names; nil: nobody could
}

// watchSources begins with what is found in a folder now.
func watchSources(dir string) *sources {
	s := &sources{dir: cmp.Or(dir, "."), texts: map[string][]byte{}}
	if file, err := policy.Find(s.dir); err == nil && file != "" {
		s.found, s.texts[file] = file, textOf(file)
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
	_, known := s.texts[found]
	switch {
	case err != nil:
	case found == "" && s.found != "" && textOf(s.found) != nil: // the repository ends elsewhere now
		say(os.Stderr, printable(relative(s.found))+" is not found any more, since a .git was made or removed during this run: the next one that names no policy is under "+defaultPolicy)
	case found != "" && !known:
		say(os.Stderr, printable(relative(found))+" was made during this run: the next one that names no policy is under it"+look)
	}
	var changed []string
	for name, was := range s.texts {
		if now := textOf(name); (now == nil) != (was == nil) || !bytes.Equal(now, was) {
			changed = append(changed, printable(relative(name)))
		}
	}
	slices.Sort(changed)
	for _, name := range changed {
		say(os.Stderr, name+" was changed during this run: the next one may be under what it says now"+look)
	}
}

// textOf is what a file holds, nil where that cannot be read. What is no file is not opened: a
// FIFO would be waited for.
func textOf(name string) []byte {
	if !isFile(name) {
		return nil
	}
	text, err := policy.ReadFile(name)
	if err != nil {
		return nil
	}
	return text
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}
