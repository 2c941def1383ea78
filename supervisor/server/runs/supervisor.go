package runs

import (
	"os"
	"runtime"
	"syscall"

	"callgate/supervisor/keyring"
	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// supervisor is a process that supervises jobs, one after the other, and the daemon's end
// of what they come by. What of a start is the same for all jobs is over when one comes:
// it waits for its first, then for the next of the same user's.
type supervisor struct {
	*process
	hand  *handover.Hand
	state state
	words *os.File           // what it complained of before its first job
	as    *handover.Identity // whose its jobs are; nil: it has had none
	jobs  int                // that it has had
	only  bool               // it is to have no other
}

// spawn starts a supervisor, in a session of its own. It becomes its user by itself.
func spawn(program string) (_ *supervisor, err error) {
	hand, theirs, err := handover.NewHand()
	if err != nil {
		return nil, err
	}
	defer unix.Close(theirs)
	s := &supervisor{hand: hand, process: &process{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	words, err := unix.MemfdCreate("complaints", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	s.words = os.NewFile(uintptr(words), "complaints")
	null, err := openIn("", os.DevNull, unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	defer unix.Close(null)
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{}, Sys: &syscall.SysProcAttr{Setsid: true},
		Files: []uintptr{uintptr(null), uintptr(null), uintptr(words), handover.HandFD: uintptr(theirs)}}
	if apart(func() { err = s.begin(program, attr) }); err != nil {
		return nil, err
	}
	if s.state.limits, err = narrow(s.pid); err == nil {
		err = s.process.open()
	}
	if err != nil { // nobody could end it
		_ = unix.Kill(s.pid, unix.SIGKILL)
		reap(s.pid)
		return nil, err
	}
	go s.watch(true)
	return s, nil
}

// apart runs f on a thread of its own, which ends with it: what f makes of that is its
// children's alone.
func apart(f func()) {
	over := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		f()
		close(over)
	}()
	<-over
}

// begin starts the process, with a keyring and priorities that are not the daemon's. It
// does so from the calling thread, which is left with those.
func (s *supervisor) begin(program string, attr *syscall.ProcAttr) error {
	if err := keyring.Own(); err != nil && os.Geteuid() == 0 { // else the daemon's is the jobs' user's
		return err
	}
	p, err := ordinary()
	if err != nil {
		return err
	}
	s.state.priorities = *p
	if s.pid, err = syscall.ForkExec(program, []string{"callgate", "supervise"}, attr); err != nil {
		return &os.PathError{Op: "execute", Path: program, Err: err}
	}
	return nil
}

// said is the end of what it complained of before its first job.
func (s *supervisor) said() string { return tailOf(s.words) }

// close closes the daemon's ends.
func (s *supervisor) close() {
	s.hand.Close()
	if s.words != nil {
		_ = s.words.Close()
	}
}

// dismiss ends a supervisor that has no job.
func (s *supervisor) dismiss() {
	s.kill() // its user may have stopped it
	s.close()
}
