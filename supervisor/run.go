package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/launch"
	"callgate/supervisor/ptrace"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

func (s *sandbox) run(ctx context.Context, cmd Command) (*Result, error) {
	began := time.Now()
	if s.holders.Pins() {
		resolver, err := resolve.New()
		if err != nil {
			return nil, fmt.Errorf("names cannot be followed: %w", err)
		}
		defer resolver.Close()
		s.resolver = resolver
	}
	if err := s.judgeCommand(&cmd); err != nil {
		return nil, err
	}
	stage, err := s.start(ctx, cmd)
	if err != nil {
		s.output.end(0)
		if failed := s.bounds.end(); failed != nil {
			err = errors.Join(err, failed)
		}
		return nil, err
	}
	stop := context.AfterFunc(ctx, s.bounds.cancel)
	err = s.loop()
	s.place.end()
	stop()
	ended := s.bounds.end()
	s.output.end(s.patience())
	failed := stage.Err()
	stage.Close()

	s.result.Wall = time.Since(began)
	switch {
	case err != nil:
		return nil, err
	case s.first.starting && failed != nil:
		return nil, startError(failed)
	case ctx.Err() != nil && !s.opt.Linger:
		return nil, ctx.Err()
	case ended != nil:
		return nil, ended
	}
	s.applyLimit()
	s.total(s.result.Wall)
	s.tellEnd()
	return s.result, nil
}

// start starts the first stage and becomes its tracer before it does anything.
func (s *sandbox) start(ctx context.Context, cmd Command) (*launch.Stage, error) {
	lc, err := s.launchCommand(&cmd)
	if err != nil {
		return nil, err
	}
	if lc.Domain != nil {
		defer lc.Domain.Close()
	}
	stage, err := launch.Start(lc)
	if err != nil {
		return nil, roomError(s.isolation(), startError(err))
	}
	first, err := s.takeIn(ctx, stage, lc)
	if err != nil {
		s.abandon(stage.PID, first)
		stage.Close()
		return nil, err
	}
	stage.PID = first
	return stage, nil
}

// launchCommand is cmd as the first stage is to start it.
func (s *sandbox) launchCommand(cmd *Command) (*launch.Command, error) {
	limits, err := s.prepareLimits(cmd)
	if err != nil {
		return nil, err
	}
	room, err := s.roomOf(cmd)
	if err != nil {
		return nil, err
	}
	lc := &launch.Command{
		Path:     cmd.Path,
		Args:     cmd.Args,
		Env:      cmd.Env,
		Dir:      cmd.Dir,
		Keep:     cmd.Keep,
		Terminal: cmd.Terminal,
		Session:  cmd.Session,
		Umask:    cmd.Umask,
		Nice:     cmd.Nice,
		Room:     room,
		Limits:   s.withoutCore(limits),
	}
	for _, f := range cmd.Files {
		lc.Files = append(lc.Files, descriptor(f))
	}
	for _, filter := range s.plan.Filters {
		lc.Filters = append(lc.Filters, filter)
	}
	s.confined = s.plan.Set.Restricts() && !s.opt.Permissive
	if s.confined && s.plan.Set.HasSections() {
		lc.GivenUp = reads
	}
	if s.confined {
		if lc.Domain, err = s.newDomain(cmd); err != nil {
			return nil, fmt.Errorf("nothing would keep the command from the memory of your other processes: %w", err)
		}
	}
	return lc, nil
}

// reads are the capabilities with either of which every process's memory map and
// environment can be read, whatever Landlock says of tracing (may_access_mm in kernel/fork.c,
// seen in Linux 6.18). Of what else CAP_SYS_ADMIN permits, builtin:guard-names denies the most.
const reads = 1<<unix.CAP_PERFMON | 1<<unix.CAP_SYS_ADMIN

// takeIn becomes the tracer of the process that was started, and lets the first stage
// go on, whose pid it gives as soon as that is known.
func (s *sandbox) takeIn(ctx context.Context, stage *launch.Stage, lc *launch.Command) (first int, err error) {
	ptrace.QuietStops() // where it is refused, stops only cost more
	if err := s.kernel.Seize(stage.PID); err != nil {
		return 0, fmt.Errorf("cannot trace the command: %w (is callgate itself traced, by strace, a debugger or another callgate?)", err)
	}
	if err := s.bounds.enclose(stage.PID); err != nil {
		return 0, err
	}
	s.output.start()
	if lc.Room == nil {
		if err := s.adopt(ctx, stage.PID); err != nil {
			return 0, err
		}
		stage.Go()
		return stage.PID, nil
	}
	first, err = s.enterRoom(stage, lc.Room, lc.Domain)
	if err != nil {
		return first, roomError(s.isolation(), startError(err))
	}
	if err := s.adopt(ctx, first); err != nil {
		return first, err
	}
	return first, s.kernel.Resume(first, 0)
}

// adopt takes in the sandbox's first process.
func (s *sandbox) adopt(ctx context.Context, pid int) error {
	if err := s.bounds.begin(pid, ctx.Done() != nil); err != nil {
		return err
	}
	s.adoptFirst(pid)
	s.place.take(pid)
	return nil
}

// roomError is a failure of an isolated sandbox to start, whose reason most likely
// is that it is isolated.
func roomError(n policy.Isolation, err error) error {
	if n == 0 {
		return err
	}
	return &IsolationError{n, err}
}

// newDomain makes the Landlock domain that the sandbox is to be in: what the plan
// has for it, else one that only keeps it from other processes. An isolated
// sandbox is granted what is in it once that is there.
func (s *sandbox) newDomain(cmd *Command) (*launch.Domain, error) {
	l := s.plan.Landlock()
	if !s.holders.Pins() {
		abi, err := launch.LandlockABI()
		if err != nil {
			return nil, err
		}
		l = compile.Confine(compile.Bound{}, compile.Host{ABI: abi, Look: launch.Look})
	}
	if s.isolation() == 0 {
		return launch.NewDomain(&l.Ruleset)
	}
	if s.isolation()&policy.IsolateMount != 0 {
		s.freeze(cmd, &l.Ruleset)
	}
	return launch.OpenDomain(&l.Ruleset)
}

func descriptor(f *os.File) int {
	if f == nil {
		return -1
	}
	return int(f.Fd())
}

func startError(err error) error {
	var failed *launch.Error
	if errors.As(err, &failed) {
		return &StartError{Op: failed.Op, Path: failed.Path, Err: failed.Errno}
	}
	return err
}

// loop is the trace loop: it returns when no task of the sandbox is left.
func (s *sandbox) loop() error {
	for n := 1; ; n++ {
		turned := s.giveTurns()
		stop, err := s.kernel.Wait()
		if err == unix.ECHILD {
			return s.err
		}
		if err != nil {
			return fmt.Errorf("wait4: %w", err)
		}
		s.handle(stop)
		if turned || n%fairness == 0 && len(s.tasks) > 1 {
			s.handleAll()
		}
	}
}

// fairness is after how many stops all that are pending are taken in one round.
// wait4 looks at the newest tracees first (kernel/exit.c, do_wait): tasks that
// stop again and again would keep an older one waiting for ever.
const fairness = 8

func (s *sandbox) handleAll() {
	s.batch = s.batch[:0]
	for len(s.batch) < len(s.tasks) {
		stop, ok := s.kernel.Poll()
		if !ok {
			break
		}
		s.batch = append(s.batch, stop)
	}
	for _, stop := range s.batch {
		s.handle(stop)
	}
}

// handle deals with one stop. A task that is killed while it is stopped answers
// ESRCH to whatever is asked of it, and its death is reported next.
func (s *sandbox) handle(stop ptrace.Stop) {
	if stop.TID == s.questions.asker {
		s.answered(stop)
		return
	}
	if stop.TID == s.keeper && !stop.Gone() {
		s.kernel.Take(stop.TID) // job control's, with all of the process group
		return
	}
	if s.ending && !stop.Gone() {
		s.kernel.Take(stop.TID) // it has seen its last
		s.kill(stop.TID)
		return
	}
	s.try(s.dispatch(stop), stop)
	if s.order.freed {
		s.admit()
	}
}

// try ends the sandbox for an error other than that its task is dead.
func (s *sandbox) try(err error, at ptrace.Stop) {
	if err != nil && err != unix.ESRCH {
		s.abort(fmt.Errorf("%v: %w", at, err))
	}
}

// abort ends the sandbox because callgate can no longer answer for it.
func (s *sandbox) abort(err error) {
	if s.err == nil {
		s.err = err
	}
	s.end()
}

// end kills all that is left.
func (s *sandbox) end() {
	s.ending = true
	s.questions.hush()
	for tid := range s.tasks {
		s.kill(tid)
	}
}

// kill kills tid's process, if tid is the sandbox's: a number that the kernel
// has given to a stranger is not to be trusted to any bookkeeping.
func (s *sandbox) kill(tid int) {
	if !s.kernel.Traced(tid) {
		return
	}
	if err := s.kernel.Kill(tid); err != nil && err != unix.ESRCH && s.err == nil {
		s.err = err
	}
}
