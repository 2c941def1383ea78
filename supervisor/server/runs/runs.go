// Package runs is the jobs that run on this host: it starts their supervisors,
// processes that outlive the daemon, each with one job at a time, and finds them again.
//
// A run's folder, ID.ATTEMPT, has what its supervisor writes (journal, result,
// begun, files) and two FIFOs; ID.0 has the journals of attempts before it. The supervisor holds the writing end of `alive`:
// when that ends, the job is over, with all of its sandbox, or the supervisor is dying. It
// reads orders from `control`.
//
// # Limits
//
// A run that has no `begun` has not executed anything of its command's, as long as
// the kernel has not crashed since.
package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// Host has this host's runs.
type Host struct {
	folder  string // where theirs are
	program string // callgate
	pool    *pool
	blanks  *stock[*layout]
	made    atomic.Int64 // blanks, in all

	// Earlier says whether journals of attempts before a job's last are kept here.
	Earlier bool

	mu   sync.Mutex
	runs map[string]*Run // by job

	weights map[string]int64 // of jobs that have ended
	total   int64
}

// New makes the host of the daemon's folder, in which runs are below "jobs".
// program is the callgate that supervises.
func New(state, program string) (*Host, error) {
	h := &Host{folder: filepath.Join(state, "jobs"), program: program, pool: newPool(program), runs: map[string]*Run{}, weights: map[string]int64{}}
	h.blanks = newStock(h.blank, func(*layout) bool { return false }, h.discard)
	mode := folderMode()
	for _, dir := range []string{state, h.folder} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return nil, err
		}
	}
	spread(h.folder)
	return h, nil
}

// Spares keeps so many supervisors and folders ready for their first job, and as many
// supervisors for another of the same user's, until the host is closed. The folders that a
// daemon before has left are removed.
func (h *Host) Spares(n int) error {
	err := h.sweepBlanks()
	h.pool.open(n)
	h.blanks.open(n)
	return err
}

// Close gives up what has no job.
func (h *Host) Close() {
	h.pool.close()
	h.blanks.close()
}

func (h *Host) path(id string, attempt int) string {
	return filepath.Join(h.folder, id+"."+strconv.Itoa(attempt))
}

// Work is the folder of a run's own in which its command works.
func (h *Host) Work(id string, attempt int) string { return filepath.Join(h.path(id, attempt), "work") }

// Get gives a job's run, whether it has ended or not; nil if this host has none.
func (h *Host) Get(id string) *Run {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runs[id]
}

// Journal opens what an attempt has written so far, whether it still runs or not.
func (h *Host) Journal(id string, attempt int) (*os.File, error) {
	f, err := os.Open(filepath.Join(h.path(id, attempt), "journal"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(h.earlier(id, attempt))
	}
	return f, err
}

// Files opens the tar of what was collected.
func (h *Host) Files(id string, attempt int) (*os.File, error) {
	return os.Open(filepath.Join(h.path(id, attempt), "files"))
}

// Known are the jobs and attempts that there are folders of.
func (h *Host) Known() (map[string]int, error) {
	list, err := os.ReadDir(h.folder)
	if err != nil {
		return nil, err
	}
	known := map[string]int{}
	for _, e := range list {
		id, attempt, _ := strings.Cut(e.Name(), ".")
		if n, err := strconv.Atoi(attempt); err == nil && n > 0 {
			known[id] = max(n, known[id])
		}
	}
	return known, nil
}

// Remove removes what there is of a job. It must have ended.
func (h *Host) Remove(id string) error {
	if err := h.forget(id); err != nil {
		return err
	}
	defer h.unweigh(id)
	folders, err := filepath.Glob(filepath.Join(h.folder, id+".*"))
	for _, folder := range folders {
		err = errors.Join(err, h.removeFolder(folder))
	}
	return err
}

func (h *Host) forget(id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.runs[id]; r != nil && !r.Over() {
		return errors.New("remove a job's files: it runs")
	}
	delete(h.runs, id)
	return nil
}

// Job is what is to be run.
type Job struct {
	Spec  *handover.Spec
	As    handover.Identity
	Stdin []byte
	// Fresh asks for a supervisor that has had no job, and so is root if the daemon is; it
	// gets no other.
	Fresh bool
}

// Prepared is a run for whose start all is there: its folder, and a supervisor that is to
// get it.
type Prepared struct {
	host       *Host
	job        *Job
	layout     *layout
	supervisor *supervisor
}

// Prepare does what can be done of a run's start before it is known that it is to start.
// What there is of earlier attempts goes.
func (h *Host) Prepare(j *Job, attempt int) (*Prepared, error) {
	if err := h.supersede(j.Spec, attempt); err != nil {
		return nil, err
	}
	p, err := h.prepare(j, attempt)
	return p, starting(err)
}

func (h *Host) prepare(j *Job, attempt int) (*Prepared, error) {
	if os.Geteuid() == 0 {
		j.Spec.As = &j.As
	}
	l, err := h.blanks.take()
	if err != nil {
		return nil, err
	}
	p := &Prepared{host: h, job: j, layout: l}
	if err = l.settle(h.path(j.Spec.ID, attempt), j); err == nil {
		l.run.ID, l.run.Attempt = j.Spec.ID, attempt
		p.supervisor, err = h.pool.take(&j.As, j.Fresh)
	}
	if err != nil {
		h.blanks.restock()
		h.discard(l)
		return nil, err
	}
	return p, nil
}

// starting says of an error that it is one of a start.
func starting(err error) error {
	if err == nil || errors.Is(err, ErrGone) {
		return err
	}
	return fmt.Errorf("start the job's supervisor: %w", err)
}

// Start starts the run. It must not have been started before, ever: that is the caller's
// to know, by the store.
func (p *Prepared) Start() (*Run, error) {
	defer p.host.blanks.restock() // which takes its time
	l := p.layout
	if err := p.give(l.run, l.files); err != nil {
		p.host.discard(l)
		return nil, starting(err)
	}
	l.close()
	p.host.watch(l.run)
	return l.run, nil
}

// Drop gives up a run that is not to start.
func (p *Prepared) Drop() {
	p.host.blanks.restock()
	p.host.discard(p.layout)
	if p.supervisor.jobs == 0 {
		p.supervisor.dismiss()
		return
	}
	p.host.pool.keep(p.supervisor)
}

// give gives the job to its supervisor, or where that is gone to another.
func (p *Prepared) give(r *Run, files []int) error {
	for {
		s := p.supervisor
		again := s.jobs > 0
		err := r.begin(s, p.job, files)
		if err == nil {
			return nil
		}
		gone := errors.Is(err, unix.EPIPE) || s.over()
		if gone {
			err = r.lastWords()
		}
		s.dismiss()
		if !gone || !again { // its user may have killed one that waited
			return err
		}
		if p.supervisor, err = p.host.pool.take(&p.job.As, p.job.Fresh); err != nil {
			return err
		}
	}
}

// watch takes a run for this host's, until it is over.
func (h *Host) watch(r *Run) {
	h.mu.Lock()
	h.runs[r.ID] = r
	h.mu.Unlock()
	go func() {
		r.watch()
		switch {
		case r.given == nil:
		case r.result == nil || r.result.Last || r.given.only || r.shot:
			r.given.dismiss()
		default:
			h.pool.keep(r.given)
		}
		close(r.done)
	}()
}

// Adopt finds a run again that a daemon before this one has started; fs.ErrNotExist
// says that there is none.
func (h *Host) Adopt(id string, attempt int) (*Run, error) {
	r, err := open(h.path(id, attempt))
	if err != nil {
		return nil, err
	}
	r.ID, r.Attempt, r.taken = id, attempt, time.Now()
	r.process, r.due, r.unknown = find(filepath.Join(r.dir, "pid"))
	h.watch(r)
	return r, nil
}

// open opens the daemon's ends of a folder's FIFOs.
func open(dir string) (*Run, error) {
	r := &Run{dir: dir, done: make(chan struct{}), grew: make(chan struct{})}
	fd, err := unix.Open(filepath.Join(r.dir, "alive"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Join(r.dir, "alive"), Err: err}
	}
	r.alive = os.NewFile(uintptr(fd), "alive")
	fd, err = unix.Open(filepath.Join(r.dir, "control"), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		r.close()
		return nil, &os.PathError{Op: "open", Path: filepath.Join(r.dir, "control"), Err: err}
	}
	r.control = os.NewFile(uintptr(fd), "control")
	return r, nil
}
