package journal

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// Quota bounds what a journal takes, in bytes.
type Quota struct {
	Output int64 // standard output and error together
	Audit  int64 // lines of the audit log
}

// Writer writes a journal, from several goroutines. What is over the quota, and
// what the disk does not take, is counted and told by Close; it is never an error
// for whom it came from, which is a command that shall not fail of it.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	room func() bool // whether the disk has room for more
	left Quota
	lost map[Kind]int64
	size map[Kind]int64
	buf  []byte
	err  error
	now  func() time.Time
}

// NewWriter writes to w, the end of a file. room is asked now and then whether
// the disk has room for more; nil: it always has.
func NewWriter(w io.Writer, quota Quota, room func() bool) *Writer {
	return &Writer{w: w, room: room, left: quota, lost: map[Kind]int64{}, size: map[Kind]int64{}, now: time.Now}
}

// Output is where the copy of a stream of output goes: kind is Stdout or Stderr.
func (w *Writer) Output(kind Kind) io.Writer { return output{w, kind} }

type output struct {
	w    *Writer
	kind Kind
}

func (o output) Write(p []byte) (int, error) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		n := min(len(rest), MaxData)
		o.w.take(o.kind, rest[:n], &o.w.left.Output)
		rest = rest[n:]
	}
	return len(p), nil
}

// take writes what of data is within a quota. Audit lines are whole or missing.
func (w *Writer) take(kind Kind, data []byte, left *int64) {
	keep := data
	if *left < int64(len(data)) {
		if keep = data[:*left]; kind == Audit {
			keep = nil
		}
	}
	if len(keep) == 0 || !w.put(kind, keep) {
		keep = nil
	} else {
		*left -= int64(len(keep))
		w.size[kind] += int64(len(keep))
	}
	switch {
	case len(keep) == len(data):
	case kind == Audit:
		w.lost[kind]++
	default:
		w.lost[kind] += int64(len(data) - len(keep))
	}
}

// put writes one record. After a write that failed nothing more is written: the
// end of the file may be half a record.
func (w *Writer) put(kind Kind, data []byte) bool {
	if w.err != nil || w.room != nil && !w.room() {
		return false
	}
	w.buf = appendRecord(w.buf[:0], kind, w.now(), data)
	_, w.err = w.w.Write(w.buf)
	return w.err == nil
}

// Audit is where audit.NewJSON writes: lines, in pieces of any size.
func (w *Writer) Audit() io.Writer { return &lines{w: w} }

type lines struct {
	w    *Writer
	part []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.part = append(l.part, p...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		if len(line) > MaxData {
			l.w.lost[Audit]++
		} else {
			l.w.take(Audit, line, &l.w.left.Audit)
		}
		l.part = rest
	}
}

// Close tells what is missing, and gives the sizes of what is there and how
// much output is not. It does not close the file. The error is the first of
// writing; what it cost is counted as missing.
func (w *Writer) Close() (stdout, stderr, dropped int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, kind := range []Kind{Stdout, Stderr, Audit} {
		if n := w.lost[kind]; n > 0 {
			w.put(Lost, binary.BigEndian.AppendUint64([]byte{byte(kind)}, uint64(n)))
		}
	}
	return w.size[Stdout], w.size[Stderr], w.lost[Stdout] + w.lost[Stderr], w.err
}
