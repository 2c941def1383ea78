package policy

import (
	"testing"

	"callgate/policy/abi"
)

// TestManPageNameFirst holds that a name of the man page's is not taken for a
// parameter's number: prctl's arg2 is its second parameter.
func TestManPageNameFirst(t *testing.T) {
	for _, c := range []struct {
		call, name string
		register   int8
	}{
		{"prctl", "arg2", 1}, {"prctl", "arg5", 4}, {"prctl", "arg0", 0}, {"keyctl", "arg3", 2},
		{"read", "arg2", 2}, {"preadv2", "arg4", 5}, {"sysfs", "arg2", 2},
	} {
		s, _ := abi.X86_64.ByName(c.call)
		if p, ok := paramOf(s, c.name); !ok || p.Lo != c.register {
			t.Errorf("%s.%s: %+v", c.call, c.name, p)
		}
	}
}
