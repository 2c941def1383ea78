package supervisor

import (
	"fmt"

	"callgate/policy/abi"
	"callgate/supervisor/ptrace"
)

// rewrite is a call that runs in another's place.
type rewrite struct {
	arch      abi.Arch
	before    ptrace.Registers // as the tracee left them
	expecting bool             // a clone whose child has not been announced
}

// replace puts j.direct in the registers and has the task stop again when the
// call is done, so that its own registers come back: the kernel's calling
// convention keeps all but the result, and a restarted call must be the
// tracee's.
func (s *sandbox) replace(t *task, j *judged) error {
	r := &rewrite{arch: j.direct.Arch, expecting: j.isClone()}
	if err := s.kernel.Registers(t.tid, &r.before); err != nil {
		return err
	}
	regs := r.before
	regs.SetCall(j.direct)
	if err := s.kernel.SetRegisters(t.tid, &regs); err != nil {
		return err
	}
	t.rewrite = r
	if r.expecting {
		s.expecting++
	}
	return s.resume(t, 0)
}

// exitStop is the end of a rewritten call.
func (s *sandbox) exitStop(t *task) error {
	if err := s.kernel.SyscallInfo(t.tid, &s.info); err != nil {
		return err
	}
	if s.info.Op != ptrace.OpExit && t.replaceable() {
		return s.superseded(nil)
	}
	if t.rewrite == nil || s.info.Op != ptrace.OpExit {
		return fmt.Errorf("the kernel calls it %v", s.info.Op)
	}
	s.stale = 0
	if err := s.announced(t); err != nil { // a clone that failed has no child
		return err
	}
	if err := s.restore(t); err != nil {
		return err
	}
	return s.resume(t, 0)
}

// restore gives t the registers that its call began with, but for the result.
func (s *sandbox) restore(t *task) error {
	r := t.rewrite
	t.rewrite = nil
	return s.restoreRegisters(t.tid, r)
}

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
