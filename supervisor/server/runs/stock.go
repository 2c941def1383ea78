package runs

import "sync"

// stock keeps so many of something ready that takes its time to be made.
type stock[T any] struct {
	produce func() (T, error)
	spoilt  func(T) bool // whether one that was ready is of no use any more
	drop    func(T)
	ready   chan T        // nil: none are kept
	taken   chan struct{} // one was
	closed  chan struct{}
	fillers sync.WaitGroup
}

func newStock[T any](produce func() (T, error), spoilt func(T) bool, drop func(T)) *stock[T] {
	return &stock[T]{produce: produce, spoilt: spoilt, drop: drop, taken: make(chan struct{}, 1), closed: make(chan struct{})}
}

// open keeps n ready, until the stock is closed.
func (s *stock[T]) open(n int) {
	s.ready = make(chan T, n)
	s.fillers.Go(func() {
		for s.fill() {
			select {
			case <-s.taken:
			case <-s.closed:
				return
			}
		}
	})
}

// fill makes as many as are wanted; false: no more are.
func (s *stock[T]) fill() bool {
	for len(s.ready) < cap(s.ready) {
		select {
		case <-s.closed:
			return false
		default:
		}
		one, err := s.produce()
		if err != nil {
			return true // who makes the next will tell
		}
		s.ready <- one
	}
	return true
}

// restock has another made for each that was taken.
func (s *stock[T]) restock() {
	select {
	case s.taken <- struct{}{}:
	default:
	}
}

// take gives one, made now if there is none. Whoever takes restocks, when it has the time.
func (s *stock[T]) take() (T, error) {
	for {
		select {
		case one := <-s.ready:
			if !s.spoilt(one) {
				return one, nil
			}
			s.drop(one)
		default:
			return s.produce()
		}
	}
}

// close drops what is left.
func (s *stock[T]) close() {
	close(s.closed)
	s.fillers.Wait()
	for {
		select {
		case one := <-s.ready:
			s.drop(one)
		default:
			return
		}
	}
}
