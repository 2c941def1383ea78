package main

import (
	"fmt"
	"testing"
	"time"
)

// races is what a race's two sides and its refusals came to.
type races struct{ lost, held, refused int }

// race runs a tracee race under a policy and reads its counts, which the given
// format has in the order of races' fields. A race in which only one side ever
// won has proved nothing, so it is run again.
func race(t *testing.T, policy, format, line string) (r races) {
	t.Helper()
	for range 5 {
		got := trial{policy: policy, flags: []string{"--quiet"}}.run(t, traceeCommand(line)(t, "")...)
		if got.status != 0 {
			t.Fatalf("got %v", got)
		}
		if _, err := fmt.Sscanf(got.stdout, format, &r.lost, &r.held, &r.refused); err != nil {
			t.Fatalf("%v in %q", err, got.stdout)
		}
		if r.lost > 0 {
			t.Fatalf("the race was lost: %s", got.stdout)
		}
		if r.held > 0 && r.refused > 0 {
			return r
		}
		time.Sleep(time.Second) // for other work on the machine to pass
	}
	t.Errorf("nothing raced: %+v", r)
	return r
}

// TestRaceSocketcall: i386's socketcall has its arguments in memory, where
// another thread changes the address family between AF_INET and AF_UNIX.
func TestRaceSocketcall(t *testing.T) {
	const policy = `callgate: 1
default: allow
compat: {i386: same, x32: kill}
syscalls:
  - deny: socket
    args: { family: [AF_INET, AF_INET6] }
`
	race(t, policy, "wanted %d allowed %d refused %d", "race-socketcall 2 1 20000")
}

// TestRaceClone3: clone3 has its flags in memory, where another thread sets and
// clears one that the policy denies to clone, whose rules clone3 obeys.
func TestRaceClone3(t *testing.T) {
	const policy = `callgate: 1
default: allow
compat: {i386: same, x32: kill}
syscalls:
  - deny: clone
    args: { flags: { mask: CLONE_NEWUSER, is: CLONE_NEWUSER } }
`
	race(t, policy, "escaped %d inside %d refused %d", "race-clone3 0x10000000 20000")
}

// TestRaceUntraced: the same with CLONE_UNTRACED, which takes a child out of its
// tracer's hands. Whatever becomes of such a call, no child is outside.
func TestRaceUntraced(t *testing.T) {
	var escaped, inside, refused int
	got := trial{policy: denyMkdir, flags: []string{"--quiet"}}.run(t, tracee(t), "race-clone3", "0x800000", "20000")
	if _, err := fmt.Sscanf(got.stdout, "escaped %d inside %d refused %d", &escaped, &inside, &refused); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	if escaped > 0 || inside+refused != 20000 {
		t.Errorf("escaped %d, inside %d, refused %d", escaped, inside, refused)
	}
}
