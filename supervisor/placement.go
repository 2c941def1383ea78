package supervisor

import (
	"sync"
	"sync/atomic"
	"time"

	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// placement brings a task that stops often to the tracer's CPU, and gives it
// back as soon as that could cost it anything.
//
// Where the two wake each other decides what a stop costs: 6 us on one CPU and
// 50 to 65 across two, on a quiet virtual machine with two CPUs, because an idle
// CPU has to be woken twice a stop. The scheduler always chooses the idle CPU:
// PTRACE_CONT wakes without the WF_SYNC hint. With one task that stops,
// narrowing its affinity was never slower, up to a stop a millisecond; with
// several it costs them their parallelism, so only one task at a time is ever
// narrowed (docs/bench.md).
//
// The sandbox cannot see it: a narrowed task has its affinity back before
// sched_getaffinity is executed, its children are born with all of it, and a
// sandbox that sets an affinity is not placed any more. What is left to see is
// Cpus_allowed in /proc/PID/status.
//
// All methods but the watch's are the tracer thread's.
type placement struct {
	off    atomic.Bool // the sandbox places itself, or there is one CPU only
	known  bool        // begin has run
	tracer int
	base   unix.CPUSet // where everything may run
	wide   unix.CPUSet // what gives base back

	asked int // calls under way that tell a task's affinity

	last  int       // the task that stopped last
	row   int       // how often in a row
	since time.Time // its first stop of the row
	until time.Time // the end of the lease

	stops atomic.Uint32 // counted for the watch

	mu       sync.Mutex
	narrowed atomic.Int64 // the task on lease, 0 if none; set with mu held
	cpu      unix.CPUSet  // where it is held
	watch    chan struct{}
	watching bool
}

const (
	hotStops = 8                      // in a row make a task hot
	hotSpan  = 8 * time.Millisecond   // if they come within this
	lease    = 100 * time.Millisecond // then the scheduler may choose another CPU
	tick     = 2 * time.Millisecond   // without a stop: give back
	idle     = 50                     // ticks until the watch sleeps
)

// stop says that tid has stopped and is about to be resumed.
func (p *placement) stop(tid int) {
	if p.off.Load() {
		return
	}
	p.stops.Add(1)
	if tid != p.last {
		p.last, p.row = tid, 1
		return
	}
	p.row++
	switch {
	case p.row == 2:
		p.since = time.Now()
	case p.row%hotStops != 0: // the clock is read once in a while only
	case p.leased(tid):
		if time.Now().After(p.until) {
			p.giveBack()
		}
	case time.Since(p.since) > hotSpan:
		p.row = 1
	default:
		p.giveBack()
		p.takeWatched(tid)
	}
}

// leased says whether tid is held on the tracer's CPU.
func (p *placement) leased(tid int) bool { return tid != 0 && p.narrowed.Load() == int64(tid) }

// take binds tid, and the tracer where it is, to one CPU. A task whose affinity
// is not what everything began with has its own reasons and is left alone.
func (p *placement) take(tid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked > 0 || !p.known && !p.begin() {
		return
	}
	var now unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &now); err != nil || now != p.base {
		return
	}
	here, err := ptrace.CPU()
	if err != nil {
		p.off.Store(true)
		return
	}
	p.cpu.Zero()
	p.cpu.Set(here)
	if err := unix.SchedSetaffinity(0, &p.cpu); err != nil {
		p.off.Store(true)
		return
	}
	p.narrowed.Store(int64(tid))
	p.until = time.Now().Add(lease)
	if err := unix.SchedSetaffinity(tid, &p.cpu); err != nil {
		p.widen()
		return
	}
}

// takeWatched is take for a task that may run on for a while: the watch gives
// the lease back if it does not stop any more.
func (p *placement) takeWatched(tid int) {
	p.take(tid)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.narrowed.Load() == 0 || p.watching {
		return
	}
	if p.watch == nil {
		p.watch = make(chan struct{}, 1)
		go p.watchStops()
	}
	p.watching = true
	p.watch <- struct{}{}
}

// begin learns where everything may run. A mask of all CPUs is one that was
// never narrowed: it follows a cpuset that grows later (sched_setaffinity(2)).
func (p *placement) begin() bool {
	p.known = true
	p.off.Store(true)
	p.tracer = unix.Gettid()
	if unix.SchedGetaffinity(0, &p.base) != nil || p.base.Count() < 2 {
		return false
	}
	p.wide.Fill()
	var got unix.CPUSet
	if unix.SchedSetaffinity(0, &p.wide) != nil || unix.SchedGetaffinity(0, &got) != nil || got != p.base {
		p.wide = p.base
		if unix.SchedSetaffinity(0, &p.wide) != nil {
			return false
		}
	}
	p.off.Store(false)
	return true
}

// giveBack lets the scheduler choose again.
func (p *placement) giveBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.widen()
}

// widen gives the task on lease and the tracer their CPUs back; the task may be
// gone. Precondition: mu is held.
func (p *placement) widen() {
	if p.narrowed.Load() == 0 {
		return
	}
	p.widenTask(int(p.narrowed.Load()))
	if err := unix.SchedSetaffinity(p.tracer, &p.wide); err != nil {
		p.off.Store(true) // the cpuset changed: from now on it is the scheduler's alone
	}
	p.narrowed.Store(0)
}

// widenTask gives a task base back if it is on lease's CPU by our doing: nobody
// else's mask is touched.
func (p *placement) widenTask(tid int) {
	var now unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &now); err != nil || now != p.cpu {
		return
	}
	if err := unix.SchedSetaffinity(tid, &p.wide); err != nil && err != unix.ESRCH {
		p.off.Store(true)
	}
}

// cloned is for the event stop of a task with a new child, which may have been
// copied while parent was narrowed: a child has its parent's affinity.
func (p *placement) cloned(parent, child int) {
	if !p.known {
		return
	}
	p.giveBack()
	var theirs, its unix.CPUSet
	if unix.SchedGetaffinity(parent, &theirs) != nil || unix.SchedGetaffinity(child, &its) != nil || theirs == its {
		return
	}
	if theirs == p.base {
		theirs = p.wide
	}
	unix.SchedSetaffinity(child, &theirs) // it can be dead by now
}

// orphaned is for a new task whose parent died before it was announced.
func (p *placement) orphaned(tid int) {
	if !p.known || p.off.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.widenTask(tid)
}

// execed is for the end of an execve. From a thread that is not the leader, the
// caller has the leader's tid now and its own affinity still.
func (p *placement) execed(former, tid int) {
	if !p.known {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.narrowed.CompareAndSwap(int64(former), int64(tid))
	p.widen()
	if !p.off.Load() {
		p.widenTask(tid) // the watch may have looked for it by its former tid
	}
}

// foreign is for a sandbox that sets an affinity: it places itself.
func (p *placement) foreign() {
	p.giveBack()
	p.off.Store(true)
}

// end is for the sandbox's: nothing is left to watch.
func (p *placement) end() {
	p.giveBack()
	p.off.Store(true)
	if p.watch != nil {
		close(p.watch)
	}
}

// watchStops gives the lease back when a whole tick passes without a stop: then
// the task computes, and may need a CPU of its own.
func (p *placement) watchStops() {
	for range p.watch {
		for quiet := 0; quiet < idle; {
			before := p.stops.Load()
			time.Sleep(tick)
			p.mu.Lock()
			quiet++
			if p.stops.Load() != before {
				quiet = 0
			} else {
				p.widen()
			}
			p.watching = quiet < idle // told with the lease: take must not miss it
			p.mu.Unlock()
		}
	}
}
