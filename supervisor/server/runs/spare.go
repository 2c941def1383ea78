package runs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// spare is a supervisor that waits for its job, in a folder that is not any job's
// yet. What of a start is the same for all jobs is then over when one comes. Each is
// for one job: what a job's user can reach has never been another's.
type spare struct {
	*Run
	hand *handover.Hand
}

// sparePrefix begins the names of their folders, which are no job's: those have a
// dot.
const sparePrefix = "spare-"

// newSpare starts one.
func (h *Host) newSpare() (*spare, error) {
	hand, theirs, err := handover.NewHand()
	if err != nil {
		return nil, err
	}
	defer unix.Close(theirs)
	l := &layout{dir: filepath.Join(h.folder, sparePrefix+strconv.FormatInt(h.made.Add(1), 10))}
	defer l.close()
	s := &spare{hand: hand}
	if err = l.make(theirs); err == nil {
		s.Run, err = open(l.dir)
	}
	if err == nil {
		err = l.connect()
	}
	if err == nil {
		err = s.launch(l, h.program)
	}
	if err != nil {
		h.discard(s, l.dir)
		return nil, err
	}
	return s, nil
}

// discard ends a spare and removes its folder.
func (h *Host) discard(s *spare, dir string) {
	s.hand.Close()
	if s.Run != nil {
		if s.process != nil {
			s.process.kill()
			s.reap()
		}
		s.close()
	}
	_ = h.removeFolder(dir) // what is left, the next daemon removes
}

// Spares keeps so many supervisors ready, until the host is closed. Those that a
// daemon before has left are gone, and their folders are removed.
func (h *Host) Spares(n int) error {
	left, err := filepath.Glob(filepath.Join(h.folder, sparePrefix+"*"))
	for _, folder := range left {
		err = errors.Join(err, h.removeFolder(folder))
	}
	h.ready = make(chan *spare, n)
	h.fillers.Add(1)
	go func() {
		defer h.fillers.Done()
		for h.fill() {
			select {
			case <-h.taken:
			case <-h.closed:
				return
			}
		}
	}()
	return err
}

// fill makes as many as are wanted; false: no more are.
func (h *Host) fill() bool {
	for len(h.ready) < cap(h.ready) {
		select {
		case <-h.closed:
			return false
		default:
		}
		s, err := h.newSpare()
		if err != nil {
			return true // a job that starts will tell
		}
		h.ready <- s
	}
	return true
}

// take gives a supervisor that waits.
func (h *Host) take() (*spare, error) {
	defer func() {
		select {
		case h.taken <- struct{}{}:
		default:
		}
	}()
	for {
		select {
		case s := <-h.ready:
			if !s.process.over() {
				return s, nil
			}
			h.discard(s, s.dir)
		default:
			return h.newSpare()
		}
	}
}

// Close ends the supervisors that have no job.
func (h *Host) Close() {
	close(h.closed)
	h.fillers.Wait()
	for {
		select {
		case s := <-h.ready:
			h.discard(s, s.dir)
		default:
			return
		}
	}
}

// isSpare says whether a folder's name is one of theirs.
func isSpare(name string) bool { return strings.HasPrefix(name, sparePrefix) }

// settle makes a spare's folder the run's.
func (s *spare) settle(dir string, spec *handover.Spec, as *handover.Identity) error {
	if err := os.Rename(s.dir, dir); err != nil {
		return err
	}
	s.dir = dir
	work := filepath.Join(dir, "work")
	if !spec.Own {
		return os.Remove(work)
	}
	if os.Geteuid() == 0 {
		return os.Lchown(work, int(as.UID), int(as.GID))
	}
	return nil
}

// give gives a supervisor its job.
func (s *spare) give(spec *handover.Spec, stdin []byte) error {
	with, err := s.inputs(spec, stdin)
	defer func() {
		for _, fd := range with {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	s.process.due = dueAt(spec.Limits.WallSeconds)
	if err := s.process.note(filepath.Join(s.dir, "pid")); err != nil {
		return err
	}
	return s.hand.Give(spec, with...)
}

// inputs opens what the command is to read, and what keeps that open.
func (s *spare) inputs(spec *handover.Spec, stdin []byte) (fds []int, err error) {
	add := func(name string, flags int) error {
		fd, err := openIn(s.dir, name, flags)
		if err == nil {
			fds = append(fds, fd)
		}
		return err
	}
	switch {
	case spec.InputOpen:
		if err = fifo(s.dir, "input"); err == nil {
			err = add("input", unix.O_RDONLY|unix.O_NONBLOCK)
		}
		if err == nil {
			err = unix.SetNonblock(fds[0], false)
		}
		if err == nil {
			err = add("input", unix.O_WRONLY)
		}
	case len(stdin) == 0:
		err = add("/dev/null", unix.O_RDONLY)
	default:
		if err = os.WriteFile(filepath.Join(s.dir, "stdin"), stdin, 0o600); err == nil {
			err = add("stdin", unix.O_RDONLY)
		}
	}
	if err != nil {
		err = fmt.Errorf("the command's input: %w", err)
	}
	return fds, err
}
