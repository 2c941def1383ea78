package supervisor

import (
	"errors"
	"testing"

	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// memoryless is a kernel whose tasks have no memory any more, or never could be
// reached.
type memoryless struct{ *recording }

func (memoryless) Write(int, uint64, []byte) error { return unix.EIO }

// TestKilledWhileArmed: memory that is gone because its task was killed is no failure of
// the sandbox's, and any other is one.
func TestKilledWhileArmed(t *testing.T) {
	for _, dead := range []bool{true, false} {
		s := newSandbox(&compile.Plan{}, Command{}, Options{})
		s.kernel = memoryless{&recording{dead: map[int]bool{child: dead}}}
		err := s.armed(&task{tid: child, process: &process{pid: child}, arming: &arming{}}, new([6]uint64))
		if dead != (err == unix.ESRCH) || dead == errors.Is(err, unix.EIO) {
			t.Errorf("dead %v: %v", dead, err)
		}
	}
}
