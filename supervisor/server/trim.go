package server

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"

	"callgate/supervisor/client"
	"callgate/supervisor/server/store"
)

// weigh notes what a job that has ended takes of the disk, and has old ones be given
// up where that is too much.
func (s *Server) weigh(r *store.Record) {
	if now, _ := s.index.get(r.Job.ID); now == nil || !now.Ended() {
		return
	}
	if err := s.runs.Weigh(r.Job.ID, r.Job.Attempt); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("see what a job takes of the disk", "job", r.Job.ID, "err", err)
		}
		return
	}
	if cfg, _ := s.settings(); s.runs.Total() > int64(cfg.KeepSize) {
		select {
		case s.heavy <- struct{}{}:
		default:
		}
	}
}

// trim gives up jobs that have ended until the rest is no heavier than the config's
// keep-size: the oldest of the user's whose jobs are the heaviest, so that nobody's
// output drives out that of others.
func (s *Server) trim(ctx context.Context) {
	cfg, _ := s.settings()
	most := int64(cfg.KeepSize)
	if most == 0 || s.runs.Total() <= most {
		return
	}
	ended := map[uint32][]*store.Record{}
	heavy := map[uint32]int64{}
	for _, r := range s.index.all(func(r *store.Record) bool { return r.Ended() && r.Job.Host == s.host }) {
		if weight := s.runs.Weight(r.Job.ID); weight > 0 {
			ended[r.UID] = append(ended[r.UID], r)
			heavy[r.UID] += weight
		}
	}
	for _, list := range ended {
		slices.SortFunc(list, func(a, b *store.Record) int { return a.Job.Ended.Compare(b.Job.Ended) })
	}
	for len(heavy) > 0 && s.runs.Total() > most && ctx.Err() == nil {
		uid := heaviest(heavy)
		r := ended[uid][0]
		if ended[uid] = ended[uid][1:]; len(ended[uid]) == 0 {
			delete(heavy, uid)
		} else {
			heavy[uid] -= s.runs.Weight(r.Job.ID)
		}
		s.giveUp(ctx, &r.Job)
	}
}

func heaviest(heavy map[uint32]int64) (uid uint32) {
	most := int64(-1)
	for u, n := range heavy {
		if n > most || n == most && cmp.Less(u, uid) {
			uid, most = u, n
		}
	}
	return uid
}

func (s *Server) giveUp(ctx context.Context, j *client.Job) {
	s.log.Info("an old job is given up: keep-size", "job", j.ID, "user", j.User, "ended", j.Ended)
	if err := s.remove(ctx, j.ID); err != nil && ctx.Err() == nil {
		s.log.Warn("remove an old job", "job", j.ID, "err", err)
	}
}
