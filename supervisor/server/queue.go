package server

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/handover"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"
)

// schedule starts queued jobs while there is room.
func (s *Server) schedule(ctx context.Context) {
	for {
		for r := s.pick(nil); r != nil; r = s.pick(nil) {
			s.attempt(r)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// pick takes the job that is to start next, if there is one, and room; else nil. coming is one
// that is not stored yet, or nil. Who has picked a job leaves it in the end.
func (s *Server) pick(coming *store.Record) *store.Record {
	s.picking.Lock()
	defer s.picking.Unlock()
	cfg, _ := s.settings()
	s.mu.Lock()
	full := s.stopping || len(s.busy) >= cfg.Slots
	s.mu.Unlock()
	if full || s.lifetime.Err() != nil || s.store.Alive() != nil {
		return nil
	}
	quotas := map[uint32]int{} // of jobs at once, by user: to ask is to read the host's user database
	r := s.index.next(coming, func(r *store.Record) bool { return s.canRun(cfg, r, quotas) })
	if r == nil || !s.takeFor(r.Job.ID, r) {
		return nil
	}
	return r
}

// lacking is a label that a job requires of this host, which does not have it with that value.
func lacking(cfg *config.Config, r *store.Record) (name string, lacks bool) {
	for name, value := range r.Job.Requires {
		if cfg.Labels[name] != value {
			return name, true
		}
	}
	return "", false
}

// canRun says whether this host may run a job. Precondition: the index's mu is
// held.
func (s *Server) canRun(cfg *config.Config, r *store.Record, quotas map[uint32]int) bool {
	if r.Pinned != "" && r.Pinned != s.host || !mayRunHere(r.UID) {
		return false
	}
	if _, lacks := lacking(cfg, r); lacks {
		return false
	}
	s.mu.Lock()
	_, busy := s.busy[r.Job.ID]
	coming := 0
	for id, picked := range s.busy {
		if picked == nil || picked.UID != r.UID {
			continue
		}
		if b := s.index.records[id]; b == nil || b.Job.State == client.Queued { // its claim is not in the index yet
			coming++
		}
	}
	s.mu.Unlock()
	if busy {
		return false
	}
	if _, known := quotas[r.UID]; !known {
		quotas[r.UID] = quotaOf(cfg, r.UID, r.GID, r.Groups).Running
	}
	return s.index.running[r.UID]+coming < quotas[r.UID]
}

// take notes that this daemon deals with a job; false: it does already.
func (s *Server) take(id string) bool { return s.takeFor(id, nil) }

func (s *Server) takeFor(id string, picked *store.Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.busy[id]; busy {
		return false
	}
	s.busy[id] = picked
	return true
}

func (s *Server) leave(id string) {
	s.mu.Lock()
	delete(s.busy, id)
	s.mu.Unlock()
	s.prod()
}

// attempt claims a picked job, runs it and settles it, while the caller goes on.
func (s *Server) attempt(known *store.Record) {
	s.all.Go(func() {
		defer s.leave(known.Job.ID)
		ctx := s.lifetime
		r, err := s.claim(ctx, known)
		switch {
		case err == nil:
			run, err := s.start(ctx, r)
			s.conduct(ctx, r, run, err)
		case errors.Is(err, store.ErrConflict) || ctx.Err() != nil:
		case errors.Is(err, store.ErrNotFound) && !s.gone(known.Job.ID): // says a replica that lags
			time.Sleep(lag)
		default:
			s.log.Error("claim a job", "job", known.Job.ID, "err", err)
		}
	})
}

// conduct sees to a job of this host's that was started, unless err says why not, and
// settles it.
func (s *Server) conduct(ctx context.Context, r *store.Record, run *runs.Run, err error) {
	if errors.Is(err, runs.ErrGone) {
		s.ended(ctx, r, false, true, err)
		s.clear(r)
		return
	}
	if err != nil {
		s.log.Error("start a job", "job", r.Job.ID, "err", err)
		s.settle(ctx, r, failed(err.Error()))
		s.clear(r)
		return
	}
	s.log.Info("job started", "job", r.Job.ID, "user", r.Job.User, "attempt", r.Job.Attempt)
	if now, _ := s.index.get(r.Job.ID); now != nil && now.Kill {
		s.killRun(r.Job.ID)
	}
	s.follow(ctx, r, run)
}

// lag is how long a replica of the store is given to learn of a job before it is asked
// again.
const lag = 20 * time.Millisecond

// claim makes a job this host's, or fails.
func (s *Server) claim(ctx context.Context, known *store.Record) (*store.Record, error) {
	r, err := s.store.Get(ctx, known.Job.ID)
	if err != nil {
		return nil, err
	}
	if r.Job.State != client.Queued {
		s.index.put(r)
		return nil, store.ErrConflict
	}
	before := r.Job
	s.stake(r)
	if r, err = s.sure(ctx, r); err == nil {
		s.changed(&before, &r.Job)
	}
	return r, err
}

// stake writes a claim into a record.
func (s *Server) stake(r *store.Record) {
	r.Claim = store.Claim{Host: s.host, Token: rand.Text(), Boot: s.boot}
	r.Job.State, r.Job.Host, r.Job.Started = client.Running, s.host, time.Now().UTC()
	r.Job.Attempt++
}

// sure stores a record, and where the answer is lost asks until it is known
// whether it was stored. The claim's token tells.
func (s *Server) sure(ctx context.Context, r *store.Record) (*store.Record, error) {
	err := s.store.Update(ctx, r)
	for wait := 50 * time.Millisecond; err != nil && !errors.Is(err, store.ErrConflict); wait = min(2*wait, 2*time.Second) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		now, getErr := s.store.Get(ctx, r.Job.ID)
		switch {
		case errors.Is(getErr, store.ErrNotFound):
			return nil, getErr
		case getErr != nil:
			continue
		case now.Claim.Token == r.Claim.Token && now.Job.State == r.Job.State:
			r, err = now, nil
		case now.Revision < r.Revision:
			continue // of a replica that lags
		case now.Revision > r.Revision:
			return nil, store.ErrConflict
		default:
			err = s.store.Update(ctx, r)
		}
	}
	if err != nil {
		return nil, err
	}
	s.index.put(r)
	return r, nil
}

// follow waits for a run's end and settles the job, unless others gave that up
// meanwhile.
func (s *Server) follow(ctx context.Context, r *store.Record, run *runs.Run) {
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	published := s.publish(publishing, r, run)
	s.all.Go(func() { s.countCalls(r, run) })
	if s.await(ctx, r, run.Done()) {
		s.log.Warn("a job was given up while this host was silent: its run here is ended, and counts for nothing",
			"job", r.Job.ID, "attempt", r.Job.Attempt)
		stop()
		if err := run.Kill(); err != nil { // of one that has ended by itself it is no matter
			s.log.Debug("end a run", "job", r.Job.ID, "err", err)
		}
		<-run.Done()
		return
	}
	if ctx.Err() != nil {
		return // the next daemon finds it
	}
	published()
	defer s.clear(r)
	result, err := run.Result()
	if result == nil {
		s.ended(ctx, r, run.Begun(), run.Ours(), err)
		return
	}
	s.settle(ctx, r, result)
}

// await waits for a run's end; lost says that before it the job, or this attempt at it,
// became another's, or nobody's.
func (s *Server) await(ctx context.Context, r *store.Record, done <-chan struct{}) (lost bool) {
	for {
		now, change := s.index.get(r.Job.ID)
		if now == nil || now.Revision > r.Revision && !now.Holds(r.Claim.Token) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-done:
			return false
		case <-change:
		}
	}
}

// earlyMost is how often a job is tried again whose supervisor ends before the command
// begins, while its daemon is there: a third time will not be chance.
const earlyMost = 2

// ended settles a job whose supervisor is gone without a result; ours says that this
// daemon had started it. A command that has not begun is run again, and is none the wiser.
func (s *Server) ended(ctx context.Context, r *store.Record, begun, ours bool, why error) {
	switch {
	case r.Kill || s.killed(r.Job.ID):
		s.settle(ctx, r, &handover.Result{Ran: begun, Result: client.Result{Cause: client.ByKill, Status: 137, Signal: "SIGKILL"}})
	case begun:
		s.log.Warn("job lost", "job", r.Job.ID, "err", why)
		s.lose(ctx, r, why.Error())
	case ours && r.Early >= earlyMost:
		s.settle(ctx, r, failed(why.Error()))
	default:
		if ours {
			s.log.Warn("a job's supervisor ended before the command began", "job", r.Job.ID, "err", why)
		}
		s.change(ctx, r, func(r *store.Record) {
			r.Job.State, r.Job.Host, r.Job.Started, r.Claim = client.Queued, "", time.Time{}, store.Claim{}
			r.Job.Attempt--
			if ours {
				r.Early++
			}
		})
	}
}

func (s *Server) killed(id string) bool {
	r, _ := s.index.get(id)
	return r != nil && r.Kill
}

// lose has a job run again, if it may be, or ends it as lost.
func (s *Server) lose(ctx context.Context, r *store.Record, why string) {
	s.change(ctx, r, func(r *store.Record) {
		if r.Job.Attempt <= r.Job.Retries && !r.Kill {
			r.Job.Earlier = append(r.Job.Earlier, client.Attempt{
				Attempt: r.Job.Attempt, Host: r.Job.Host, Started: r.Job.Started, Lost: time.Now().UTC(), Message: why,
			})
			r.Job.State, r.Job.Host, r.Job.Started, r.Claim = client.Queued, "", time.Time{}, store.Claim{}
			return
		}
		conclude(r, &handover.Result{Result: client.Result{Cause: client.ByLoss, Status: 125, Message: why}})
	})
}

// settle stores how a job ended.
func (s *Server) settle(ctx context.Context, r *store.Record, result *handover.Result) {
	s.change(ctx, r, func(r *store.Record) { conclude(r, result) })
}

// failed is how a job ends that callgate failed.
func failed(why string) *handover.Result {
	return &handover.Result{Result: client.Result{Cause: client.ByFailure, Status: 125, Message: why}}
}

func conclude(r *store.Record, result *handover.Result) {
	r.Job.State, r.Job.Ended, r.Job.Usage = client.Ended, time.Now().UTC(), result.Usage
	r.Job.StdoutBytes, r.Job.StderrBytes, r.Job.DroppedBytes = result.StdoutBytes, result.StderrBytes, result.DroppedBytes
	end := result.Result
	r.Job.Result = &end
	if r.Kill && !result.Ran && end.Cause != client.ByLoss {
		r.Job.Result = &client.Result{Cause: client.ByKill, Status: 125, Message: "killed before it ran"}
	}
}

// latest gives a record to change: a copy of r while nothing newer is known, if it is
// whole, and else what is stored. Who stores it learns whether it was the latest.
func (s *Server) latest(ctx context.Context, r *store.Record) (*store.Record, error) {
	if known, _ := s.index.get(r.Job.ID); !r.Light && known != nil && known.Revision == r.Revision {
		now := *r
		return &now, nil
	}
	return s.stored(ctx, r)
}

func (s *Server) stored(ctx context.Context, r *store.Record) (*store.Record, error) {
	return s.store.Get(ctx, r.Job.ID)
}

// change changes a job that this daemon has claimed, and goes on trying until
// that is stored, or the claim is no longer this one's.
func (s *Server) change(ctx context.Context, r *store.Record, do func(*store.Record)) {
	token := r.Claim.Token
	read := s.latest
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 2*time.Second) {
		now, err := read(ctx, r)
		read = s.stored                                  // should it not have been
		stale := err == nil && now.Revision < r.Revision // of a replica that lags
		if errors.Is(err, store.ErrNotFound) && s.gone(r.Job.ID) || err == nil && !stale && !now.Holds(token) {
			if r.Claim.Host == s.host {
				s.log.Warn("a job was given up while this host was silent: what came of it here changes nothing", "job", r.Job.ID, "attempt", r.Job.Attempt)
			}
			return
		}
		if err == nil && !stale {
			before := now.Job
			do(now)
			if err = s.store.Update(ctx, now); err == nil {
				s.index.put(now)
				s.changed(&before, &now.Job)
				s.tell(now)
				return
			}
		}
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			s.log.Error("store a job", "job", r.Job.ID, "err", err)
		}
		if errors.Is(err, store.ErrTooLarge) { // it always will be
			do = func(r *store.Record) { conclude(r, failed("how it ended cannot be stored: "+err.Error())) }
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// gone says whether the store has told that a job was removed.
func (s *Server) gone(id string) bool {
	r, _ := s.index.get(id)
	return r == nil
}

// tell logs a job's end.
func (s *Server) tell(r *store.Record) {
	if r.Job.Result == nil {
		s.log.Info("job queued again", "job", r.Job.ID, "attempt", r.Job.Attempt)
		return
	}
	s.log.Info("job ended", "job", r.Job.ID, "user", r.Job.User, "cause", r.Job.Result.Cause, "status", r.Job.Result.Status)
}
