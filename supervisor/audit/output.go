package audit

import "io"

// output is the writer's end of a queue: what is encoded and not yet written.
// Only the writer's goroutine uses it.
type output struct {
	q      *queue
	w      io.Writer
	enc    encoder
	buf    []byte
	pieces []piece // what buf is made of
	torn   bool    // a beginning of the first piece has been written
	gap    uint64  // events lost since the last mark that was written
}

// piece is an event's or a mark's part of the buffer.
type piece struct {
	end  int    // where it ends
	lost uint64 // a mark: how many events it says were lost
	mark bool
}

// add encodes an event, and before it a mark if events are missing there.
func (o *output) add(en *entry) {
	o.gap += en.before
	o.mark(&en.Event)
	buf, err := o.enc.event(o.buf, &en.Event, o.q.missing())
	if err != nil {
		o.q.fail(err)
		o.lose(1)
		return
	}
	o.buf = buf
	o.pieces = append(o.pieces, piece{end: len(o.buf)})
	if len(o.buf) >= flushAt {
		o.flush()
	}
}

func (o *output) mark(e *Event) {
	if o.gap == 0 {
		return
	}
	o.buf = o.enc.gap(o.buf, e, o.gap)
	o.pieces = append(o.pieces, piece{end: len(o.buf), mark: true, lost: o.gap})
	o.gap = 0
}

// flush writes all there is. What could not be written is lost, but for the
// rest of a line of which a part is out: that is tried again first.
func (o *output) flush() {
	if len(o.pieces) == 0 {
		return
	}
	n, err := 0, error(nil)
	if len(o.buf) > 0 {
		n, err = o.w.Write(o.buf)
	}
	if err == nil && n < len(o.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.q.fail(err)
	}
	o.settle(max(n, 0))
}

// settle takes stock after n bytes of the buffer were written.
func (o *output) settle(n int) {
	start, torn := 0, o.torn
	var rest []byte
	var left piece
	for _, p := range o.pieces {
		switch {
		case p.end <= n, p.end == start: // an event may take no bytes
			o.written(p)
		case n > start, torn:
			rest, left = o.buf[max(n, start):p.end], p
		default:
			o.unwritten(p)
		}
		start, torn = p.end, false
	}
	o.buf, o.pieces, o.torn = append(o.buf[:0], rest...), o.pieces[:0], rest != nil
	if o.torn {
		left.end = len(o.buf)
		o.pieces = append(o.pieces, left)
	}
}

func (o *output) written(p piece) {
	if !p.mark {
		o.q.landed(0)
	}
}

func (o *output) unwritten(p piece) {
	if p.mark {
		o.gap += p.lost
		return
	}
	o.lose(1)
}

func (o *output) lose(n uint64) {
	o.gap += n
	o.q.landed(n)
}

// finish writes the last words. What is still in the buffer then is lost.
func (o *output) finish() {
	o.gap += o.q.undelivered()
	o.mark(nil)
	o.buf = o.enc.end(o.buf)
	if n := len(o.buf); n > 0 && (len(o.pieces) == 0 || o.pieces[len(o.pieces)-1].end < n) {
		o.pieces = append(o.pieces, piece{end: n, mark: true})
	}
	o.flush()
}

// landed says that an event has left the writer's hands, and whether it was
// lost (1) or written (0).
func (q *queue) landed(lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flying--
	q.moves++
	q.lost += lost
}

func (q *queue) missing() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}

// undelivered takes over the events that were dropped after the last entry.
func (q *queue) undelivered() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.lost += n
	q.dropped = 0
	return n
}
