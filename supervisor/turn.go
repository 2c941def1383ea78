package supervisor

import (
	"time"

	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// turns gives the CPU to the task that stops again and again, before all tasks are
// waited for.
//
// A wait for whichever task looks at every one, before it sleeps and again after
// it was woken (do_wait and ptrace_do_wait in kernel/exit.c): with 1,000 tasks
// that is half as much as the rest of a stop, for any tracer. A wait for one task
// is a look-up. So where one task alone stops, on the tracer's own CPU (placement),
// the tracer lets it run by sched_yield(2) and asks for its next stop, which also
// saves being put to sleep and woken. It never sleeps there: if the task has not
// stopped by then, and after a while anyhow, all are waited for.
type turns struct {
	tid   int // whose they are
	rest  int // rounds of the loop until there are some again
	pause int // how long the last rest was
	quick int // turns since
}

const (
	turnsMost = 64 // in a row, until all are waited for
	// A turn that takes longer shows that the task computes, or that others want
	// this CPU too: then to yield is to wait for all of them, and worse, since
	// Linux 6.18 takes it for a slice of time used up (yield_task_fair in
	// kernel/sched/fair.c).
	turnLongest = 100 * time.Microsecond
	// A rest after such a turn, or after another task's stop. Those after long turns are
	// doubled, until as many turns in a row are quick.
	restLeast, restMost = 64, 1 << 14
)

// giveTurns deals with stops of the task that stops again and again; false says
// that there were none.
func (s *sandbox) giveTurns() bool {
	tid := s.place.last
	if !s.place.leased(tid) || !s.turns.begin(tid) {
		return false
	}
	n := 0
	for ; n < turnsMost && s.place.leased(tid); n++ {
		stop, ok := s.turn(tid)
		if !ok {
			break
		}
		s.handle(stop)
	}
	return n > 0
}

// turn lets tid run and says what became of it, if that is known already. Often it
// has run before the tracer knows: who wakes another may have to make way for it.
func (s *sandbox) turn(tid int) (ptrace.Stop, bool) {
	if stop, ok := s.kernel.WaitFor(tid); ok {
		return stop, ok
	}
	if s.turns.rest > 0 {
		return ptrace.Stop{}, false
	}
	began := time.Now()
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // it cannot fail
	s.turns.took(time.Since(began))
	return s.kernel.WaitFor(tid)
}

// begin says whether tid, whose stop was the last, has turns now.
func (t *turns) begin(tid int) bool {
	if tid != t.tid {
		t.tid, t.rest = tid, max(t.rest, restLeast)
	}
	if t.rest > 0 {
		t.rest--
		return false
	}
	return true
}

// took notes how long a turn was.
func (t *turns) took(d time.Duration) {
	if d > turnLongest {
		t.pause = min(max(restLeast, 2*t.pause), restMost)
		t.rest, t.quick = t.pause, 0
		return
	}
	if t.quick++; t.quick > t.pause {
		t.pause, t.quick = t.pause/2, 0
	}
}
