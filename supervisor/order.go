package supervisor

import "callgate/supervisor/ptrace"

// order holds names still while calls are under way that were decided by them.
// Whoever changes names in the sandbox does it by calls that stop: a rename, a
// new symbolic link. So a path that was followed leads to the same file until
// the call that it was followed for has returned, if no such call is let go
// meanwhile.
//
// Opens take no part: they may wait for long (fifo(7)), and have the kernel
// refuse links instead.
type order struct {
	looking int     // calls under way that rest on names
	changer *task   // the call under way that changes names
	queue   []*task // wait at their seccomp stops, in this order
	freed   bool    // a call has returned since admit looked
}

// part is what a call has to do with names.
type part uint8

const (
	apart   part = iota // it rests on none
	looks               // it rests on some
	changes             // it changes some
)

// enter lets t's call begin; false says that it must wait, and that admit will
// have it decided anew.
func (s *sandbox) enter(t *task, p part) bool {
	o := &s.order
	switch {
	case p == apart:
		return true
	case len(o.queue) > 0 && !t.admitted, o.changer != nil, p == changes && o.looking > 0:
		s.wait(t, p)
		return false
	}
	t.admitted = false
	t.part = p
	if p == changes {
		o.changer = t
	} else {
		o.looking++
	}
	return true
}

// wait leaves t at its stop. Calls under way that can block, such as connect,
// could wait for one that waits for them: they are taken out of the kernel, and
// begin anew behind it.
func (s *sandbox) wait(t *task, p part) {
	o := &s.order
	if t.admitted {
		o.queue = append([]*task{t}, o.queue...)
	} else {
		o.queue = append(o.queue, t)
	}
	t.admitted, t.waiting = false, true
	s.kernel.Take(t.tid)
	if p == changes && o.looking > 0 {
		s.interruptLooking()
	}
}

func (s *sandbox) interruptLooking() {
	for _, t := range s.tasks {
		if t.part == looks && t.rewrite != nil && t.rewrite.blocks {
			t.rewrite.blocks = false
			_ = s.kernel.Interrupt(t.tid) // ESRCH: it is dead, and leaves by that
		}
	}
}

// leave ends t's part: its call has returned, or t is dead.
func (s *sandbox) leave(t *task) {
	o := &s.order
	switch t.part {
	case looks:
		o.looking--
	case changes:
		o.changer = nil
	}
	o.freed = o.freed || t.part != apart
	t.part = apart
	if !t.waiting {
		return
	}
	t.waiting = false
	for i, w := range o.queue {
		if w == t {
			o.queue = append(o.queue[:i], o.queue[i+1:]...)
			o.freed = true
			return
		}
	}
}

// admit decides the calls of those who wait, as far as they may begin now. What
// was read of them is read again: they have waited.
func (s *sandbox) admit() { s.admitWith(s.seccompStop) }

func (s *sandbox) admitWith(decide func(*task) error) {
	o := &s.order
	for o.freed && len(o.queue) > 0 && o.changer == nil && !s.ending {
		t := o.queue[0]
		o.queue = o.queue[1:]
		t.waiting, t.admitted = false, true
		s.try(decide(t), ptrace.Stop{TID: t.tid, Kind: ptrace.Seccomp})
		t.admitted = false
		if len(o.queue) > 0 && o.queue[0] == t { // not yet
			return
		}
	}
	o.freed = false
}
