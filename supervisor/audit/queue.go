package audit

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	queueStart = 64      // entries of a new queue's ring, which doubles up to
	queueMax   = 4096    // this many; what comes while it is full is lost
	queueBytes = 4 << 20 // text that it holds at most, likewise
	flushAt    = 32 << 10

	// patience is how long Put waits for a writer that takes nothing.
	patience = 100 * time.Millisecond

	// Close waits while the writer takes something every stallWait, and no
	// longer than closeWait in all.
	stallWait = time.Second
	closeWait = 10 * time.Second
)

var errBlocked = errors.New("nothing reads what is written")

// encoder turns events into bytes. One goroutine calls it.
type encoder interface {
	// event appends e; lost is how many events the log lacks so far.
	event(dst []byte, e *Event, lost uint64) ([]byte, error)
	// gap appends that n events are missing before e, nil at the end.
	gap(dst []byte, e *Event, n uint64) []byte
	// end appends what is left to say.
	end(dst []byte) []byte
}

// queue is a Sink: a bounded ring between the trace loop and a goroutine that
// writes. While the ring is full Put waits for the writer as long as that gets on:
// a log is to have no gaps only because a program is quick. A writer that has
// taken nothing for a while is not waited for again until it takes something.
type queue struct {
	mu      sync.Mutex
	ring    []entry
	head, n int
	bytes   int    // text in the ring
	dropped uint64 // since the last entry that found room
	lost    uint64 // in all, dropped ones that were marked included
	flying  uint64 // events that the writer holds
	moves   uint64 // entries taken and writes done: the writer's progress
	err     error  // the first
	started bool   // there is a writer
	stalled bool   // it has taken nothing for as long as Put is patient
	closed  bool
	gone    bool // nobody waits for the writer any more: it is to write nothing else

	wake chan struct{} // holds a token while there may be something to do
	room chan struct{} // holds a token when there may be room again
	done chan struct{} // closed when the writer ends

	closing sync.Once
	out     output
}

func newQueue(w io.Writer, enc encoder) *queue {
	q := &queue{wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{})}
	q.out = output{q: q, w: survivable(w), enc: enc}
	return q
}

// Put copies e into the ring, or counts it as lost where that is full.
func (q *queue) Put(e *Event) {
	text := size(e)
	q.mu.Lock()
	q.start()
	if q.closed || !q.fits(text) && !q.await(text) {
		q.dropped++
		q.mu.Unlock()
		return
	}
	en := &q.ring[(q.head+q.n)%len(q.ring)]
	en.set(e)
	en.bytes, en.before = text, q.dropped
	q.bytes += text
	q.lost += q.dropped
	q.dropped = 0
	q.n++
	q.mu.Unlock()
	prod(q.wake)
}

// fits says whether there is room for an event. Precondition: mu is held.
func (q *queue) fits(text int) bool {
	return q.bytes+text <= queueBytes && (q.n < len(q.ring) || q.grow())
}

// await waits until there is room for an event. False: the writer is stuck.
// Precondition: mu is held; it is not meanwhile.
func (q *queue) await(text int) bool {
	for q.n > 0 && !q.stalled && !q.closed {
		before := q.moves
		q.mu.Unlock()
		prod(q.wake)
		late := false
		select {
		case <-q.room: // or there was: the token may be an old one
		case <-time.After(patience):
			late = true
		}
		q.mu.Lock()
		q.stalled = late && q.moves == before
		if q.fits(text) {
			return !q.closed
		}
	}
	return false
}

// start starts the writer: with the first event, since most runs have nothing to
// tell a person, and a goroutine may take another thread. Precondition: mu is
// held.
func (q *queue) start() {
	if !q.started && !q.closed {
		q.started = true
		go q.write()
	}
}

func prod(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// grow doubles the ring. False: it is as large as it gets.
func (q *queue) grow() bool {
	if len(q.ring) >= queueMax {
		return false
	}
	ring := make([]entry, max(queueStart, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = ring, 0
	return true
}

// take moves the oldest entry into en. What en held is used again by the ring.
func (q *queue) take(en *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 || q.gone {
		return false
	}
	q.ring[q.head], *en = *en, q.ring[q.head]
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	q.bytes -= en.bytes
	q.flying++
	q.moves++
	q.stalled = false
	prod(q.room)
	en.point()
	return true
}

// write is the writer's goroutine.
func (q *queue) write() {
	defer close(q.done)
	var en entry
	for {
		for q.take(&en) {
			q.out.add(&en)
		}
		q.out.flush()
		switch ended, gone := q.ended(); {
		case gone:
			return
		case ended:
			q.out.finish()
			return
		}
		<-q.wake
	}
}

func (q *queue) ended() (ended, gone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.n == 0, q.gone
}

// Close has what is left written, for as long as the writer takes it.
func (q *queue) Close() (lost uint64, err error) {
	q.closing.Do(func() {
		q.mu.Lock()
		q.closed = true
		started := q.started
		q.mu.Unlock()
		prod(q.wake)
		if started && !q.wait() {
			q.abandon()
		}
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost + q.dropped + q.flying + uint64(q.n), q.err
}

// wait waits for the writer's end. False: it is stuck.
func (q *queue) wait() bool {
	until := time.Now().Add(closeWait)
	for time.Now().Before(until) {
		before := q.progress()
		select {
		case <-q.done:
			return true
		case <-time.After(stallWait):
		}
		if q.progress() == before {
			return false
		}
	}
	return false
}

func (q *queue) progress() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.moves
}

// abandon gives up on a writer that blocks: where that can be done its write is
// broken off, so that nothing arrives after it was counted as lost.
func (q *queue) abandon() {
	q.mu.Lock()
	q.gone = true
	q.mu.Unlock()
	q.fail(errBlocked)
	d, ok := q.out.w.(interface{ SetWriteDeadline(time.Time) error })
	if !ok || d.SetWriteDeadline(time.Now()) != nil {
		return
	}
	select {
	case <-q.done:
	case <-time.After(stallWait):
	}
}

// fail keeps the first error.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
}
