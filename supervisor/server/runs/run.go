package runs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// Run is one attempt at a job on this host.
type Run struct {
	ID      string
	Attempt int

	dir     string
	process *process    // the supervisor's; nil where it is gone, or not known
	unknown error       // why it is not known
	due     time.Time   // when the supervisor is to have ended the job; zero: there is no such time
	given   *supervisor // who has the job from this daemon; nil: it was found
	alive   *os.File
	control *os.File
	done    chan struct{}

	taken time.Time // when the supervisor got the job, or it was found

	mu      sync.Mutex
	grew    chan struct{} // closed when there is more
	result  *handover.Result
	err     error
	gone    bool
	shot    bool // its supervisor was killed
	overdue bool // because its time was up
	input   input
}

// Done is closed when the run is over.
func (r *Run) Done() <-chan struct{} { return r.done }

// Grew is closed when the journal has grown, or the run is over, since this was
// called.
func (r *Run) Grew() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grew
}

// Over says whether all of the journal is there.
func (r *Run) Over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// Result is the supervisor's word on the job; nil where it has none, and then the
// error has its complaints. To be called when Done.
func (r *Run) Result() (*handover.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result, r.err
}

// Ours says whether this process started the supervisor.
func (r *Run) Ours() bool { return r.given != nil }

// Taken is when the supervisor got the job, or this daemon found the run.
func (r *Run) Taken() time.Time { return r.taken }

// Supervisor is the supervisor's process, 0 where that is not known.
func (r *Run) Supervisor() int {
	if r.process == nil {
		return 0
	}
	return r.process.pid
}

// Begun says whether the command may have begun.
func (r *Run) Begun() bool {
	st, err := os.Stat(filepath.Join(r.dir, "begun"))
	return err == nil && st.Size() > 0
}

// watch returns when the run is over.
func (r *Run) watch() {
	r.attend()
	for _, name := range []string{"work", "stdin"} {
		_ = os.Remove(filepath.Join(r.dir, name)) // the supervisor has emptied the folder, or Clear does both
	}
	r.read()
	r.close()
	r.tell(true)
}

// listen tells of what is written to the journal.
func (r *Run) listen() {
	buf := make([]byte, 4096)
	for {
		n, err := r.alive.Read(buf)
		if err != nil || n == 0 {
			return
		}
		r.tell(false)
	}
}

// attend waits for the job's end, and sees to it where that is due.
func (r *Run) attend() {
	unheard := make(chan struct{})
	go func() {
		r.listen()
		close(unheard)
	}()
	switch {
	case r.process == nil && r.unknown == nil:
		return
	case r.process == nil:
		<-unheard // nobody holds the other end any more
		return
	}
	if !r.due.IsZero() {
		alarm := time.AfterFunc(time.Until(r.due), func() { r.kill(true) })
		defer alarm.Stop()
	}
	select {
	case <-r.process.ended:
	case <-unheard:
		r.part()
	}
}

// part waits for the supervisor's end if the job's was not as it should, now that nobody
// holds `alive`: what it traces is killed only after its descriptors are closed (do_exit in
// kernel/exit.c). One that does not end, though its result cannot be read, goes on to
// another job, if it can.
func (r *Run) part() {
	if result, _ := r.written(); result != nil && !result.Last {
		return
	}
	select {
	case <-r.process.ended:
	case <-time.After(killTime):
		if r.kill(false) {
			<-r.process.ended
		}
	}
}

// begin has a supervisor do a job.
func (r *Run) begin(s *supervisor, j *Job, files []int) error {
	r.process, r.given, r.due, r.taken = s.process, s, dueAt(j.Spec.Limits.WallSeconds), time.Now()
	if err := r.process.note(filepath.Join(r.dir, "pid"), r.due); err != nil {
		return err
	}
	as := j.As // not all of j
	s.as, s.only = &as, j.Fresh
	s.jobs++
	return s.hand.Give(j.Spec, files...)
}

// kill kills the supervisor, unless the run is over: it may have another job by then. So
// may that of a run which was found, once nobody holds `alive`.
func (r *Run) kill(overdue bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || r.process == nil || r.given == nil && r.silent() {
		return false
	}
	r.shot, r.overdue = true, r.overdue || overdue
	r.process.kill()
	return true
}

// silent says that nobody holds the other end of `alive`, or ever did.
func (r *Run) silent() bool {
	conn, err := r.alive.SyscallConn()
	if err != nil {
		return true
	}
	ended := true
	err = conn.Control(func(fd uintptr) {
		buf := make([]byte, 4096)
		n, err := 1, error(nil)
		for n > 0 || err == unix.EINTR {
			n, err = unix.Read(int(fd), buf)
		}
		ended = err == nil // else EAGAIN (fifo(7))
	})
	return err != nil || ended
}

func (r *Run) read() {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, err := r.written()
	if err == nil && result == nil && r.overdue {
		result = &handover.Result{Ran: r.Begun(), Result: client.Result{Cause: client.ByLimit, Status: 124, Limit: "wall_seconds",
			Message: "the limit on wall-time was reached, and the job's supervisor did not end it"}}
	}
	if err == nil && result == nil {
		err = r.lastWords()
	}
	r.result, r.err = result, err
}

// ErrGone says that a run's supervisor ended by itself, without a result.
var ErrGone = errors.New("the job's supervisor ended")

// lastWords are what it complained of.
func (r *Run) lastWords() error {
	text := tail(filepath.Join(r.dir, "log"))
	if text == "" && r.given != nil {
		text = r.given.said()
	}
	if text == "" {
		return fmt.Errorf("%w without a word", ErrGone)
	}
	return fmt.Errorf("%w: %s", ErrGone, text)
}

// written is what there is of the result.
func (r *Run) written() (*handover.Result, error) {
	f, err := os.Open(filepath.Join(r.dir, "result"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return handover.ReadResult(f)
}

// tell tells of more in the journal, or of the run's end. What was heard before
// that may be told after it.
func (r *Run) tell(gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.grew)
	r.grew = make(chan struct{})
	r.gone = r.gone || gone
}

func (r *Run) close() {
	_ = r.alive.Close()
	if r.control != nil {
		_ = r.control.Close()
	}
	r.input.close()
}

// order tells the supervisor something. A FIFO that takes nothing more has
// orders enough.
func (r *Run) order(text string) error {
	_ = r.control.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(r.control, text+"\n"); err != nil {
		return fmt.Errorf("tell the job's supervisor: %w", err)
	}
	return nil
}

// Kill ends the job, with every process of it. A supervisor that does not do it
// in time is killed, and the kernel kills what it traces (PTRACE_O_EXITKILL).
func (r *Run) Kill() error {
	time.AfterFunc(killTime, func() { r.kill(false) })
	return r.order(handover.OrderKill)
}

// Signal sends a signal to the command, or its process group.
func (r *Run) Signal(number int, group bool) error {
	verb := handover.OrderSignal
	if group {
		verb = handover.OrderGroup
	}
	return r.order(verb + " " + strconv.Itoa(number))
}
