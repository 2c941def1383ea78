package runs

import "testing"

// TestOverStays: a run is over for good, though word of its journal may come late.
func TestOverStays(t *testing.T) {
	r := &Run{grew: make(chan struct{})}
	grew := r.Grew()
	r.tell(true)
	<-grew
	r.tell(false)
	if !r.Over() {
		t.Error("it is not over any more")
	}
}
