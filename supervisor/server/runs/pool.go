package runs

import (
	"slices"
	"sync"
	"time"

	"callgate/supervisor/server/handover"
)

// pool has the supervisors that wait for a job.
type pool struct {
	program string
	ready   chan *supervisor // for their first; nil: none are kept
	taken   chan struct{}    // one was
	closed  chan struct{}
	fillers sync.WaitGroup

	mu   sync.Mutex
	idle []*supervisor // for the next of their user's, those that wait longest first
}

const (
	jobsMost = 100              // of one supervisor
	idleTime = 10 * time.Second // between two
)

func newPool(program string) *pool {
	return &pool{program: program, taken: make(chan struct{}, 1), closed: make(chan struct{})}
}

// open keeps so many supervisors ready for any user, and as many for the next job of one,
// until the pool is closed.
func (p *pool) open(n int) {
	p.ready = make(chan *supervisor, n)
	p.fillers.Go(func() {
		for p.fill() {
			select {
			case <-p.taken:
			case <-p.closed:
				return
			}
		}
	})
}

// fill makes as many as are wanted; false: no more are.
func (p *pool) fill() bool {
	for len(p.ready) < cap(p.ready) {
		select {
		case <-p.closed:
			return false
		default:
		}
		s, err := spawn(p.program)
		if err != nil {
			return true // a job that starts will tell
		}
		p.ready <- s
	}
	return true
}

// take gives a supervisor that waits; fresh: for its first job.
func (p *pool) take(as *handover.Identity, fresh bool) (*supervisor, error) {
	if !fresh {
		if s := p.again(as); s != nil {
			return s, nil
		}
	}
	defer func() {
		select {
		case p.taken <- struct{}{}:
		default:
		}
	}()
	for {
		select {
		case s := <-p.ready:
			if !s.over() {
				return s, nil
			}
			s.dismiss()
		default:
			return spawn(p.program)
		}
	}
}

// again gives the one that has waited least for the next job of a user's, or nil.
func (p *pool) again(as *handover.Identity) *supervisor {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range slices.Backward(p.idle) {
		if s.as.Is(as) {
			p.idle = slices.Delete(p.idle, i, i+1)
			return s
		}
	}
	return nil
}

// keep has a supervisor whose job is over wait for the next, for a while.
func (p *pool) keep(s *supervisor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		s.dismiss()
		return
	default:
	}
	if s.jobs >= jobsMost || cap(p.ready) == 0 || s.over() {
		s.dismiss()
		return
	}
	if len(p.idle) == cap(p.ready) {
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
	close(p.closed)
	p.fillers.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.idle {
		s.dismiss()
	}
	p.idle = nil
	for {
		select {
		case s := <-p.ready:
			s.dismiss()
		default:
			return
		}
	}
}
