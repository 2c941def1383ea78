package runs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// input is a command's open standard input. How much of it has gone through the
// FIFO the daemon after this one can tell to the byte, whenever this one is killed.
//
// It goes by pieces that are written whole or not at all (PIPE_BUF in pipe(7)). The file
// input.count has a piece's number, where it begins and how long it is; before the
// piece is written its number is made the FIFO's time of change, which the kernel sets
// to the present with the write itself (pipe_write in fs/pipe.c).
type input struct {
	writing sync.Mutex              // of whom what is sent goes to the FIFO, for as long as the command lets it wait
	path    string                  // of the FIFO
	fifo    atomic.Pointer[os.File] // nil: not open yet, or not any more
	count   *os.File
	next    int64 // the number of the next piece

	mu     sync.Mutex
	opened bool
	offset int64 // where the next piece begins; only who writes changes it
}

const maxPiece = 4096 // PIPE_BUF

// ErrNotOpen says that nobody reads a job's input.
var ErrNotOpen = errors.New("nobody reads the job's input")

// ErrNotBegun says that the command of a run that is over never began. Another run of
// the job's may follow.
var ErrNotBegun = errors.New("the command has not begun")

// OffsetError says that input begins elsewhere than what has arrived ends.
type OffsetError struct{ Arrived int64 }

func (e *OffsetError) Error() string {
	return "what has arrived ends at " + strconv.FormatInt(e.Arrived, 10)
}

// Write sends what body has to the command, as it comes: offset is where that
// begins, -1 where it does not matter. It gives how much has arrived in all. Until the
// command begins it waits. What has not arrived when ctx ends does not any more. Without a
// body, nil, it asks, and does not wait for those who write.
func (r *Run) Write(ctx context.Context, body io.Reader, offset int64, end bool) (int64, error) {
	if err := r.awaitBegin(ctx); err != nil {
		return 0, err
	}
	in := &r.input
	if body != nil || end {
		in.writing.Lock()
		defer in.writing.Unlock()
	}
	arrived, err := in.at(r.dir, offset)
	if err == nil && body != nil {
		err = in.copy(ctx, body)
		arrived = in.offset
	}
	if err == nil && end {
		in.close() // the supervisor's end is the last
		err = r.order(handover.OrderEnd)
	}
	return arrived, err
}

// at gives how much has arrived, with an error if that does not end at offset.
func (in *input) at(dir string, offset int64) (int64, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.open(dir); err != nil {
		return 0, err
	}
	if offset >= 0 && offset != in.offset {
		return in.offset, &OffsetError{in.offset}
	}
	return in.offset, nil
}

// awaitBegin waits until the command begins. What were put into the FIFO before that
// would be lost with a supervisor that dies early: the run that follows has a FIFO of its
// own.
func (r *Run) awaitBegin(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		grew, over := r.Grew(), r.Over()
		switch {
		case r.Begun():
			return nil
		case over:
			return ErrNotBegun
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grew:
		case <-time.After(pause):
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
	in.path = filepath.Join(dir, "input")
	fd, err := unix.Open(in.path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENXIO || err == unix.ENOENT {
		return ErrNotOpen
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: in.path, Err: err}
	}
	in.fifo.Store(os.NewFile(uintptr(fd), "input"))
	if in.count, err = os.OpenFile(filepath.Join(dir, "input.count"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := in.recall(); err != nil {
		return err
	}
	in.opened = true
	return nil
}

// recall finds out what has gone through the FIFO.
func (in *input) recall() error {
	var number, begin, length int64
	if _, err := fmt.Fscan(in.count, &number, &begin, &length); err == io.EOF {
		in.next, in.offset = 1, 0
		return nil
	} else if err != nil {
		return fmt.Errorf("read %s: %w", in.count.Name(), err)
	}
	st, err := os.Stat(in.path)
	if err != nil {
		return err
	}
	in.next, in.offset = number+1, begin+length
	if st.ModTime().Equal(stamp(number)) { // it was about to be written
		in.next, in.offset = number, begin
	}
	return nil
}

// mark says that a piece is about to be written, and none that came before.
func (in *input) mark() error {
	return os.Chtimes(in.path, time.Time{}, stamp(in.next))
}

// stamp is a piece's number as a time long past.
func stamp(number int64) time.Time { return time.Unix(number%1e9, 0) }

// note says where the piece begins and how long it is.
func (in *input) note(length int) error {
	_, err := in.count.WriteAt(fmt.Appendf(nil, "%d %d %d\n", in.next, in.offset, length), 0)
	return err
}

// write writes a piece. Its number is the next one's as long as it is not written.
func (in *input) write(fifo *os.File, piece []byte) error {
	if err := errors.Join(in.mark(), in.note(len(piece))); err != nil {
		return err
	}
	n, err := fifo.Write(piece)
	if n > 0 {
		in.mu.Lock()
		in.offset += int64(n)
		in.mu.Unlock()
		in.next++
	}
	return err
}

// breakOff has a write end when ctx does, up to stop.
func breakOff(ctx context.Context, fifo *os.File) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		_ = fifo.SetWriteDeadline(time.Now()) // of one that is closed there is none
		close(done)
	})
	return func() {
		if !cancel() {
			<-done
			_ = fifo.SetWriteDeadline(time.Time{})
		}
	}
}

func (in *input) copy(ctx context.Context, body io.Reader) error {
	fifo := in.fifo.Load()
	if fifo == nil {
		return ErrNotOpen
	}
	defer breakOff(ctx, fifo)()
	buf := make([]byte, 32<<10)
	for {
		n, readErr := body.Read(buf)
		var err error
		for piece := range slices.Chunk(buf[:n], maxPiece) {
			if err = in.write(fifo, piece); err != nil {
				break
			}
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

// close breaks off what is being written.
func (in *input) close() {
	if f := in.fifo.Swap(nil); f != nil {
		_ = f.Close()
	}
}
