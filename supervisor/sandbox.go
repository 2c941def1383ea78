package supervisor

import (
	"errors"
	"strconv"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/audit"
	"callgate/supervisor/ptrace"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// sandbox is one run: the command, all that descends from it, and the thread
// that traces them.
type sandbox struct {
	plan   *compile.Plan
	opt    Options
	argv   []string
	result *Result
	totals audit.Totals

	// The trace loop:
	kernel kernel
	info   ptrace.SyscallInfo
	batch  []ptrace.Stop
	stale  int // stops in a row that were not there any more
	stops  stopCounts
	place  placement
	turns  turns
	left   bool // the command is gone
	ending bool // all are being killed
	err    error

	// Whom it traces:
	tasks map[int]*task
	first *process // the command's
	// expecting is how many rewritten clones have not announced their child,
	// held how many tasks wait at their first stop until that is settled.
	expecting, held int

	// Limits:
	bounds     bounds
	population population
	output     *output
	large      bool // a file that was too large has been told

	// Isolation:
	root     int  // of an isolated sandbox, AT_FDCWD for none
	inner    bool // it counts processes itself
	keeper   int  // its process 1, which is not traced; 0 for none
	confined bool // in a Landlock domain: it is to act on itself alone

	findings  findings
	questions questions

	sectionState
}

// sectionState is for the sections that are about more than numbers.
type sectionState struct {
	holders  compile.Holders
	resolver *resolve.Resolver
	naming   naming
	uses     map[*abi.Syscall][]policy.Use
	names    map[string]string // those read lately
	text     []byte            // what is read of a name, and then what is about to be pinned
	reader   reader
	linked   map[string]bool // see learn
	loader   []string        // see loaders
	chrooted bool            // some task has changed its root
	order    order
	bound    map[uint64]bool // sockets that were bound by leave, by inode
	sight    int8            // see blind

	pins     pins
	unsealed bool              // mseal does not work
	reached  map[abi.Arch]bool // in which the last call of an errand comes as far as our filter
	unarmed  bool              // some process has no pinned area
}

// task is a traced thread.
type task struct {
	tid     int
	process *process // nil while held
	// heldAt is the first stop of a task that was not announced yet: until its
	// parent's event says whose child it is, it stays there.
	heldAt ptrace.Kind
	// rewrite is the call that was put in another's place, between the seccomp
	// stop and the syscall-exit-stop.
	rewrite  *rewrite
	fsuid    func() uint32 // asks proc(5)
	made     rewrite       // what rewrite points to, unless its child has it too
	fresh    bool          // until its first stop
	born     *rewrite      // what its birth put in its registers, while it is fresh
	arming   *arming       // until the program that it has just executed may begin
	part     part          // of its call in order
	waiting  bool          // at its seccomp stop, for its turn or an answer
	admitted bool          // it is its turn
	anew     bool          // its call is decided once more, as there is an answer
	answers  []answer      // to questions about its call
	restarts bool          // the kernel makes its call once more
	walks    bool          // the name that it opens is to be followed at once
	// condemned marks a task whose call became compile.KillNr: it must not
	// make another.
	condemned bool
	cloning   bool // it may be making a task: see population
}

// process is a thread group.
type process struct {
	pid      int
	exe      string // "" until somebody asks
	digits   string // pid, likewise
	tasks    int    // in sandbox.tasks
	starting bool   // the first stage, up to its execve: none of the policy's business
	armed    bool   // its memory has a pinned area
	filtered bool   // it may have installed a filter of its own
	sharing  bool   // another process has the same working folder or descriptors
	orphan   bool   // nobody has told yet whose child it is: it may be sharing
	threaded bool   // it had several tasks since its last execve
}

// number is the pid as text.
func (p *process) number() string {
	if p.digits == "" {
		p.digits = strconv.Itoa(p.pid)
	}
	return p.digits
}

// shares says whether something else could change what p's descriptors and its
// working folder are, while one of its tasks is in a call.
func (p *process) shares() bool { return p.tasks > 1 || p.sharing || p.orphan }

func newSandbox(plan *compile.Plan, cmd Command, opt Options) *sandbox {
	return &sandbox{
		plan:   plan,
		opt:    opt,
		argv:   cmd.Args,
		result: &Result{},
		kernel: new(ptrace.Tracer),
		tasks:  map[int]*task{},
		bounds: bounds{command: -1, linger: opt.Linger, event: limitEvent(opt.Sandbox)},
		output: &output{},
		root:   unix.AT_FDCWD,
		sectionState: sectionState{
			holders: plan.Holders(),
			uses:    map[*abi.Syscall][]policy.Use{},
			names:   map[string]string{},
			linked:  map[string]bool{},
			bound:   map[uint64]bool{},
			reached: map[abi.Arch]bool{abi.Native(): unfiltered()},
		},
	}
}

func (s *sandbox) adoptFirst(pid int) {
	s.first = &process{pid: pid, starting: true}
	t := &task{tid: pid}
	s.tasks[pid] = t
	s.join(t, s.first)
}

// dispatch does what a stop asks for; the task goes on, or is left as a
// group-stop leaves it.
func (s *sandbox) dispatch(stop ptrace.Stop) error {
	if stop.Gone() {
		return s.gone(stop)
	}
	t := s.tasks[stop.TID]
	if t == nil {
		return s.unannounced(stop)
	}
	if t.heldAt != ptrace.Unknown || t.waiting && stop.Kind != ptrace.Execed { // that is of another thread, of a leader's tid
		return errors.New("of a task that is kept at a stop")
	}
	if t.condemned && stop.Kind != ptrace.GroupStop && stop.Kind != ptrace.EventStop && stop.Kind != ptrace.SignalStop {
		return errors.New("the filter did not kill the process")
	}
	if stop.Kind != ptrace.Seccomp && stop.Kind != ptrace.Syscall { // those say by themselves
		if there, err := s.stillThere(t, stop); err != nil || !there {
			return s.superseded(err)
		}
		s.stale = 0
	}
	if t.fresh {
		if err := s.prepare(t); err != nil {
			return err
		}
	}
	if t.cloning && stop.Kind != ptrace.Cloned {
		s.cloneDone(t)
	}
	switch stop.Kind {
	case ptrace.Seccomp:
		return s.seccompStop(t)
	case ptrace.Syscall:
		return s.exitStop(t)
	case ptrace.Cloned:
		return s.cloned(t)
	case ptrace.Execed:
		return s.execEvent(t)
	case ptrace.GroupStop:
		return s.groupStop(t, stop.Signal)
	case ptrace.EventStop:
		return s.resume(t, 0)
	case ptrace.SignalStop:
		if stop.Signal == unix.SIGXFSZ {
			s.tooLarge()
		}
		if t.restarts && catches(t.tid, stop.Signal) { // a handler can make other calls first
			t.restarts = false
		}
		return s.resume(t, stop.Signal)
	}
	return errors.New("not understood")
}

// replaceable says whether t's tid can become another thread's: that of a
// leader, when one of its threads executes a program, or dies in trying to
// beyond the point of no return (ptrace(2), "execve(2) under ptrace").
func (t *task) replaceable() bool {
	return t.process != nil && t.process.pid == t.tid && t.process.tasks > 1
}

// stillThere says whether t is still at the stop in hand.
func (s *sandbox) stillThere(t *task, stop ptrace.Stop) (bool, error) {
	if !t.replaceable() {
		return true, nil
	}
	return s.kernel.At(stop)
}

// superseded is for a stop in hand that is not there any more, because its task
// is dead and another thread is stopped under its tid: that stop is still to be
// waited for.
func (s *sandbox) superseded(err error) error {
	if s.stale++; s.stale > staleMax {
		return errors.New("it is reported again and again, and not there")
	}
	return err
}

// staleMax is far beyond the number of stops that one batch can hold in vain.
const staleMax = 1 << 20

// resume lets t go on; a task whose call was rewritten only to the call's end, and one
// whose errand is followed to the next call's beginning or end.
func (s *sandbox) resume(t *task, sig unix.Signal) error {
	if t.rewrite != nil || t.arming != nil && t.arming.follows {
		return s.kernel.ResumeToExit(t.tid, sig)
	}
	return s.kernel.Resume(t.tid, sig)
}

// groupStop leaves t stopped until SIGCONT, and tells that job control has
// stopped the command.
func (s *sandbox) groupStop(t *task, sig unix.Signal) error {
	if err := s.kernel.Listen(t.tid); err != nil {
		return err
	}
	if t.tid == s.first.pid && s.opt.Stopped != nil {
		s.opt.Stopped(sig)
	}
	return nil
}

// execEvent is the event stop at the end of a successful execve. The other threads
// are dead, and the caller has the process's tid whatever it had before
// (ptrace(2), "execve(2) under ptrace").
func (s *sandbox) execEvent(t *task) error {
	former, err := s.kernel.Message(t.tid)
	if err != nil {
		return err
	}
	s.place.execed(former, t.tid)
	answers := t.answers
	if caller := s.tasks[former]; caller != nil && caller != t {
		answers = caller.answers
		delete(s.tasks, former)
		t.process.tasks--
		s.settle(caller)
	}
	if err := s.announced(t); err != nil { // the leader's own call died with it
		return err
	}
	s.settle(t)
	t.answers = answers // to what it has become
	t.process.exe = ""
	t.process.outlived()
	s.kernel.Forget(t.process.pid)
	if err := s.judgeProgramAgain(t); err != nil {
		return err
	}
	command := t.process.starting
	if command {
		t.process.starting = false
		s.tellStart(t)
		if s.opt.Started != nil {
			s.opt.Started(t.tid)
		}
	}
	s.tellExec(t)
	if s.holders.Pins() && !s.opt.Permissive {
		return s.arm(t, command)
	}
	return s.resume(t, 0)
}

// gone is the death of a task; of a process's leader, that of the process.
func (s *sandbox) gone(stop ptrace.Stop) error {
	t := s.tasks[stop.TID]
	delete(s.tasks, stop.TID)
	if t == nil { // killed before its first stop, or before an exec took its tid
		return nil
	}
	if t.heldAt != ptrace.Unknown {
		s.held--
	}
	defer s.settle(t) // after it is known what it leaves
	if p := t.process; p != nil {
		p.tasks--
		if p.pid == t.tid {
			s.kernel.Forget(p.pid)
			s.forget(p)
			s.processGone(p, stop)
		}
	}
	return s.announced(t)
}

// forget drops what is left of a process whose leader's death was reported,
// which comes last (kernel/exit.c, delay_group_leader). A thread whose execve
// fails beyond its point of no return dies as the leader, and nothing is ever
// said of its own number.
func (s *sandbox) forget(p *process) {
	if p.tasks == 0 {
		return
	}
	for tid, t := range s.tasks {
		if t.process != p {
			continue
		}
		delete(s.tasks, tid)
		if t.rewrite != nil && t.rewrite.expecting {
			s.expecting--
		}
		s.settle(t)
	}
	p.tasks = 0
}

func (s *sandbox) processGone(p *process, stop ptrace.Stop) {
	status := stop.Status
	if stop.Kind == ptrace.Killed {
		status = 128 + int(stop.Signal)
	}
	s.tellExit(p, status, stop.Signal)
	s.bounds.died(p.pid, s.kernel.CPU())
	s.population.died(p.pid)
	if stop.Signal == unix.SIGKILL && !s.ending {
		s.bounds.starved()
	}
	if p == s.first || s.left {
		s.count(s.kernel.Usage())
	}
	if p == s.first {
		s.result.Status, s.result.Signal = status, stop.Signal
		s.left = true
	}
	switch {
	case s.left && (!s.opt.Linger || s.bounds.ended()):
		s.end()
	case p == s.first && len(s.tasks) > 0 && s.opt.Left != nil:
		s.opt.Left()
	}
}
