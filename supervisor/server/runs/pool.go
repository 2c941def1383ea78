package runs

import (
	"slices"
	"sync"
	"time"

	"callgate/supervisor/server/handover"
)

// pool has the supervisors that wait for a job.
type pool struct {
	fresh *stock[*supervisor] // for their first

	mu     sync.Mutex
	most   int
	idle   []*supervisor // for the next of their user's, those that wait longest first
	closed bool
}

const (
	jobsMost = 100              // of one supervisor
	idleTime = 10 * time.Second // between two
)

func newPool(program string) *pool {
	return &pool{fresh: newStock(
		func() (*supervisor, error) { return spawn(program) },
		func(s *supervisor) bool { return s.over() },
		(*supervisor).dismiss)}
}

// open keeps so many supervisors ready for any user, and as many for the next job of one,
// until the pool is closed.
func (p *pool) open(n int) {
	p.mu.Lock()
	p.most = n
	p.mu.Unlock()
	p.fresh.open(n)
}

// take gives a supervisor that waits; fresh: for its first job.
func (p *pool) take(as *handover.Identity, fresh bool) (*supervisor, error) {
	if !fresh {
		if s := p.again(as); s != nil {
			return s, nil
		}
	}
	defer p.fresh.restock()
	return p.fresh.take()
}

// again gives the one that has waited least for the next job of a user's, or nil.
func (p *pool) again(as *handover.Identity) *supervisor {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range slices.Backward(p.idle) {
		if !s.as.Is(as) {
			continue
		}
		p.idle = slices.Delete(p.idle, i, i+1) // what comes after it was looked at
		if !s.changed() {
			return s
		}
		s.dismiss()
	}
	return nil
}

// keep has a supervisor whose job is over wait for the next, for a while.
func (p *pool) keep(s *supervisor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.most == 0 || s.jobs >= jobsMost || s.over() {
		s.dismiss()
		return
	}
	if len(p.idle) == p.most {
		p.idle[0].dismiss()
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.idle = append(p.idle, s)
	jobs := s.jobs
	time.AfterFunc(idleTime, func() { p.expire(s, jobs) })
}

// expire dismisses a supervisor that has had no job since it had so many.
func (p *pool) expire(s *supervisor, jobs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, s); i >= 0 && s.jobs == jobs {
		s.dismiss()
		p.idle = slices.Delete(p.idle, i, i+1)
	}
}

// close ends those that wait.
func (p *pool) close() {
	p.fresh.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.idle {
		s.dismiss()
	}
	p.idle = nil
}
