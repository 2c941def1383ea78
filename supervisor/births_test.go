package supervisor

import (
	"testing"

	"callgate/policy/compile"
	"callgate/supervisor/ptrace"
)

// TestUnknownParent: a process whose parent dies while it is announced goes on, and is taken
// for one that shares what can be shared, though it may have stopped already.
func TestUnknownParent(t *testing.T) {
	for _, held := range []ptrace.Kind{ptrace.Unknown, ptrace.EventStop} {
		s := replay(t, &recording{})
		r := &recording{dead: map[int]bool{root: true}}
		s.kernel, s.holders = r, compile.Holders{Files: compile.Supervisor}
		s.first.armed = true
		if held != ptrace.Unknown {
			s.tasks[child] = &task{tid: child, heldAt: held, fresh: true}
			s.held++
		}
		if err := s.welcome(s.tasks[root], child); err != nil {
			t.Fatal(err)
		}
		p := s.tasks[child].process
		if !p.shares() || !p.armed || s.held != 0 || (held != ptrace.Unknown) != (len(r.asked) == 1) {
			t.Errorf("held at %v: %+v, %d are held, %q", held, p, s.held, r.asked)
		}
		r.dead = nil
		if err := s.bequeath(s.tasks[root], p); err != nil || p.shares() {
			t.Errorf("of a fork that is known it is %+v, %v", p, err)
		}
	}
}
