package supervisor

import (
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// affinity is a task's, 0 the calling thread's.
func affinity(t *testing.T, tid int) unix.CPUSet {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// sleeper is a process that stands in for a tracee.
func sleeper(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

// place runs f as the trace loop is run: on a thread of its own, which ends
// with what f did to it. Nothing can be placed on a machine with one CPU.
func place(f func(p *placement)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		p := &placement{}
		defer p.end()
		f(p)
	}()
	<-done
}

// stopOften has tid stop until it is hot, which takes a few runs on a machine
// that lets this thread wait between them.
func stopOften(p *placement, tid int) {
	for range 100 {
		for range 2 * hotStops {
			p.stop(tid)
		}
		if p.off.Load() || p.leased(tid) {
			return
		}
	}
}

// comes waits for what a busy machine may do late.
func comes(happened func() bool) {
	for range 1000 {
		if happened() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestHotTaskIsNarrowedAndGivenBack(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Log("one CPU: nothing is placed")
		return
	}
	tid, other := sleeper(t), sleeper(t)
	place(func(p *placement) {
		all := affinity(t, tid)
		for _, c := range []struct {
			by string
			f  func()
		}{
			{"a call that asks", p.giveBack},
			{"its child", func() { p.cloned(tid, other) }},
			{"its exec", func() { p.execed(tid, tid) }},
			{"another hot task", func() { stopOften(p, other) }},
			{"the watch", func() { comes(func() bool { return !p.leased(tid) }) }},
			{"the watch again, after its rest", func() { comes(func() bool { return !p.leased(tid) }) }},
			{"a call that sets one", p.foreign},
		} {
			p.giveBack()
			if c.by == "the watch again, after its rest" {
				time.Sleep((idle + 10) * tick)
			}
			stopOften(p, tid)
			if got := affinity(t, tid); got.Count() != 1 || got != affinity(t, 0) {
				t.Fatalf("before %s: task %v and tracer %v are not on one CPU", c.by, got, affinity(t, 0))
			}
			c.f()
			if got := affinity(t, tid); got != all {
				t.Errorf("after %s: the task has %v, had %v", c.by, got, all)
			}
			if c.by == "another hot task" {
				continue // which is narrowed now, and the tracer with it
			}
			if got := affinity(t, 0); got != all {
				t.Errorf("after %s: the tracer has %v, had %v", c.by, got, all)
			}
		}
		stopOften(p, tid)
		if got := affinity(t, tid); got != all {
			t.Errorf("a sandbox that places itself was placed: %v", got)
		}
	})
}

// A task can get its number or its copy of the affinity while it is narrowed.
func TestNarrowedAffinityIsNotPassedOn(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Log("one CPU: nothing is placed")
		return
	}
	parent, child := sleeper(t), sleeper(t)
	place(func(p *placement) {
		all := affinity(t, parent)
		stopOften(p, parent)
		narrow := affinity(t, parent)
		if err := unix.SchedSetaffinity(child, &narrow); err != nil {
			t.Fatal(err)
		}
		p.cloned(parent, child)
		if got := affinity(t, child); got != all {
			t.Errorf("the child has %v, want %v", got, all)
		}

		// child stands in for the leader's number, that parent's exec took.
		stopOften(p, parent)
		narrow = affinity(t, parent)
		if err := unix.SchedSetaffinity(child, &narrow); err != nil {
			t.Fatal(err)
		}
		p.execed(parent, child)
		if got := affinity(t, child); got != all {
			t.Errorf("after its exec the task has %v, want %v", got, all)
		}
	})
}

func TestTaskPlacedFromOutsideIsLeftAlone(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Log("one CPU: nothing is placed")
		return
	}
	tid := sleeper(t)
	place(func(p *placement) {
		stopOften(p, tid)
		theirs := affinity(t, tid)
		p.giveBack()
		if err := unix.SchedSetaffinity(tid, &theirs); err != nil {
			t.Fatal(err)
		}
		stopOften(p, tid)
		p.giveBack()
		if got := affinity(t, tid); got != theirs {
			t.Errorf("the task has %v, was given %v", got, theirs)
		}
	})
}
