package server

import (
	"time"

	"callgate/supervisor/server/handover"
	"callgate/supervisor/server/store"
)

// Times between two tries to remove what a run has left.
const (
	clearAgain = 100 * time.Millisecond
	clearRest  = time.Minute
)

// clear removes a run's working folder once the run is over. Most supervisors have
// emptied it already. What cannot be removed now is tried again, for as long as there is
// something: its user has something mounted there, or stopped who removes it.
func (s *Server) clear(r *store.Record) {
	try := func() error {
		return s.runs.Clear(r.Job.ID, r.Job.Attempt, &handover.Identity{UID: r.UID, GID: r.GID, Groups: r.Groups})
	}
	err := try()
	s.weigh(r)
	if err == nil {
		return
	}
	s.all.Go(func() {
		for wait, told := clearAgain, false; err != nil; wait = min(2*wait, clearRest) {
			if !told && wait > time.Second { // processes that were killed take a moment to be gone
				s.log.Warn("a job's working folder is left; this is tried again", "job", r.Job.ID, "err", err)
				told = true
			}
			select {
			case <-s.lifetime.Done():
				return
			case <-time.After(wait):
			}
			if !s.take(r.Job.ID) {
				continue // it runs again, and that run's start removed what was left
			}
			s.clearing.Lock()
			err = try()
			s.clearing.Unlock()
			s.leave(r.Job.ID)
		}
	})
}
