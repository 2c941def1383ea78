// Package runs is the jobs that run on this host: it starts their supervisors,
// each a process of its own that outlives the daemon, and finds them again.
//
// A run's folder, ID.ATTEMPT, has what its supervisor writes (journal, result,
// begun, files) and two FIFOs; ID.0 has the journals of attempts before it. The supervisor holds the writing end of `alive`:
// when that ends, the supervisor is gone, with all of its sandbox. It reads orders
// from `control`.
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

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// Host has this host's runs.
type Host struct {
	folder  string // where theirs are
	program string // callgate

	made    atomic.Int64  // spares, in all
	ready   chan *spare   // nil: none are kept
	taken   chan struct{} // one was
	closed  chan struct{}
	fillers sync.WaitGroup

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
	h := &Host{folder: filepath.Join(state, "jobs"), program: program, runs: map[string]*Run{}, weights: map[string]int64{},
		taken: make(chan struct{}, 1), closed: make(chan struct{})}
	mode := folderMode()
	for _, dir := range []string{state, h.folder} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, mode); err != nil {
			return nil, err
		}
	}
	return h, nil
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
		if isSpare(e.Name()) {
			continue
		}
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
	if r := h.runs[id]; r != nil && !r.over() {
		return errors.New("remove a job's files: it runs")
	}
	delete(h.runs, id)
	return nil
}

// Start starts a run. It must not have been started before, ever: that is the
// caller's to know, by the store.
func (h *Host) Start(spec *handover.Spec, as *handover.Identity, attempt int, stdin []byte) (*Run, error) {
	if err := h.supersede(spec, attempt); err != nil {
		return nil, err
	}
	r, err := h.start(spec, as, attempt, stdin)
	if err != nil {
		if !errors.Is(err, ErrGone) {
			err = fmt.Errorf("start the job's supervisor: %w", err)
		}
		return nil, err
	}
	h.mu.Lock()
	h.runs[spec.ID] = r
	h.mu.Unlock()
	go func() {
		r.watch()
		close(r.done)
	}()
	return r, nil
}

func (h *Host) start(spec *handover.Spec, as *handover.Identity, attempt int, stdin []byte) (*Run, error) {
	s, err := h.take()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		spec.As = as
	}
	if err = s.settle(h.path(spec.ID, attempt), spec, as); err == nil {
		err = s.give(spec, stdin)
	}
	if errors.Is(err, unix.EPIPE) {
		err = s.lastWords()
	}
	if err != nil {
		h.discard(s, s.dir)
		return nil, err
	}
	s.hand.Close()
	s.ID, s.Attempt = spec.ID, attempt
	return s.Run, nil
}

// Adopt finds a run again that a daemon before this one has started; fs.ErrNotExist
// says that there is none.
func (h *Host) Adopt(id string, attempt int) (*Run, error) {
	r, err := open(h.path(id, attempt))
	if err != nil {
		return nil, err
	}
	r.ID, r.Attempt = id, attempt
	r.process, r.unknown = find(filepath.Join(r.dir, "pid"))
	h.mu.Lock()
	h.runs[id] = r
	h.mu.Unlock()
	go func() {
		r.watch()
		close(r.done)
	}()
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
