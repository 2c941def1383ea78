package server

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"callgate/supervisor/cgroup"
	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/store"
)

// recover takes up the runs that a daemon before this one has started.
func (s *Server) recover() {
	s.readoptAll()
	known, err := s.runs.Known()
	if err != nil {
		s.log.Error("look for runs", "err", err)
	}
	var left, ended []*store.Record
	for id, attempt := range known {
		if r, _ := s.index.get(id); r != nil && s.keeps(r, attempt) {
			switch {
			case r.Ended() && s.runs.Cleared(id, attempt):
				ended = append(ended, r)
			case r.Ended():
				left = append(left, r)
			}
			continue
		}
		if s.take(id) {
			s.all.Go(func() { // a large folder is no reason to be late
				s.discard(id, attempt)
				s.leave(id)
			})
		}
	}
	s.all.Go(func() {
		for _, r := range ended {
			s.weigh(r)
		}
		for _, r := range left {
			if s.lifetime.Err() == nil {
				s.clear(r)
			}
		}
	})
}

// readoptAll goes on with the jobs of this host's that nobody here deals with.
func (s *Server) readoptAll() {
	for _, r := range s.mine(client.Running) {
		if s.take(r.Job.ID) {
			s.readopt(r)
		}
	}
}

// readopt goes on with a job of this host's.
func (s *Server) readopt(r *store.Record) {
	run, err := s.runs.Adopt(r.Job.ID, r.Job.Attempt)
	s.all.Go(func() {
		ctx := s.lifetime
		defer s.leave(r.Job.ID)
		switch {
		case err == nil && r.Claim.Boot == s.boot:
			if r.Kill {
				s.killRun(r.Job.ID)
			}
			s.follow(ctx, r, run)
		case err == nil:
			<-run.Done() // nothing survives a crash of the kernel
			defer s.clear(r)
			if result, _ := run.Result(); result != nil {
				s.settle(ctx, r, result)
				return
			}
			s.lose(ctx, r, "the host crashed")
		case errors.Is(err, fs.ErrNotExist) && r.Claim.Boot == s.boot:
			s.ended(ctx, r, false, false, nil)
		default:
			s.lose(ctx, r, "the host crashed")
		}
	})
}

// discard ends a run that is no longer this host's, and removes what nobody will
// ask for.
func (s *Server) discard(id string, attempt int) {
	s.log.Warn("a run is not this host's any more", "job", id, "attempt", attempt)
	run, err := s.runs.Adopt(id, attempt)
	if err == nil {
		if err := run.Kill(); err != nil {
			s.log.Debug("end a run", "job", id, "err", err)
		}
		<-run.Done()
	}
	if err := s.runs.Remove(id); err != nil {
		s.log.Error("remove a run", "job", id, "err", err)
	}
}

// beat says that this host is alive, and looks after those that are not.
func (s *Server) beat(ctx context.Context) {
	tick := time.NewTicker(config.HeartbeatEvery)
	defer tick.Stop()
	for {
		if s.store.Alive() == nil {
			s.sign(ctx)
			s.bury(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) sign(ctx context.Context) {
	if !s.store.Shared() {
		s.hosts.heard(s.host, s.self(), time.Now())
		return
	}
	if err := s.store.Beat(ctx, s.self()); err != nil && ctx.Err() == nil {
		s.log.Warn("heartbeat", "err", err)
	}
}

func (s *Server) self() *client.Host {
	cfg, _ := s.settings()
	return &client.Host{Name: s.host, Labels: cfg.Labels, Slots: cfg.Slots, Running: len(s.mine(client.Running)), Seen: time.Now().UTC()}
}

// bury settles the jobs of hosts that have been silent for too long: any daemon
// may, and one does.
func (s *Server) bury(ctx context.Context) {
	dead := s.hosts.dead(int(time.Duration(s.opt.Config.DeadAfter) / config.HeartbeatEvery))
	running := s.index.all(func(r *store.Record) bool {
		return r.Job.State == client.Running && r.Claim.Host != s.host && dead(r.Claim.Host)
	})
	for _, r := range running {
		s.log.Warn("the host of a job is silent", "job", r.Job.ID, "host", r.Claim.Host)
		s.lose(ctx, r, "its host, "+r.Claim.Host+", was lost")
	}
}

// tidy removes jobs that ended long ago, and runs that were taken from this host.
func (s *Server) tidy(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.heavy:
			s.trim(ctx)
			continue
		case <-tick.C:
		}
		cgroup.Sweep() // supervisors that became users could not remove theirs
		s.trim(ctx)    // the config may be another
		cfg, _ := s.settings()
		old := s.index.all(func(r *store.Record) bool {
			return r.Ended() && time.Since(r.Job.Ended) > time.Duration(cfg.Keep) && (r.Job.Host == s.host || r.Job.Host == "")
		})
		for _, r := range old {
			if err := s.remove(ctx, r.Job.ID); err != nil && ctx.Err() == nil {
				s.log.Warn("remove an old job", "job", r.Job.ID, "err", err)
			}
		}
		s.readoptAll()
		s.fence(ctx)
	}
}

// keeps says whether what an attempt has left here is this host's to keep: in a store of
// its own also what is to be told of one that was lost, until the next begins.
func (s *Server) keeps(r *store.Record, attempt int) bool {
	return r.Job.Attempt == attempt && (r.Job.Host == s.host || r.Job.State == client.Queued && !s.store.Shared())
}

// fence ends what runs here of jobs that other daemons took from this host while
// it was silent.
func (s *Server) fence(ctx context.Context) {
	known, err := s.runs.Known()
	if err != nil || s.store.Alive() != nil {
		return
	}
	for id, attempt := range known {
		if !s.take(id) {
			continue
		}
		now, err := s.store.Get(ctx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !s.keeps(now, attempt) {
			s.discard(id, attempt)
		}
		s.leave(id)
	}
}
