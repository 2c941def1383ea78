package runs

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

// TestStock: what is ready is given unless it is spoilt, what is made for who asks as it is,
// and all that nobody took is dropped.
func TestStock(t *testing.T) {
	var made, dropped atomic.Int64
	var broken atomic.Bool
	s := newStock(func() (int64, error) {
		if broken.Load() {
			return 0, errors.New("broken")
		}
		return made.Add(1), nil
	}, func(n int64) bool { return n <= 2 }, func(int64) { dropped.Add(1) })
	if n, err := s.take(); n != 1 || err != nil {
		t.Errorf("%d, %v: one is not made where none are kept", n, err)
	}
	s.open(2)
	for len(s.ready) < 2 {
		runtime.Gosched()
	}
	n, err := s.take() // of 2 and 3
	s.restock()
	if n != 3 || err != nil || dropped.Load() != 1 {
		t.Errorf("%d, %v, %d dropped", n, err, dropped.Load())
	}
	for len(s.ready) < 2 {
		runtime.Gosched()
	}
	broken.Store(true)
	for range 2 {
		if _, err := s.take(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.take(); err == nil {
		t.Error("none is ready, none can be made, and that is no error")
	}
	broken.Store(false)
	if _, err := s.take(); err != nil {
		t.Error(err)
	}
	s.restock()
	s.close()
	if made.Load() != dropped.Load()+5 { // that were taken
		t.Errorf("%d made, %d dropped", made.Load(), dropped.Load())
	}
}
