package runs

import (
	"errors"
	"io"
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

// input is a command's open standard input. How much of it has gone through the
// FIFO is noted in a file, for the daemon after this one.
type input struct {
	mu     sync.Mutex
	opened bool
	fifo   atomic.Pointer[os.File] // nil: not open yet, or not any more
	count  *os.File
	offset int64
}

// ErrNotOpen says that nobody reads a job's input.
var ErrNotOpen = errors.New("nobody reads the job's input")

// ErrNotBegun says that a job's command has not begun, and may yet.
var ErrNotBegun = errors.New("the command has not begun")

// OffsetError says that input begins elsewhere than what has arrived ends.
type OffsetError struct{ Arrived int64 }

func (e *OffsetError) Error() string {
	return "what has arrived ends at " + strconv.FormatInt(e.Arrived, 10)
}

// Write sends what body has to the command, as it comes: offset is where that
// begins, -1 where it does not matter. It gives how much has arrived in all.
func (r *Run) Write(body io.Reader, offset int64, end bool) (int64, error) {
	in := &r.input
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := r.openInput(); err != nil {
		return 0, err
	}
	if offset >= 0 && offset != in.offset {
		return in.offset, &OffsetError{in.offset}
	}
	if err := in.copy(body); err != nil {
		return in.offset, err
	}
	if end {
		in.close() // the supervisor's end is the last
		return in.offset, r.order(handover.OrderEnd)
	}
	return in.offset, nil
}

const (
	beginTime = 5 * time.Second // for a command to begin, while somebody writes to it
	beginLook = 10 * time.Millisecond
)

// openInput opens the FIFO. That nobody reads it means something only when the
// command has begun.
func (r *Run) openInput() error {
	for until := time.Now().Add(beginTime); ; time.Sleep(beginLook) {
		begun := r.Begun() || r.over()
		err := r.input.open(r.dir)
		switch {
		case !errors.Is(err, ErrNotOpen) || begun:
			return err
		case time.Now().After(until):
			return ErrNotBegun
		}
	}
}

func (in *input) open(dir string) error {
	if in.opened {
		if in.fifo.Load() == nil {
			return ErrNotOpen
		}
		return nil
	}
	fd, err := unix.Open(filepath.Join(dir, "input"), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENXIO || err == unix.ENOENT {
		return ErrNotOpen
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(dir, "input"), Err: err}
	}
	in.fifo.Store(os.NewFile(uintptr(fd), "input"))
	if in.count, err = os.OpenFile(filepath.Join(dir, "input.count"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	text, err := io.ReadAll(in.count)
	if err != nil {
		return err
	}
	in.offset, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // nothing yet: 0
	in.opened = true
	return nil
}

func (in *input) copy(body io.Reader) error {
	fifo := in.fifo.Load()
	if fifo == nil {
		return ErrNotOpen
	}
	buf := make([]byte, 32<<10)
	for {
		n, readErr := body.Read(buf)
		sent, err := fifo.Write(buf[:n])
		in.offset += int64(sent)
		if saveErr := in.save(); err == nil {
			err = saveErr
		}
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, os.ErrClosed):
			return ErrNotOpen
		case err != nil:
			return err
		case readErr == io.EOF:
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

func (in *input) save() error {
	_, err := in.count.WriteAt([]byte(strconv.FormatInt(in.offset, 10)+"\n"), 0)
	return err
}

// close breaks off what is being written.
func (in *input) close() {
	if f := in.fifo.Swap(nil); f != nil {
		_ = f.Close()
	}
}
