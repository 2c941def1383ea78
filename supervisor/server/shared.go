package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"
	"callgate/supervisor/server/work"

	"golang.org/x/sys/unix"
)

// source is a journal that can be read: of this host's, or as the store has it.
type source struct {
	file  io.ReaderAt
	grew  func() <-chan struct{} // closed when there is more
	over  func() bool            // there will be no more
	close func()
}

func (s *Server) source(ctx context.Context, r *store.Record) (*source, error) {
	if s.store.Shared() && (r.Job.Host != s.host || isEarlier(&r.Job)) {
		return s.remote(ctx, r)
	}
	run, err := s.begun(ctx, r)
	if err != nil {
		return nil, err
	}
	f, err := s.runs.Journal(r.Job.ID, r.Job.Attempt)
	if errors.Is(err, fs.ErrNotExist) {
		return &source{file: empty{}, grew: closed, over: func() bool { return true }, close: func() {}}, nil
	}
	if err != nil {
		return nil, err
	}
	src := &source{file: f, close: func() { _ = f.Close() }, grew: closed, over: func() bool { return true }}
	if run != nil {
		src.grew, src.over = run.Grew, run.Over
	}
	return src, nil
}

// isEarlier says whether this is the view of an attempt that was lost.
func isEarlier(j *client.Job) bool {
	return slices.ContainsFunc(j.Earlier, func(a client.Attempt) bool { return a.Attempt == j.Attempt })
}

// begun gives the run of a running job of this host's, which may just be being
// started; nil if it does not run any more.
func (s *Server) begun(ctx context.Context, r *store.Record) (*runs.Run, error) {
	for r.Job.State == client.Running {
		if run := s.runs.Get(r.Job.ID); run != nil && run.Attempt == r.Job.Attempt {
			return run, nil
		}
		change := s.changeOf(r)
		if change == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, unavailable("the daemon stops")
		case <-change:
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, nil
}

// changeOf is closed at the job's next change; nil if it has changed already.
func (s *Server) changeOf(r *store.Record) <-chan struct{} {
	now, change := s.index.get(r.Job.ID)
	if now == nil || now.Job.State != r.Job.State || now.Job.Attempt != r.Job.Attempt {
		return nil
	}
	return change
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

type empty struct{}

func (empty) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// remote is a journal as the store has it, in a file that has no name.
func (s *Server) remote(ctx context.Context, r *store.Record) (*source, error) {
	fd, err := unix.Open(s.opt.Config.State, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("a file for the job's output: %w", err)
	}
	f := os.NewFile(uintptr(fd), "journal")
	stored, err := s.store.Appended(ctx, r.Job.ID, r.Job.Attempt)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &mirror{more: make(chan struct{}), total: -1}
	go s.fetch(ctx, r, f, m)
	go s.complete(ctx, r, m)
	for m.size() < stored { // what there is comes with the first look
		more := m.grew()
		if m.size() >= stored {
			break
		}
		select {
		case <-more:
		case <-time.After(storeTime):
			cancel()
			_ = f.Close()
			return nil, unavailable("the store does not give the job's output")
		}
	}
	return &source{file: f, grew: m.grew, over: m.over, close: func() { cancel(); _ = f.Close() }}, nil
}

// fetch has what the store has of a journal come into a file.
func (s *Server) fetch(ctx context.Context, r *store.Record, f *os.File, m *mirror) {
	err := s.store.Log(ctx, r.Job.ID, r.Job.Attempt, func(offset int64, piece []byte) error {
		_, err := f.WriteAt(piece, offset)
		m.tell(offset + int64(len(piece)))
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("read a job's output of another host", "job", r.Job.ID, "err", err)
	}
}

// complete notes how long the journal is, when the job has ended: its host had
// stored all of it before.
func (s *Server) complete(ctx context.Context, r *store.Record, m *mirror) {
	for change := s.changeOf(r); change != nil && !r.Ended(); change = s.changeOf(r) {
		select {
		case <-ctx.Done():
			return
		case <-change:
		}
	}
	for ctx.Err() == nil {
		total, err := s.store.Appended(ctx, r.Job.ID, r.Job.Attempt)
		if err == nil {
			m.end(total)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// mirror is how much of a journal has come from the store.
type mirror struct {
	mu    sync.Mutex
	more  chan struct{} // closed when there is more
	got   int64
	total int64 // -1: not known yet
}

func (m *mirror) tell(got int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = got
	close(m.more)
	m.more = make(chan struct{})
}

func (m *mirror) end(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
	close(m.more)
	m.more = make(chan struct{})
}

func (m *mirror) size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got
}

func (m *mirror) grew() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.more
}

func (m *mirror) over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total >= 0 && m.got >= m.total
}

// publish stores a run's journal as it grows, where other daemons are to read it. What it
// gives waits until all is stored.
func (s *Server) publish(ctx context.Context, r *store.Record, run *runs.Run) (wait func()) {
	if !s.store.Shared() {
		return func() {}
	}
	done := make(chan struct{})
	s.all.Go(func() {
		defer close(done)
		for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
			err := s.publishAll(ctx, r, run)
			if err == nil || ctx.Err() != nil {
				return
			}
			s.log.Warn("store a job's output", "job", r.Job.ID, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	})
	return func() { <-done }
}

func (s *Server) publishAll(ctx context.Context, r *store.Record, run *runs.Run) error {
	at, err := s.appended(ctx, r)
	if err != nil {
		return err
	}
	f, err := s.runs.Journal(r.Job.ID, r.Job.Attempt)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, store.MaxPiece)
	for {
		grew, over := run.Grew(), run.Over()
		n, err := f.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return err
		}
		if n > 0 {
			if err := s.store.Append(ctx, r.Job.ID, r.Job.Attempt, at, buf[:n]); err != nil {
				return err
			}
			at += int64(n)
			continue
		}
		if over {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grew:
		}
	}
	if len(r.Request.Collect) == 0 {
		return nil
	}
	files, err := s.runs.Files(r.Job.ID, r.Job.Attempt)
	if err != nil {
		return err
	}
	defer files.Close()
	return s.store.PutFiles(ctx, r.Job.ID, r.Job.Attempt, files)
}

// appended asks how much of a journal is stored. A server that has just started can
// leave a question without an answer: whoever asks then asks again.
func (s *Server) appended(ctx context.Context, r *store.Record) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return s.store.Appended(ctx, r.Job.ID, r.Job.Attempt)
}

// answerTime is what the store has to answer a question.
const answerTime = 2 * time.Second

// collected opens the tar of the collected files of the job that is asked for.
func (s *Server) collected(r *request) (io.ReadCloser, error) {
	rec, _, err := s.job(r)
	if err != nil {
		return nil, err
	}
	if !rec.Ended() || rec.Job.Attempt == 0 {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if rec.Job.Host != s.host && s.store.Shared() {
		return s.store.Files(r.Context(), rec.Job.ID, rec.Job.Attempt)
	}
	f, err := s.runs.Files(rec.Job.ID, rec.Job.Attempt)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return f, err
}

func (s *Server) files(w http.ResponseWriter, r *request) error {
	tarred, err := s.collected(r)
	if err != nil {
		return err
	}
	defer tarred.Close()
	out := client.Files{Files: []client.Collected{}}
	err = work.Collected(tarred, func(c client.Collected, _ io.Reader) bool {
		out.Files = append(out.Files, c)
		return false
	})
	if err != nil {
		return err
	}
	return answer(w, 200, &out)
}

func (s *Server) file(w http.ResponseWriter, r *request) error {
	name := r.query.Get("path")
	if name == "" {
		return malformed("path", "which file?")
	}
	tarred, err := s.collected(r)
	if err != nil {
		return err
	}
	defer tarred.Close()
	found := false
	out := newAnswer(w)
	var copyErr error
	err = work.Collected(tarred, func(c client.Collected, bytes io.Reader) bool {
		if found = c.Path == name && c.Missing == ""; found {
			w.Header().Set("Content-Type", "application/octet-stream")
			_, copyErr = io.Copy(flusher{out}, bytes)
		}
		return found
	})
	switch {
	case err == nil && !found:
		return notFound()
	case err != nil || copyErr != nil:
		return out.fail(errors.Join(err, copyErr))
	}
	return out.flush()
}

// flusher writes pieces of an answer.
type flusher struct{ out *streamed }

func (f flusher) Write(p []byte) (int, error) { return len(p), f.out.write(p) }
