package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// keys builds testdata/keys.c.
func (h *host) keys() string {
	h.t.Helper()
	program := filepath.Join(h.dir, "keys")
	if out, err := exec.Command("gcc", "-static", "-o", program, "testdata/keys.c").CombinedOutput(); err != nil {
		h.t.Fatalf("gcc: %v\n%s", err, out)
	}
	return program
}

// join gives the test's thread, and what it starts from now on, a session keyring of its
// own, with a key in it.
func join(t *testing.T, key string) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.AddKey("user", key, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Fatal(err)
	}
}

// TestKeys: a job has none of the keys of the daemon's session, or of another job's.
func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHost(t, "spares: 1\n")
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true); err != nil {
		lacking(t, "keys (keyrings(7)): "+err.Error())
	}
	join(t, "daemons")
	h.start()
	program := h.keys()
	seen := func(user string, args ...string) (supervisor int, said string) {
		t.Helper()
		return h.run(&client.Request{Argv: append([]string{program}, args...), User: user,
			Policies: []client.Policy{{Name: "open.yaml", Text: "callgate: 1\ndefault: allow\n"}}})
	}
	users := []string{""}
	if os.Geteuid() == 0 {
		users = []string{"", "65534", "daemon"}
	}
	for _, user := range users {
		const want = "lacks daemons\nlacks jobs\nhas jobs\n"
		first, said := seen(user, "?daemons", "?jobs", "+jobs", "?jobs")
		if said != want {
			t.Errorf("%q finds %s", user, said)
		}
		if again, said := seen(user, "?daemons", "?jobs", "+jobs", "?jobs"); again != first || said != want {
			t.Errorf("%q then finds, by %d, not %d: %s", user, again, first, said)
		}
	}
}

// TestManyKeys is for root: who has as many keys as it may has no more for it, and jobs
// still.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "it takes a user whose keys are nobody else's")
	}
	h := newHost(t, "")
	join(t, "daemons")
	h.start()
	program := h.keys()
	r := &client.Request{Argv: []string{"sh", "-c", program + ` $(for n in $(seq 1000); do echo +$n; done) | sort -u; read x`}, User: "bin", Stdin: &client.Stdin{Open: true},
		Policies: []client.Policy{{Name: "open.yaml", Text: "callgate: 1\ndefault: allow\n"}}}
	holder := h.submit(r).ID
	h.until("all keys", func() bool { return h.output(holder, client.StdoutEvent) == "full\n" })
	r.Argv, r.Stdin = []string{program, "?daemons", "?1", "+1"}, nil
	if _, said := h.run(r); !strings.HasPrefix(said, "lacks daemons\nlacks 1\n") {
		t.Error(said)
	}
}
