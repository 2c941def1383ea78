// Package journal is the file in which a job's supervisor keeps what the job
// says and does, in order, and from which the daemon reads it.
//
// A journal is a row of records: a head of 13 bytes (the kind, the time as
// nanoseconds since 1970, the length of what follows, the numbers big-endian),
// then so many bytes. A record is written by one write(2). One that is cut off, at
// the end of a journal whose writer died or still writes, is not there.
package journal

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Kind is what a record holds.
type Kind byte

const (
	Stdout Kind = 'o' // bytes of the command's standard output
	Stderr Kind = 'e' // of its standard error
	Audit  Kind = 'a' // one line of the audit log, without its end
	Lost   Kind = 'l' // a kind, and how much of it is missing: 8 bytes
)

const (
	head = 13
	// MaxData is the greatest length of a record's data, in bytes.
	MaxData = 256 << 10
)

// Record is one record of a journal.
type Record struct {
	Kind Kind
	Time time.Time
	Data []byte
	// End is where it ends in the journal, in bytes from its beginning.
	End int64
}

// ErrPartial says that the next record is not whole yet, or never will be.
var ErrPartial = errors.New("the journal ends here")

// appendRecord appends a record as it stands in the file.
func appendRecord(dst []byte, kind Kind, at time.Time, data []byte) []byte {
	dst = append(dst, byte(kind))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixNano()))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// Missing reads a record of Lost: bytes of output, or lines of audit.
func (r *Record) Missing() (kind Kind, count int64) {
	if r.Kind != Lost || len(r.Data) != 9 {
		return 0, 0
	}
	return Kind(r.Data[0]), int64(binary.BigEndian.Uint64(r.Data[1:]))
}

// Reader reads a journal from some record on.
type Reader struct {
	r   io.ReaderAt
	at  int64
	buf []byte
	win []byte // what was read ahead, from at
}

// NewReader reads from the record that begins at offset: 0, or some record's End.
func NewReader(r io.ReaderAt, offset int64) *Reader { return &Reader{r: r, at: offset} }

// Next gives the next record, whose data is the reader's and stands until the
// next call. The error is ErrPartial where there is no whole one yet; Next can
// then be called again later.
func (r *Reader) Next() (*Record, error) {
	h, err := r.window(head)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(h[9:]))
	if n > MaxData {
		return nil, errors.New("the journal is damaged: a record is too long")
	}
	whole, err := r.window(head + n)
	if err != nil {
		return nil, err
	}
	r.at += int64(head + n)
	r.win = r.win[head+n:]
	return &Record{
		Kind: Kind(whole[0]), Time: time.Unix(0, int64(binary.BigEndian.Uint64(whole[1:]))).UTC(),
		Data: whole[head:], End: r.at,
	}, nil
}

// window gives the next n bytes.
func (r *Reader) window(n int) ([]byte, error) {
	if len(r.win) >= n {
		return r.win[:n], nil
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 64<<10))
	}
	r.buf = r.buf[:cap(r.buf)]
	got, err := r.r.ReadAt(r.buf, r.at)
	if err != nil && err != io.EOF {
		return nil, err
	}
	r.win = r.buf[:got]
	if got < n {
		r.win = nil
		return nil, ErrPartial
	}
	return r.win[:n], nil
}
