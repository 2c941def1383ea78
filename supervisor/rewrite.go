package supervisor

import (
	"encoding/binary"
	"fmt"

	"callgate/policy/abi"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// rewrite is a call that runs in another's place.
type rewrite struct {
	arch      abi.Arch
	before    ptrace.Registers // as the tracee left them, unless light
	light     bool             // only the call's own registers are touched
	was, is   abi.Call         // then: the tracee's call, and what runs
	expecting bool             // a clone whose child has not been announced
	piece     pinned           // what of it is in the pinned area
	again     bool             // ELOOP says that the name must be followed here
	path      string           // that name, as it reads
	blocks    bool             // it may wait for another task of the sandbox
	chroots   bool
	asks      bool   // which CPUs a task has: placement waits
	one       oneOf  // a sendmmsg's message
	bound     uint64 // the socket that it binds, where that is to be remembered
}

// replace puts j.direct in the registers and has the task stop again when the
// call is done, so that its own registers come back: the kernel's calling
// convention keeps all but the result, and a restarted call must be the
// tracee's.
func (s *sandbox) replace(t *task, j *judged) error {
	r := &t.made
	*r = rewrite{arch: j.direct.Arch, again: j.again, blocks: j.blocks, chroots: j.chroots, one: j.one, bound: j.bound}
	if r.expecting = j.isClone(); r.expecting { // its child has it too
		r = &rewrite{arch: j.direct.Arch, expecting: true}
	}
	if j.again {
		r.path = s.naming.list[0].path
	}
	if j.pinned > 0 {
		piece, err := s.pinAll(t, j)
		if err != nil {
			return s.refuse(t, j, err)
		}
		r.piece = piece
	}
	if err := s.put(t, j, r); err != nil {
		return err
	}
	t.rewrite = r
	if r.asks = j.asks; r.asks {
		s.place.asked++
	}
	if r.expecting {
		s.expecting++
	}
	return s.resume(t, 0)
}

// put puts j.direct in t's registers.
func (s *sandbox) put(t *task, j *judged, r *rewrite) error {
	if r.light = j.call.Arch == j.direct.Arch && ptrace.Light(j.call.Arch) && !r.expecting; r.light {
		r.was, r.is = j.call, j.direct
		return s.kernel.Replace(t.tid, &r.was, &r.is)
	}
	if err := s.kernel.Registers(t.tid, &r.before); err != nil {
		return err
	}
	regs := r.before
	regs.SetCall(j.direct)
	return s.kernel.SetRegisters(t.tid, &regs)
}

// exitStop is the end of a rewritten call.
func (s *sandbox) exitStop(t *task) error {
	if err := s.kernel.SyscallInfo(t.tid, &s.info); err != nil {
		return err
	}
	if s.info.Op != ptrace.OpExit && t.replaceable() {
		return s.superseded(nil)
	}
	if t.arming != nil {
		s.stale = 0
		return s.errandReturn(t)
	}
	if t.rewrite == nil || s.info.Op != ptrace.OpExit {
		return fmt.Errorf("the kernel calls it %v", s.info.Op)
	}
	s.stale = 0
	if err := s.announced(t); err != nil { // a clone that failed has no child
		return err
	}
	if r := t.rewrite; r.again && s.info.Return == -int64(unix.ELOOP) {
		s.learn(r.path)
		t.walks = true
		return s.repeat(t)
	}
	if t.rewrite.one.some {
		return s.sent(t, t.rewrite.one, s.info.Return)
	}
	if s.info.Return == 0 {
		s.done(t.rewrite)
	}
	if err := s.restore(t); err != nil {
		return err
	}
	return s.resume(t, 0)
}

// makesAgain has what was answered to t's call hold for the same call, made once more.
func (t *task) makesAgain(answers []answer) {
	t.answers, t.restarts = answers, len(answers) > 0
}

// done remembers what a call that has succeeded did.
func (s *sandbox) done(r *rewrite) {
	s.chrooted = s.chrooted || r.chroots
	if r.bound != 0 {
		s.bound[r.bound] = true
	}
}

// settle ends what t's call has of the sandbox's: it has returned, or never
// will.
func (s *sandbox) settle(t *task) {
	s.abandoned(t)
	s.questions.drop(t)
	s.leave(t)
	if t.rewrite != nil {
		s.pins.free(t.rewrite.piece)
		if t.rewrite.asks {
			s.place.asked--
		}
		t.rewrite = nil
	}
}

// repeat has t make its call once more, as it was.
func (s *sandbox) repeat(t *task) error {
	r := t.rewrite
	if r.light {
		if err := s.kernel.Registers(t.tid, &r.before); err != nil {
			return err
		}
		r.before.SetCall(r.was)
	}
	var regs ptrace.Registers
	regs.Repeat(&r.before)
	answers := t.answers
	s.settle(t)
	t.makesAgain(answers)
	if err := s.kernel.SetRegisters(t.tid, &regs); err != nil {
		return err
	}
	return s.resume(t, 0)
}

// pinAll pins the call's texts, one behind the other, and has its registers
// point to them.
func (s *sandbox) pinAll(t *task, j *judged) (pinned, error) {
	s.text = s.text[:0]
	var at [len(j.pins)]int
	for i, p := range j.pins[:j.pinned] {
		for len(s.text)%8 != 0 {
			s.text = append(s.text, 0)
		}
		at[i] = len(s.text)
		s.text = append(append(s.text, p.text...), p.data...)
		if p.name {
			s.text = append(s.text, 0)
		}
	}
	piece, err := s.allocPinned(t, len(s.text))
	if err != nil {
		return piece, err
	}
	for i, p := range j.pins[:j.pinned] {
		address := piece.address() + uint64(at[i])
		switch {
		case p.register >= 0:
			j.direct.Args[p.register] = address
		case p.width == 4: // all of the area is below 4 GiB
			binary.NativeEndian.PutUint32(s.text[at[0]+int(p.offset):], uint32(address))
		case p.width == 8:
			binary.NativeEndian.PutUint64(s.text[at[0]+int(p.offset):], address)
		}
	}
	return piece, s.writePinned(t, piece, s.text)
}

// refuse denies a call whose arguments cannot be pinned.
func (s *sandbox) refuse(t *task, j *judged, err error) error {
	s.leave(t)
	if err == unix.ESRCH {
		return err
	}
	j.direct = j.asked
	j.deny(unix.EACCES, "what it was permitted for cannot be kept from changing: "+err.Error())
	s.tell(t, j)
	return s.skip(t, -int64(j.verdict.Errno))
}

// restore gives t the registers that its call began with, but for the result.
func (s *sandbox) restore(t *task) error {
	r, answers := t.rewrite, t.answers
	s.settle(t)
	if restarts(s.info.Return) {
		t.makesAgain(answers)
	}
	if !r.light {
		return s.restoreRegisters(t.tid, r)
	}
	if restarts(s.info.Return) {
		if err := s.kernel.SetNr(t.tid, r.was.Nr); err != nil {
			return err
		}
	}
	return s.kernel.Restore(t.tid, &r.was.Args, &r.is.Args)
}

// restarts says whether the kernel may make the call again, by its number:
// ERESTARTSYS to ERESTART_RESTARTBLOCK of linux/errno.h.
func restarts(result int64) bool { return result <= -512 && result >= -516 }

// restoreChild gives a new task its registers: it was born with a copy of those
// that the rewritten clone had.
func (s *sandbox) restoreChild(t *task) error {
	r := t.born
	t.born = nil
	return s.restoreRegisters(t.tid, r)
}

func (s *sandbox) restoreRegisters(tid int, r *rewrite) error {
	var now ptrace.Registers
	if err := s.kernel.Registers(tid, &now); err != nil {
		return err
	}
	now.RestoreCall(r.arch, &r.before)
	return s.kernel.SetRegisters(tid, &now)
}
