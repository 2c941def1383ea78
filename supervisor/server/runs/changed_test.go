package runs

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLimitsOf: proc(5) says of this process what the kernel says.
func TestLimitsOf(t *testing.T) {
	l, err := limitsOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for resource, has := range l {
		var want unix.Rlimit
		if err := unix.Getrlimit(resource, &want); err != nil || has != want {
			t.Errorf("limit %d is %v, not %v, %v", resource, has, want, err)
		}
	}
	for _, text := range []string{"", "Limit\n", "Limit\nMax cpu time unlimited unlimited seconds\n"} {
		if _, err := readLimits(text); err == nil {
			t.Errorf("%q has all limits", text)
		}
	}
}

// BenchmarkChanged is what each job of a supervisor's but the first takes for it.
func BenchmarkChanged(b *testing.B) {
	program := os.Getenv("CALLGATE_PROGRAM")
	if program == "" {
		if found, err := exec.LookPath("callgate"); err == nil {
			program = found
		} else {
			b.Skip("CALLGATE_PROGRAM names no callgate")
		}
	}
	s, err := spawn(program)
	if err != nil {
		b.Fatal(err)
	}
	defer s.dismiss()
	for b.Loop() {
		s.changed()
	}
}
