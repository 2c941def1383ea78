package supervisor

import (
	"errors"

	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// unannounced deals with the first stop of a task whose parent's event has not
// been read, and may never be: a parent that is killed takes it along. Only a
// child of a rewritten clone must wait to be announced, for its registers.
func (s *sandbox) unannounced(stop ptrace.Stop) error {
	if !s.kernel.Traced(stop.TID) {
		return nil // it died meanwhile
	}
	if stop.Kind != ptrace.EventStop && stop.Kind != ptrace.GroupStop {
		return errors.New("of a task that nobody announced")
	}
	t := &task{tid: stop.TID, heldAt: stop.Kind, fresh: true}
	s.tasks[t.tid] = t
	s.held++
	if s.population.cloning > s.population.earlyStops {
		s.population.earlyStops++
	}
	s.kernel.Take(t.tid)
	return s.releaseOrphans()
}

// cloned is the event stop of a task that has a new child or thread.
func (s *sandbox) cloned(t *task) error {
	tid, err := s.kernel.Message(t.tid)
	if err != nil {
		return err
	}
	s.place.cloned(t.tid, tid)
	if err := s.welcome(t, tid); err != nil && err != unix.ESRCH {
		return err
	}
	s.cloneDone(t)
	if err := s.announced(t); err != nil {
		return err
	}
	return s.resume(t, 0)
}

// welcome takes in t's new child tid, which can have stopped already, and can
// have died: then its number may be a stranger's by now.
func (s *sandbox) welcome(t *task, tid int) error {
	child := s.tasks[tid]
	if child != nil && t.cloning && s.population.earlyStops > 0 {
		s.population.earlyStops--
	}
	if child == nil {
		if !s.kernel.Traced(tid) {
			return nil
		}
		child = &task{tid: tid, fresh: true}
		s.tasks[tid] = child
	}
	if child.process == nil {
		s.join(child, s.familyOf(t.process, tid))
	}
	if child.process != t.process && s.holders.Pins() {
		if err := s.bequeath(t, child.process); err != nil && err != unix.ESRCH {
			return err
		}
	}
	if child.fresh {
		child.born = t.rewrite
	}
	if child.heldAt == ptrace.Unknown {
		return nil
	}
	return s.release(child)
}

// bequeath is for a new process: it has its parent's memory, or a copy, and by
// clone's flags perhaps its working folder and descriptors (clone(2)). Where t has died
// meanwhile, of another thread's execve say, the process stays one of which that is not
// known.
func (s *sandbox) bequeath(t *task, child *process) error {
	child.armed, child.filtered, child.orphan = t.process.armed, t.process.filtered, true
	var regs ptrace.Registers
	if err := s.kernel.Registers(t.tid, &regs); err != nil {
		return err
	}
	shared := regs.CloneFlags()&(unix.CLONE_FS|unix.CLONE_FILES) != 0
	child.orphan = false
	child.sharing = child.sharing || shared // an orphan may have children by now
	t.process.sharing = t.process.sharing || shared
	return nil
}

// outlived is for a process that has executed a program: a thread of its that died of that
// may have made a process that shares the working folder, and have told nobody.
func (p *process) outlived() {
	p.sharing = p.sharing || p.threaded
	p.threaded = false
}

// announced settles t's rewritten clone, if it has one: its child is known, or
// there is none.
func (s *sandbox) announced(t *task) error {
	if t.rewrite == nil || !t.rewrite.expecting {
		return nil
	}
	t.rewrite.expecting = false
	s.expecting--
	return s.releaseOrphans()
}

// familyOf is the process of p's new child tid: p itself if it is a thread.
func (s *sandbox) familyOf(p *process, tid int) *process {
	if s.kernel.ThreadOf(p.pid, tid) {
		return p
	}
	return &process{pid: tid}
}

func (s *sandbox) join(t *task, p *process) {
	t.process = p
	p.tasks++
	p.threaded = p.threaded || p.tasks > 1
	s.totals.Threads++
	if p.pid == t.tid {
		s.totals.Processes++
		s.bounds.born(p.pid)
	}
	if s.inner && p.digits == "" && s.resolver != nil {
		p.digits = s.resolver.Number(p.pid) // as the sandbox counts
	}
}

// release lets a held task go on from its first stop.
func (s *sandbox) release(t *task) error {
	kind := t.heldAt
	t.heldAt = ptrace.Unknown
	s.held--
	if err := s.prepare(t); err != nil {
		return err
	}
	if kind == ptrace.GroupStop {
		return s.kernel.Listen(t.tid)
	}
	return s.kernel.Resume(t.tid, 0)
}

// prepare is for a task at its first stop: it takes from it what its parent's
// birth-giving left.
func (s *sandbox) prepare(t *task) error {
	t.fresh = false
	if t.born == nil {
		return nil
	}
	return s.restoreChild(t)
}

// releaseOrphans lets all held tasks go, unless a rewritten clone may still
// announce one of them.
func (s *sandbox) releaseOrphans() error {
	if s.expecting > 0 || s.held == 0 || s.ending {
		return nil
	}
	for _, t := range s.tasks {
		if t.heldAt == ptrace.Unknown {
			continue
		}
		s.join(t, s.processOf(t.tid))
		s.place.orphaned(t.tid)
		if err := s.release(t); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

// processOf finds the process of a task that nobody announced. pidfd_open(2)
// takes leaders only; a thread's leader is in proc(5).
func (s *sandbox) processOf(tid int) *process {
	if fd, err := unix.PidfdOpen(tid, 0); err == nil {
		unix.Close(fd)
		return s.orphan(tid)
	}
	pid := leaderOf(tid)
	if leader := s.tasks[pid]; leader != nil && leader.process != nil {
		return leader.process
	}
	return s.orphan(pid)
}

// orphan is a process of which nobody has told yet whose child it is. Its memory
// is some process's of the sandbox, and has a pinned area if all have.
func (s *sandbox) orphan(pid int) *process {
	return &process{pid: pid, armed: !s.unarmed, filtered: true, orphan: true}
}
