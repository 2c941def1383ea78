package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestSessions: each job is in a session of its own, and what it makes of that, as its
// share of the processor (sched(7), "The autogroup feature"), is not the next one's.
func TestSessions(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 1\n")
	r := shell(`echo 19 >/proc/self/autogroup; cat /proc/self/autogroup; cut -d' ' -f1,5,6,7 /proc/$$/stat; { echo >/dev/tty; } 2>&1; exit 0`)
	r.Policies = []client.Policy{{Name: "open.yaml", Text: "callgate: 1\ndefault: allow\n"}}
	first, said := h.run(r)
	_, grouped := os.Stat("/proc/self/autogroup")
	if grouped == nil && !strings.Contains(said, "nice 19") {
		t.Error(said)
	}
	r.Argv[2] = strings.TrimPrefix(r.Argv[2], "echo 19 >/proc/self/autogroup; ")
	again, said := h.run(r)
	var pid, group, session, terminal int
	if grouped == nil {
		line, rest, _ := strings.Cut(said, "\n")
		if said = rest; !strings.Contains(line, "nice 0") {
			t.Errorf("the second has %s", line)
		}
	}
	if _, err := fmt.Sscan(said, &pid, &group, &session, &terminal); err != nil || group != pid || session != pid || terminal != 0 || again != first {
		t.Errorf("%v: %s, by %d, not %d", err, said, again, first)
	}
	if !strings.Contains(said, "No such device or address") {
		t.Errorf("it has a terminal: %s", said)
	}
}
