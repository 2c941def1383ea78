package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"callgate/policy"
	"callgate/supervisor/audit"
)

// sinks are where a run's events go: the files of --audit and the terminal.
type sinks struct {
	audit, terminal audit.Sink
	files           []io.Closer
	quiet           bool
}

func openSinks(f *runFlags, rules *policy.Sections) (*sinks, error) {
	s := &sinks{quiet: f.quiet}
	files, err := openLogs(f.audit, reachUnder(rules))
	if err != nil {
		return nil, err
	}
	var targets []audit.Sink
	for _, w := range files {
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

// openLogs opens what --audit names. What is said there of arguments is the command's to choose: no
// link of its making leads a log elsewhere.
func openLogs(names []string, writes reach) ([]io.WriteCloser, error) {
	places := make([]string, len(names))
	for i, name := range names {
		if name == "-" || strings.HasPrefix(name, "fd:") {
			continue
		}
		var err error
		if places[i], err = writes.place(name); err != nil {
			return nil, &failure{status: exitCallgate, err: fmt.Errorf("audit: %w", err), hint: placeHint}
		}
	}
	logs, err := audit.OpenTargets(names)
	if err != nil {
		return nil, err
	}
	for i, w := range logs {
		if file, ok := w.(*os.File); ok && !isAt(places[i], file) {
			return nil, fmt.Errorf("audit: %s: another file took its place as it was opened", printable(names[i]))
		}
	}
	return logs, nil
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
