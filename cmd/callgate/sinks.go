package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/supervisor/audit"
	"callgate/supervisor/host"
)

// sinks are where a run's events go: the files of --audit and the terminal.
type sinks struct {
	audit, terminal audit.Sink
	files           []io.Closer
	quiet           bool
}

func openSinks(f *runFlags, rules *policy.Sections) (*sinks, error) {
	s := &sinks{quiet: f.quiet}
	places := make([]string, len(f.audit))
	for i, name := range f.audit {
		var err error
		if places[i], err = logPlace(rules, name); err != nil {
			return nil, err
		}
	}
	files, err := audit.OpenTargets(f.audit)
	if err != nil {
		return nil, err
	}
	var targets []audit.Sink
	for i, w := range files {
		if !isAt(places[i], w) {
			return nil, fmt.Errorf("audit: %s: another file took its place as it was opened", printable(f.audit[i]))
		}
		s.files = append(s.files, w)
		targets = append(targets, audit.NewJSON(w, audit.JSONOptions{}))
	}
	if len(targets) > 0 {
		s.audit = audit.Tee(targets...)
	}
	if !f.quiet {
		s.terminal = audit.NewTerminal(f.room.errors(), audit.TerminalOptions{Permissive: f.permissive})
	}
	return s, nil
}

// logPlace is where a log that --audit names is, its links followed, if the command may put
// another file there; else "". It is refused where a link leads it to what the command may not write, if the command
// may have made that link when it ran before: callgate would write for it, and what it says of
// arguments is the command's to choose.
func logPlace(rules *policy.Sections, name string) (string, error) {
	if rules == nil || !rules.Has(policy.Files) || name == "-" || strings.HasPrefix(name, "fd:") {
		return "", nil
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	at, err := host.Place("/", nil)
	if err != nil {
		return "", err
	}
	writes := func(name string) bool { return rules.File(name, policy.Write).Action.Permits() }
	to, through := at.Links(path)
	switch {
	case writes(to) && !writes("/"):
		return to, nil
	case writes(to), !slices.ContainsFunc(through, writes):
		return "", nil // all that it could write it may, or it has no say
	}
	return "", &failure{
		err:  fmt.Errorf("audit: a symbolic link leads %s to %s, and is not followed: the command may have made it", printable(name), printable(to)),
		hint: "name what it leads to, if that is meant",
	}
}

// isAt says whether the log that was opened is the one at that place, where a link could have been
// put meanwhile.
func isAt(place string, log io.WriteCloser) bool {
	file, ok := log.(*os.File)
	if place == "" || !ok {
		return true
	}
	opened, err := file.Stat()
	if err != nil || !opened.Mode().IsRegular() {
		return err == nil
	}
	there, err := os.Lstat(place)
	return err == nil && os.SameFile(opened, there)
}

// close writes what is left and tells what was lost: a run is not failed by
// its audit, but nobody shall take a log with gaps for a whole one.
func (s *sinks) close() {
	if s.terminal != nil {
		_, _ = s.terminal.Close() // to stderr: there is nowhere else to tell
	}
	if s.audit == nil {
		return
	}
	lost, err := s.audit.Close()
	for _, f := range s.files {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}
	switch {
	case lost > 0 && err == nil:
		say(os.Stderr, fmt.Sprintf("%d audit events were lost: they came faster than they could be written", lost))
	case lost > 0:
		say(os.Stderr, fmt.Sprintf("%d audit events were lost: %v", lost, err))
	case err != nil:
		say(os.Stderr, fmt.Sprintf("audit: %v", err))
	}
}
