package supervisor

import (
	"slices"
	"time"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/decode"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// A verdict of ask keeps the task at its seccomp stop while somebody is asked, and the
// others go on. The answer is the exit status of a process, a child of the tracer's
// thread: so the trace loop's own wait wakes for it (Options.Ask).
//
// An answer is about one matter: what a section decided on, or a call with its argument
// registers, those of what it stands for. When it comes the call is decided anew, for
// memory may have changed meanwhile. What it asks for then has been answered, or is asked
// about in its turn.

// What a process that Options.Ask has started says by its exit status. Any other is a no
// to this one call.
const (
	AnswerYes    = 0
	AnswerAlways = 10 // yes, to the same again too while the sandbox lasts
	AnswerNever  = 11 // no, likewise
)

// matter is what a question is about.
type matter struct {
	policy       *policy.Policy
	rule         *policy.Rule // nil: its default
	section      policy.Section
	object, need string // of a section
	arch         abi.Arch
	nr, as       uint32    // else of the call, and of what it stands for
	args         [6]uint64 // of that; not of what is settled
}

// answer is what was said to a matter: "yes", "no", or "nobody" where none could be asked.
type answer struct {
	matter matter
	said   string
}

// questions are those of a sandbox. One is asked at a time, in the order in which they
// came up.
type questions struct {
	asker   int   // the process that asks; 0: none does
	hushed  bool  // it was told to end
	of      *task // whose call it is; nil: it is gone
	about   matter
	waiting []*task           // at their seccomp stops, to be asked about
	settled map[matter]string // what was said for good
}

// settledMost bounds settled: then it is asked again.
const settledMost = 4096

// respondent knows what was said to questions about a task's call. Of the zero one nobody
// can be asked.
type respondent struct {
	s *sandbox
	t *task
	// named: it is about the command itself, which whoever runs callgate has named.
	named bool
}

// settle gives v, which asks, the action that was answered, and what was said; it stays
// ask where that is still to be asked.
func (r respondent) settle(v policy.Verdict, m matter) (policy.Verdict, string) {
	if r.s != nil && r.s.opt.Permissive {
		return v, ""
	}
	m.policy, m.rule, m.section = v.Policy, v.Rule, v.Section
	said := r.said(m)
	switch said {
	case "":
		return v, ""
	case "yes":
		v.Action, v.Errno = policy.Log, 0
	default:
		v.Action = policy.Deny
	}
	return v, said
}

func (r respondent) said(m matter) string {
	switch {
	case r.named:
		return "yes"
	case r.s == nil:
		return "nobody"
	}
	for i := range r.t.answers {
		if r.t.answers[i].matter == m {
			return r.t.answers[i].said
		}
	}
	if said := r.s.questions.settled[m.again()]; said != "" {
		return said
	}
	if r.s.opt.Ask == nil {
		return "nobody"
	}
	return ""
}

// again is what an answer for good is about.
func (m matter) again() matter {
	m.args = [6]uint64{}
	return m
}

func matterOf(c, direct *abi.Call) matter {
	return matter{arch: c.Arch, nr: c.Nr, as: direct.Nr, args: direct.Args}
}

// hold keeps t at its stop until there is an answer, and asks, unless another question is
// being asked.
func (s *sandbox) hold(t *task, j *judged) error {
	q := &s.questions
	j.letGo()
	t.waiting = true
	s.kernel.Take(t.tid)
	if q.asker != 0 {
		q.waiting = append(q.waiting, t)
		return nil
	}
	s.totals.Asked++
	e := s.callEvent(t, j)
	if j.verdict.Section == policy.Syscalls {
		e.Args = registersOf(&j.direct)
	}
	asker, err := s.opt.Ask(e)
	if err != nil {
		s.say(t, answer{j.matter(), "nobody"})
		return nil
	}
	q.asker, q.hushed, q.of, q.about = asker, false, t, j.matter()
	return nil
}

// registersOf are a call's arguments without what they point to: rules on calls decide on
// registers alone, and memory can be another by the time that the call is made.
func registersOf(c *abi.Call) []string {
	entry, _ := c.Arch.Lookup(c.Nr)
	return decode.Args(*c, entry, unread{})
}

type unread struct{}

func (unread) ReadAt([]byte, int64) (int, error) { return 0, unix.EFAULT }

// matter is what j's verdict asks about.
func (j *judged) matter() matter {
	m := j.about
	if j.verdict.Section != policy.Syscalls {
		m = matter{object: j.object, need: j.need}
	}
	m.policy, m.rule, m.section = j.verdict.Policy, j.verdict.Rule, j.verdict.Section
	return m
}

// answered is for the end of the process that asks: what it says is noted, and the next
// question is asked.
func (s *sandbox) answered(stop ptrace.Stop) {
	q := &s.questions
	said := "no"
	if stop.Kind == ptrace.Exited && (stop.Status == AnswerYes || stop.Status == AnswerAlways) {
		said = "yes"
	}
	if stop.Kind == ptrace.Exited && (stop.Status == AnswerAlways || stop.Status == AnswerNever) {
		q.settle(q.about.again(), said)
	}
	q.asker = 0
	if t := q.of; t != nil {
		q.of = nil
		s.say(t, answer{q.about, said})
	}
	for q.asker == 0 && len(q.waiting) > 0 && !s.ending {
		t := q.waiting[0]
		q.waiting = q.waiting[1:]
		s.decideAnew(t)
	}
}

func (q *questions) settle(m matter, said string) {
	if len(q.settled) >= settledMost || q.settled == nil {
		q.settled = map[matter]string{}
	}
	q.settled[m] = said
}

// say has t know an answer, and its call decided by it.
func (s *sandbox) say(t *task, a answer) {
	t.answers = append(t.answers, a)
	s.decideAnew(t)
}

// decideAnew decides the call of a task that was kept at its stop for a question.
func (s *sandbox) decideAnew(t *task) {
	t.waiting, t.anew = false, true
	s.try(s.seccompStop(t), ptrace.Stop{TID: t.tid, Kind: ptrace.Seccomp})
	t.anew = false
}

// drop forgets what is to be asked about t, which is dead or another's by now.
func (q *questions) drop(t *task) {
	t.answers = nil
	if q.of == t {
		q.of = nil
		q.hush()
	}
	if i := slices.Index(q.waiting, t); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// hush ends the process that asks, which may have a terminal to leave in order: nobody
// needs the answer any more.
func (q *questions) hush() {
	if q.asker == 0 || q.hushed {
		return
	}
	q.hushed = true
	pidfd, err := unix.PidfdOpen(q.asker, 0)
	if err != nil {
		_ = unix.Kill(q.asker, unix.SIGKILL) // its number is its own until it is waited for
		return
	}
	_ = unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0) // an error is that it is dead
	time.AfterFunc(patience, func() {
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		unix.Close(pidfd)
	})
}

// patience is how long a process that asks may take to end.
const patience = time.Second
