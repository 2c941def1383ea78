package supervisor

import (
	"errors"
	"fmt"
	"net/netip"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/decode"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// judged is a call with what is to become of it.
type judged struct {
	call     abi.Call // as the kernel has it
	direct   abi.Call // what it stands for: call itself but for socketcall and its like
	carrier  string   // what carried direct, "" if nothing did
	verdict  policy.Verdict
	reason   string // beside the rule's
	said     string // to the question that the verdict was
	about    matter // what it is of rules on calls
	answers  respondent
	findings *findings // nil where nobody wants them
	// rewrite: direct is put in call's place, so that the kernel takes from the
	// registers what was judged, and nothing from memory that may change.
	rewrite bool
	// For sections: what was decided on and what for, what is to be pinned, the call's part in
	// order, and what its rewrite is to know.
	asked                  abi.Call // direct, before it was rewritten for them
	object, need           string
	to                     policy.Address // the object, where it is an address
	pins                   [4]pinText
	pinned                 int
	part                   part
	again, blocks, chroots bool
	asks                   bool // which CPUs a task has
	one                    oneOf
	bound                  uint64         // the socket that is bound, where that is to be remembered
	onFD                   int            // the supervisor's descriptor that the call is to be made on; 0: none
	local                  netip.AddrPort // to what its socket is bound
	// answer is what an impossible call gets, as the kernel would say; 0 if the
	// call is possible.
	answer unix.Errno
}

// seccompStop decides the call that t is stopped at.
func (s *sandbox) seccompStop(t *task) error {
	if err := s.kernel.SyscallInfo(t.tid, &s.info); err != nil {
		return err
	}
	if s.info.Op != ptrace.OpSeccomp {
		if t.replaceable() {
			return s.superseded(nil)
		}
		return fmt.Errorf("the kernel calls it %v", s.info.Op)
	}
	s.stale = 0
	if t.process.starting {
		return s.kernel.Resume(t.tid, 0)
	}
	if t.rewrite != nil {
		return errors.New("it is still in the call before")
	}
	if t.arming != nil {
		return s.errandStop(t)
	}
	if !t.admitted && !t.anew {
		if !t.restarts {
			t.answers = t.answers[:0]
		}
		t.restarts = false
		s.totals.Stops++
		s.stops.add(&s.info)
		s.place.stop(t.tid)
	}
	j := s.judge(t)
	if j.verdict.Action == policy.Ask && !s.opt.Permissive {
		if j.answer == 0 {
			return s.hold(t, &j)
		}
		j.verdict.Action = policy.Allow // as little as the kernel would it makes the call
	}
	if j.answer != 0 || !j.verdict.Action.Permits() {
		j.part = apart
	}
	if !s.enter(t, j.part) {
		return nil
	}
	s.found(t, &j)
	s.tell(t, &j)
	return s.effect(t, &j)
}

// judge decides the call that s.info describes.
func (s *sandbox) judge(t *task) judged {
	call, _ := s.info.Call()
	j := judged{call: call, direct: call, answers: respondent{s: s, t: t}, findings: s.beginFindings()}
	v := s.plan.Set.Decide(call)
	entry, known := call.Arch.Lookup(call.Nr)
	if known && carries(entry) && v.Action == policy.Ask {
		j.verdict, j.about = v, matterOf(&call, &call) // it is about what is carried too: see unfold
	} else {
		j.takeCall(v, &call)
	}
	if call.Arch == 0 {
		return j
	}
	j.unlearnable()
	if known {
		s.special(t, entry, &j)
	}
	if s.holders.Pins() && j.answer == 0 && (j.verdict.Action.Permits() || s.opt.Permissive) {
		s.judgeSections(t, &j)
	}
	return j
}

// judgeSections decides by what the call's arguments point to.
func (s *sandbox) judgeSections(t *task, j *judged) {
	entry, ok := j.direct.Arch.Lookup(j.direct.Nr)
	if !ok {
		return
	}
	j.asked = j.direct
	if entry.Canonical == "chroot" {
		j.chroots, j.rewrite = true, true // whoever decides it, names mean others afterwards
		if t.process.shares() && s.holders.Files != compile.Nobody && !s.opt.Permissive {
			j.deny(unix.EPERM, "another thread's names would begin there too, while they are decided")
			return
		}
	}
	s.judgeNames(t, entry, j)
	if pinning && !s.opt.Permissive {
		s.nameCall(t, entry, j)
	}
	s.judgeSockets(t, entry, j)
}

// special does what some calls need whatever the policy says of them.
func (s *sandbox) special(t *task, entry *abi.Syscall, j *judged) {
	switch entry.Name {
	case "sched_getaffinity":
		s.place.giveBack()
		j.rewrite, j.asks = true, true // nobody is narrowed until it has its answer
	case "sched_setaffinity":
		s.place.foreign()
	case "seccomp":
		t.process.filtered = true
	case "prctl":
		t.process.filtered = t.process.filtered || uint32(j.call.Args[0]) == unix.PR_SET_SECCOMP
	}
	if s.confined && s.strays(entry, &j.call) {
		j.deny(unix.EPERM, "its target is no task of the sandbox")
	}
	if carries(entry) {
		s.unfold(t, j)
	}
	// The child would be out of reach of the tracer, and nothing else. The flags are
	// clone's first argument in every ABI that callgate knows.
	if j.isClone() && j.direct.Args[0]&unix.CLONE_UNTRACED != 0 {
		j.direct.Args[0] &^= unix.CLONE_UNTRACED
		j.rewrite = true
	}
}

// strays says whether a call that acts on a task by its number aims outside of
// the sandbox. builtin:guard sends such calls here. In a pid namespace of the
// sandbox's own there are no others. Numbers of one that the command has made
// itself are the sandbox's too; those that look foreign are refused.
func (s *sandbox) strays(entry *abi.Syscall, call *abi.Call) bool {
	if s.inner {
		return false
	}
	var target string
	switch entry.Canonical {
	case "prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity":
		target = "pid"
	case "setpriority", "ioprio_set":
		target = "who"
	default:
		return false
	}
	p, ok := entry.Param(target)
	if !ok {
		return true
	}
	tid := int(int32(p.Value(&call.Args)))
	return tid != 0 && s.tasks[tid] == nil
}

// isClone says whether j is or stands for a clone.
func (j *judged) isClone() bool {
	entry, ok := j.direct.Arch.Lookup(j.direct.Nr)
	return ok && entry.Name == "clone"
}

// carries says whether a call is another, of which memory tells.
func carries(entry *abi.Syscall) bool { return entry.Block || entry.Multiplexer }

// unfold judges the call that a multiplexer, or a call with its arguments in
// memory, stands for: the more restrictive verdict holds.
func (s *sandbox) unfold(t *task, j *judged) {
	direct, err := decode.Unfold(j.call, s.kernel.Memory(t.tid))
	var unfit *decode.Unfit
	switch {
	case errors.As(err, &unfit):
		j.answer = unfit.Errno
		return
	case err != nil:
		// libc falls back to calls that have them in registers when it is told ENOSYS.
		j.deny(unix.ENOSYS, "its arguments are in memory that cannot be read: "+err.Error())
		return
	}
	j.direct, j.carrier, j.rewrite = direct.Call, direct.Carrier, direct.Rewrite
	if v := j.verdict; v.Action == policy.Ask {
		j.verdict = policy.Verdict{}
		j.takeCall(v, &j.call)
	}
	j.takeCall(s.plan.Set.Decide(j.direct), &j.direct)
}

// takeCall has the verdict of rules on calls hold for one that j is or stands for.
func (j *judged) takeCall(v policy.Verdict, c *abi.Call) {
	said := ""
	if v.Action == policy.Ask {
		v, said = j.answers.settle(v, matterOf(c, &j.direct))
	}
	if c.Arch != 0 {
		j.findings.ofCall(*c, v)
	}
	if v.Action > j.verdict.Action || v.Action == j.verdict.Action && v.Rule != nil {
		j.verdict, j.said, j.about = v, said, matterOf(c, &j.direct)
	}
}

// deny denies a call for a reason that is no rule's.
func (j *judged) deny(errno unix.Errno, reason string) {
	if j.verdict.Action >= policy.Deny {
		return
	}
	j.verdict = policy.Verdict{Action: policy.Deny, Errno: uint16(errno), Policy: j.verdict.Policy, Rule: j.verdict.Rule, Cause: j.verdict.Cause}
	j.reason, j.said = reason, ""
}

// effect does what the verdict says.
func (s *sandbox) effect(t *task, j *judged) error {
	if s.opt.Permissive {
		return s.allow(t, j)
	}
	switch j.verdict.Action {
	case policy.Allow, policy.Log:
		return s.allow(t, j)
	case policy.Skip:
		return s.skip(t, j.verdict.Value)
	case policy.Deny:
		return s.skip(t, -int64(j.verdict.Errno))
	case policy.Kill:
		t.condemned = true
		if err := s.kernel.SetNr(t.tid, compile.KillNr); err != nil {
			return err
		}
		return s.kernel.Resume(t.tid, 0)
	}
	return fmt.Errorf("a verdict of %v", j.verdict.Action)
}

// allow has the call executed. A stop that another filter than ours asked for
// is the tracee's own doing: without a tracer of its own it would get ENOSYS
// (seccomp(2), SECCOMP_RET_TRACE), so it does.
func (s *sandbox) allow(t *task, j *judged) error {
	switch {
	case s.info.Data != compile.TraceData:
		j.unplan()
		return s.skip(t, -int64(unix.ENOSYS))
	case s.population.most > 0 && j.births() && !s.mayClone(t):
		return s.skip(t, -int64(unix.EAGAIN)) // as at the kernel's own limits (fork(2))
	case pinning && j.answer != 0:
		return s.skip(t, -int64(j.answer))
	case j.onFD != 0:
		return s.listen(t, j)
	case j.rewrite, j.pinned > 0:
		return s.replace(t, j)
	case t.part != apart:
		return errors.New("BUG: its end would not be seen")
	}
	return s.kernel.Resume(t.tid, 0)
}

// skip has the call not executed; it returns value.
func (s *sandbox) skip(t *task, value int64) error {
	s.leave(t)
	if err := s.kernel.Skip(t.tid, value); err != nil {
		return err
	}
	return s.kernel.Resume(t.tid, 0)
}
