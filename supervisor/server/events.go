package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/journal"
	"callgate/supervisor/server/store"
)

// An event's offset is the attempt's number above 40 bits of a place: that of its
// record's end in the journal, behind the state events that come before; the
// last place is the end's.
const (
	placeBits  = 40
	runningAt  = 1
	journalAt  = 2
	endedAt    = 1<<placeBits - 1
	queuedAt   = 1 // of attempt 0
	flushBytes = 64 << 10
)

func offsetOf(attempt int, place int64) uint64 {
	return uint64(attempt)<<placeBits | uint64(place)
}

var kindNames = map[journal.Kind]client.EventKind{
	journal.Stdout: client.StdoutEvent, journal.Stderr: client.StderrEvent, journal.Audit: client.AuditEvent, journal.Lost: client.LostEvent,
}

func (s *Server) events(w http.ResponseWriter, r *request) error {
	after, err := r.number("after", 0, 1<<53, 0)
	if err != nil {
		return err
	}
	follow, err := r.truth("follow")
	if err != nil {
		return err
	}
	earlier, err := r.truth("earlier")
	if err != nil {
		return err
	}
	kinds := r.query["kind"]
	for _, k := range kinds {
		if !slices.Contains([]string{"state", "stdout", "stderr", "audit", "lost"}, k) {
			return malformed("kind", fmt.Sprintf("%q is no kind of event", k))
		}
	}
	rec, _, err := s.job(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	e := &eventStream{out: newAnswer(w), after: uint64(after), kinds: kinds, before: earlier}
	if err := s.stream(r, rec, follow, e); err != nil {
		return e.out.fail(err)
	}
	return nil
}

// eventStream is an answer of events.
type eventStream struct {
	out    *streamed
	after  uint64
	kinds  []string
	before bool // attempts that were lost are wanted too
}

func (e *eventStream) earlier() bool { return e.before }

func (e *eventStream) wants(k client.EventKind) bool {
	return len(e.kinds) == 0 || k == client.StateEvent || k == client.LostEvent || slices.Contains(e.kinds, string(k))
}

// put writes an event, unless it is not asked for. always is for the last.
func (e *eventStream) put(ev *client.Event, always bool) error {
	if !always && (ev.Offset <= e.after || !e.wants(ev.Kind)) {
		return nil
	}
	e.after = max(e.after, ev.Offset)
	line, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	return e.out.write(append(line, '\n'))
}

func (e *eventStream) state(job client.Job, at time.Time, attempt int, place int64, last bool) error {
	return e.put(&client.Event{Offset: offsetOf(attempt, place), Time: at, Attempt: attempt, Kind: client.StateEvent, Job: &job}, last)
}

// begin gives the state events that come before an attempt's journal.
func (e *eventStream) begin(r *store.Record) error {
	j := r.Job
	j.State, j.Result, j.Ended, j.Usage, j.StdoutBytes, j.StderrBytes, j.DroppedBytes = client.Queued, nil, time.Time{}, client.Usage{}, 0, 0, 0
	queued := j
	queued.Host, queued.Started, queued.Attempt, queued.Earlier = "", time.Time{}, 0, nil
	if err := e.state(queued, j.Submitted, 0, queuedAt, false); err != nil || j.Attempt == 0 || j.Started.IsZero() {
		return err
	}
	j.State = client.Running
	j.Earlier = slices.DeleteFunc(slices.Clone(j.Earlier), func(a client.Attempt) bool { return a.Attempt >= j.Attempt })
	return e.state(j, j.Started, j.Attempt, runningAt, false)
}

func (e *eventStream) record(r *store.Record, rec *journal.Record) error {
	ev := &client.Event{Offset: offsetOf(r.Job.Attempt, journalAt+rec.End), Time: rec.Time, Attempt: r.Job.Attempt, Kind: kindNames[rec.Kind]}
	if !e.wants(ev.Kind) || ev.Offset <= e.after {
		return nil
	}
	switch rec.Kind {
	case journal.Stdout, journal.Stderr:
		ev.Content = client.NewContent(rec.Data)
	case journal.Audit:
		ev.Audit = json.RawMessage(rec.Data)
	case journal.Lost:
		kind, n := rec.Missing()
		ev.Lost = &client.Lost{Kind: kindNames[kind], Count: n}
	}
	return e.put(ev, false)
}

func (e *eventStream) end(r *store.Record) error {
	return e.state(r.Job, r.Job.Ended, r.Job.Attempt, endedAt, true)
}

// lost is the state event after an attempt: the job is queued again.
func (e *eventStream) lost(r *store.Record, at client.Attempt) error {
	j := r.Job
	j.State, j.Host, j.Started, j.Result, j.Ended, j.Usage = client.Queued, "", time.Time{}, nil, time.Time{}, client.Usage{}
	j.StdoutBytes, j.StderrBytes, j.DroppedBytes = 0, 0, 0
	j.Earlier = j.Earlier[:slices.Index(j.Earlier, at)+1]
	return e.state(j, at.Lost, at.Attempt, endedAt, false)
}

func (e *eventStream) flush() error { return e.out.flush() }

// sink takes what a job said: events, or the bytes of one of its outputs.
type sink interface {
	begin(r *store.Record) error // of an attempt
	record(r *store.Record, rec *journal.Record) error
	end(r *store.Record) error // of the job
	// earlier says whether attempts before the last are wanted; each ends with lost.
	earlier() bool
	lost(r *store.Record, at client.Attempt) error
	flush() error // what was taken goes to the client now
}

// stream gives a sink what there is of a job's last attempt, and with follow what
// comes, until the job has ended.
func (s *Server) stream(r *request, rec *store.Record, follow bool, to sink) error {
	for {
		if err := s.streamEarlier(r, rec, to); err != nil {
			return err
		}
		if err := to.begin(rec); err != nil {
			return err
		}
		over, err := s.streamAttempt(r, rec, follow, to)
		if err != nil {
			return err
		}
		now, change, err := s.job(r)
		if err != nil {
			return err
		}
		for follow && !now.Ended() && now.Job.Attempt == rec.Job.Attempt && now.Job.State == rec.Job.State {
			if err := s.pause(r, change, to); err != nil {
				return err
			}
			if now, change, err = s.job(r); err != nil {
				return err
			}
		}
		switch {
		case now.Ended() && over && now.Job.Attempt == rec.Job.Attempt:
			return errors.Join(to.end(now), to.flush())
		case !follow:
			return to.flush()
		}
		rec = now
	}
}

// streamEarlier gives the attempts that were lost, if they are wanted. What the sink
// has of one it takes no second time.
func (s *Server) streamEarlier(r *request, rec *store.Record, to sink) error {
	if !to.earlier() {
		return nil
	}
	for _, at := range rec.Job.Earlier {
		view := *rec
		view.Job.Attempt, view.Job.Host, view.Job.Started, view.Job.State = at.Attempt, at.Host, at.Started, client.Running
		err := to.begin(&view)
		if err == nil {
			_, err = s.streamAttempt(r, &view, false, to)
		}
		if err == nil {
			err = to.lost(&view, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) pause(r *request, change <-chan struct{}, to sink) error {
	if err := to.flush(); err != nil {
		return err
	}
	select {
	case <-r.Context().Done():
		return unavailable("the daemon stops")
	case <-change:
		return nil
	}
}

// streamAttempt gives one attempt's journal. over says that it was all of it.
func (s *Server) streamAttempt(r *request, rec *store.Record, follow bool, to sink) (over bool, err error) {
	if rec.Job.Attempt == 0 || rec.Job.State == client.Queued {
		return true, nil
	}
	src, err := s.source(r.Context(), rec)
	if err != nil {
		return false, err
	}
	defer src.close()
	in := journal.NewReader(src.file, 0)
	for {
		grew := src.grew()
		whole := src.over()
		for {
			record, err := in.Next()
			if errors.Is(err, journal.ErrPartial) {
				break
			}
			if err != nil {
				return false, err
			}
			if err := to.record(rec, record); err != nil {
				return false, err
			}
		}
		if whole || !follow {
			return whole, nil
		}
		if err := s.pause(r, grew, to); err != nil {
			return false, err
		}
	}
}

func (s *Server) stdout(w http.ResponseWriter, r *request) error {
	return s.output(w, r, journal.Stdout)
}
func (s *Server) stderr(w http.ResponseWriter, r *request) error {
	return s.output(w, r, journal.Stderr)
}

func (s *Server) output(w http.ResponseWriter, r *request, kind journal.Kind) error {
	offset, err := r.number("offset", 0, 1<<62, 0)
	if err != nil {
		return err
	}
	follow, err := r.truth("follow")
	if err != nil {
		return err
	}
	rec, _, err := s.job(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	b := &byteStream{out: newAnswer(w), kind: kind, skip: offset}
	if err := s.stream(r, rec, follow, b); err != nil {
		return b.out.fail(err)
	}
	return nil
}

// byteStream is an answer of one output's bytes.
type byteStream struct {
	out     *streamed
	kind    journal.Kind
	skip    int64
	attempt int
}

// begin breaks off where another attempt begins: its output is not what the
// client has the beginning of.
func (b *byteStream) begin(r *store.Record) error {
	if b.attempt != 0 && b.out.begun && r.Job.Attempt != b.attempt {
		return io.ErrUnexpectedEOF
	}
	b.attempt = r.Job.Attempt
	return nil
}

func (b *byteStream) record(_ *store.Record, rec *journal.Record) error {
	if rec.Kind != b.kind {
		return nil
	}
	data := rec.Data
	n := min(b.skip, int64(len(data)))
	b.skip -= n
	if len(data[n:]) == 0 {
		return nil
	}
	return b.out.write(data[n:])
}

func (b *byteStream) end(*store.Record) error                  { return nil }
func (b *byteStream) earlier() bool                            { return false }
func (b *byteStream) lost(*store.Record, client.Attempt) error { return nil }
func (b *byteStream) flush() error                             { return b.out.flush() }

// streamed is an answer that comes piece by piece. A client that takes nothing
// for writeTime is given up.
type streamed struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	buf   []byte
	begun bool
}

func newAnswer(w http.ResponseWriter) *streamed {
	return &streamed{w: w, c: http.NewResponseController(w)}
}

func (s *streamed) write(p []byte) error {
	s.buf = append(s.buf, p...)
	if len(s.buf) < flushBytes {
		return nil
	}
	return s.flush()
}

func (s *streamed) flush() error {
	s.begun = true
	_ = s.c.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	if err == nil {
		err = s.c.Flush()
	}
	if err != nil {
		return errStarted
	}
	return nil
}

// fail gives the error to answer with, or breaks the answer off.
func (s *streamed) fail(err error) error {
	if s.begun {
		return errStarted
	}
	s.w.Header().Del("Content-Type")
	return err
}
