package server

import "testing"

// TestLeast: what is no limit takes none away.
func TestLeast(t *testing.T) {
	for _, tt := range []struct{ a, b, want int }{
		{0, 0, 0}, {3, 0, 3}, {0, 3, 3}, {3, 2, 2}, {2, 3, 2}, {-1, 2, 2}, {2, -1, 2}, {-1, 0, 0}, {0, -1, 0},
	} {
		if got := least(tt.a, tt.b); got != tt.want {
			t.Errorf("least(%d, %d) is %d, not %d", tt.a, tt.b, got, tt.want)
		}
	}
}
