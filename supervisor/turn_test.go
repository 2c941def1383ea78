package supervisor

import (
	"testing"
	"time"

	"callgate/supervisor/ptrace"
)

// leasedRun is a sandbox whose first task is held on the tracer's CPU and may have
// turns.
func leasedRun(t *testing.T, stops ...ptrace.Stop) (*sandbox, *recording) {
	t.Helper()
	r := &recording{stops: stops, infos: map[int]ptrace.SyscallInfo{root: call("read"), child: call("read")}, message: map[int]int{root: child}}
	s := replay(t, &recording{})
	s.kernel = r
	s.place.last = root
	s.place.narrowed.Store(root)
	s.turns.tid = root
	s.tasks[child] = &task{tid: child}
	s.join(s.tasks[child], &process{pid: child})
	return s, r
}

// A task on lease has turns, but not for ever: all others are waited for in between.
func TestTurns(t *testing.T) {
	var stops []ptrace.Stop
	for range 3 * turnsMost {
		stops = append(stops, at(ptrace.Seccomp, root))
	}
	s, r := leasedRun(t, stops...)
	if !s.giveTurns() || r.turns != turnsMost || len(r.asked) != turnsMost {
		t.Errorf("%d turns, %d stops dealt with; want %d", r.turns, len(r.asked), turnsMost)
	}
	s.place.narrowed.Store(0)
	if s.giveTurns() {
		t.Error("a task had a turn that is not on the tracer's CPU")
	}
}

// Another task's stop ends them: where several stop, all are waited for.
func TestTurnsEnd(t *testing.T) {
	s, r := leasedRun(t, at(ptrace.Seccomp, root), at(ptrace.Seccomp, child), at(ptrace.Seccomp, root))
	if !s.giveTurns() || r.turns != 1 {
		t.Errorf("%d turns, want 1", r.turns)
	}
	s.place.last = child
	s.place.narrowed.Store(child)
	for i := range restLeast {
		if s.giveTurns() {
			t.Fatalf("a turn in round %d after another task's stop", i)
		}
	}
	if !s.giveTurns() {
		t.Error("no turn after the rest")
	}
}

// The leased task's death in its turn is dealt with like any.
func TestTurnsDeath(t *testing.T) {
	s, _ := leasedRun(t, at(ptrace.Exited, root))
	if !s.giveTurns() || s.tasks[root] != nil || !s.ending {
		t.Errorf("the first process's death was not seen: %v", s.tasks)
	}
}

// On a CPU that others want too there are ever fewer turns.
func TestTurnsRest(t *testing.T) {
	var n turns
	turns, rounds := 0, 100_000
	for range rounds {
		if n.begin(0) {
			turns++
			n.took(time.Millisecond)
		}
	}
	if turns > 20 {
		t.Errorf("%d turns in %d rounds though each was long", turns, rounds)
	}
	for n.pause > 0 {
		n.took(time.Microsecond)
	}
	if n.took(time.Millisecond); n.rest != restLeast {
		t.Errorf("a rest of %d rounds after many quick turns, want %d", n.rest, restLeast)
	}
}
