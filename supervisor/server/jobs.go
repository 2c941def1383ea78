package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"

	"golang.org/x/sys/unix"
)

// public is a job as its user sees it.
func (s *Server) public(r *store.Record) *client.Job {
	j := s.live(r)
	return &j
}

func (s *Server) list(w http.ResponseWriter, r *request) error {
	limit, err := r.number("limit", 1, 1000, 100)
	if err != nil {
		return err
	}
	state := client.State(r.query.Get("state"))
	if r.query.Has("state") && state != client.Queued && state != client.Running && state != client.Ended {
		return malformed("state", "is queued, running or ended")
	}
	page := r.query.Get("page")
	if r.query.Has("page") && !idPattern.MatchString(page) {
		return malformed("page", "is not what a page has as next")
	}
	found := s.index.all(func(rec *store.Record) bool {
		return r.sees(rec) && (page == "" || rec.Job.ID < page) && (state == "" || rec.Job.State == state) && r.picks(rec)
	})
	out := client.Page{Jobs: []client.Job{}}
	for i, rec := range found {
		if int64(i) == limit {
			out.Next = found[i-1].Job.ID
			break
		}
		out.Jobs = append(out.Jobs, *s.public(rec))
	}
	return answer(w, 200, &out)
}

// picks says whether the query's filters let a job through.
func (r *request) picks(rec *store.Record) bool {
	if u := r.query.Get("user"); u != "" && u != rec.Job.User && u != strconv.FormatUint(uint64(rec.UID), 10) {
		return false
	}
	if h := r.query.Get("host"); h != "" && h != rec.Job.Host {
		return false
	}
	for _, label := range r.query["label"] {
		name, value, valued := strings.Cut(label, "=")
		if have, ok := rec.Job.Labels[name]; !ok || valued && have != value {
			return false
		}
	}
	return true
}

func (s *Server) inspect(w http.ResponseWriter, r *request) error {
	seconds := 0.0
	if r.query.Has("wait_seconds") {
		var err error
		seconds, err = strconv.ParseFloat(r.query.Get("wait_seconds"), 64)
		if err != nil || !(seconds >= 0 && seconds <= 600) {
			return malformed("wait_seconds", "is a number from 0 to 600")
		}
	}
	rec, change, err := s.job(r)
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	for !rec.Ended() {
		select {
		case <-r.Context().Done():
			return unavailable("the daemon stops")
		case <-timer.C:
			return s.whole(w, r, rec)
		case <-change:
		}
		if rec, change, err = s.job(r); err != nil {
			return err
		}
	}
	return s.whole(w, r, rec)
}

// whole answers a job with all of its command.
func (s *Server) whole(w http.ResponseWriter, r *request, rec *store.Record) error {
	j := s.public(rec)
	if rec.Cut {
		whole, err := s.store.Get(r.Context(), rec.Job.ID)
		if err != nil {
			return err
		}
		j.Argv = whole.Job.Argv
	}
	return answer(w, 200, j)
}

func (s *Server) delete(w http.ResponseWriter, r *request) error {
	rec, _, err := s.job(r)
	if err != nil {
		return err
	}
	if !rec.Ended() {
		return client.NewProblem(client.NotEnded, "the job is "+string(rec.Job.State))
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	if err := s.remove(ctx, rec.Job.ID); err != nil {
		return err
	}
	w.WriteHeader(204)
	return nil
}

// remove forgets a job that has ended. Its files on another host go when that
// host tidies up.
func (s *Server) remove(ctx context.Context, id string) error {
	rec, err := s.store.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := s.store.Remove(ctx, rec); err != nil {
		return err
	}
	s.index.drop(id, rec.Revision+1)
	return s.runs.Remove(id)
}

func (s *Server) kill(w http.ResponseWriter, r *request) error {
	rec, _, err := s.job(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	for {
		rec, err := s.store.Get(ctx, rec.Job.ID)
		if err != nil {
			return err
		}
		if rec.Ended() || rec.Kill {
			break
		}
		before := rec.Job
		rec.Kill = true
		if rec.Job.State == client.Queued {
			rec.Job.State, rec.Job.Ended = client.Ended, time.Now().UTC()
			rec.Job.Result = &client.Result{Cause: client.ByKill, Status: 125, Message: "killed before it ran"}
		}
		err = s.store.Update(ctx, rec)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		s.heard(rec.Job.ID, rec.Revision, rec)
		if rec.Ended() {
			s.changed(&before, &rec.Job)
		}
		break
	}
	w.WriteHeader(202)
	return nil
}

func (s *Server) signal(w http.ResponseWriter, r *request) error {
	rec, _, err := s.job(r)
	if err != nil {
		return err
	}
	var sig client.Signal
	if err := s.body(w, r, &sig); err != nil {
		return err
	}
	number := unix.SignalNum(sig.Signal)
	if number == 0 {
		return invalid("/signal", fmt.Sprintf("there is no signal %q", sig.Signal))
	}
	if sig.To != "" && sig.To != client.ToCommand && sig.To != client.ToGroup {
		return invalid("/to", "is command or group")
	}
	if rec.Job.State != client.Running {
		return client.NewProblem(client.NotRunning, "the job is "+string(rec.Job.State))
	}
	q := question{ID: rec.Job.ID, Signal: int(number), Group: sig.To == client.ToGroup}
	if rec.Claim.Host != s.host {
		ctx, cancel := context.WithTimeout(r.Context(), storeTime)
		defer cancel()
		text, _ := json.Marshal(q) // a string and numbers always encode
		if _, err := s.store.Ask(ctx, rec.Claim.Host, text); err != nil {
			return unavailable(err.Error())
		}
	} else if err := s.send(r.Context(), q); err != nil {
		return err
	}
	w.WriteHeader(202)
	return nil
}

// question is what one daemon asks of another.
type question struct {
	ID     string
	Signal int
	Group  bool
}

// answer answers another daemon, which has seen to who may ask.
func (s *Server) answer(text []byte) []byte {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return []byte(err.Error())
	}
	if err := s.send(s.lifetime, q); err != nil {
		s.log.Warn("a signal for a job", "job", q.ID, "err", err)
	}
	return nil
}

// send sends a signal to a job of this host's. One that is just being started
// gets it when it is.
func (s *Server) send(ctx context.Context, q question) error {
	run, err := s.runOf(ctx, q.ID)
	if err != nil {
		return err
	}
	return run.Signal(q.Signal, q.Group)
}

// runOf waits for a job of this host's to be started.
func (s *Server) runOf(ctx context.Context, id string) (*runs.Run, error) {
	for {
		rec, change := s.index.get(id)
		if rec == nil || rec.Job.State != client.Running || rec.Claim.Host != s.host {
			return nil, client.NewProblem(client.NotRunning, "")
		}
		if run := s.runs.Get(id); run != nil && run.Attempt == rec.Job.Attempt && !run.Over() {
			return run, nil
		}
		select {
		case <-ctx.Done():
			return nil, unavailable("the daemon stops")
		case <-change:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// reader waits for the run that is to get a job's input. A job that runs can be queued
// again: where its supervisor was lost before the command began.
func (s *Server) reader(r *request, rec *store.Record, change <-chan struct{}) (*runs.Run, error) {
	for {
		switch {
		case rec.Ended():
			return nil, client.NewProblem(client.NotOpen, "it has ended")
		case rec.Job.State == client.Queued:
			select {
			case <-r.Context().Done():
				return nil, unavailable("the daemon stops")
			case <-change:
			}
		case rec.Claim.Host != s.host:
			return nil, client.NewProblem(client.NotOpen, "it runs on host "+rec.Claim.Host+", whose daemon takes its input")
		default:
			run, err := s.runOf(r.Context(), rec.Job.ID)
			if !errors.Is(err, client.NotRunning) {
				return run, err
			}
		}
		var err error
		if rec, change, err = s.job(r); err != nil {
			return nil, err
		}
	}
}

func (s *Server) stdin(w http.ResponseWriter, r *request) error {
	offset, err := r.number("offset", 0, 1<<62, -1)
	if err != nil {
		return err
	}
	end, err := r.truth("end")
	if err != nil {
		return err
	}
	rec, change, err := s.job(r)
	if err != nil {
		return err
	}
	if !rec.InputOpen {
		return client.NewProblem(client.NotOpen, "the job has no open input")
	}
	run, err := s.reader(r, rec, change)
	if err != nil {
		return err
	}
	var body io.Reader
	if r.ContentLength != 0 { // -1 where it is not known
		body = r.Body
	}
	arrived, err := run.Write(r.Context(), body, offset, end)
	var elsewhere *runs.OffsetError
	switch {
	case errors.Is(err, runs.ErrNotOpen), errors.Is(err, os.ErrClosed):
		return client.NewProblem(client.NotOpen, err.Error())
	case errors.Is(err, runs.ErrNotBegun):
		return unavailable(err.Error())
	case errors.As(err, &elsewhere):
		p := client.NewProblem(client.WrongOffset, err.Error())
		p.Offset = &elsewhere.Arrived
		return p
	case r.Context().Err() != nil:
		return unavailable("the daemon stops")
	case err != nil:
		return malformed("", "the body breaks off: "+err.Error())
	}
	return answer(w, 200, &client.Written{Offset: arrived})
}
