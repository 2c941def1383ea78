package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// waiting gives the supervisors that wait for a job, once there are so many.
func (h *host) waiting(n int) []int {
	h.t.Helper()
	var pids []int
	for range 2000 {
		if pids = h.idle(); len(pids) == n {
			return pids
		}
		pause()
	}
	h.t.Fatalf("%d supervisors wait, not %d", len(pids), n)
	return nil
}

func (h *host) idle() (pids []int) {
	busy := h.supervisors()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", h.cmd.Process.Pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list) // the thread may be gone
		for _, word := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(word)
			if !slices.Contains(busy, pid) && !dead(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// run runs a job to its end, and gives its supervisor and its output.
func (h *host) run(r *client.Request) (supervisor int, output string) {
	h.t.Helper()
	j := h.wait(h.submit(r).ID)
	if j.Result.Cause != client.ByExit || j.Result.Status != 0 {
		h.t.Errorf("%q ended with %+v: %s", r.Argv, j.Result, h.output(j.ID, client.StderrEvent))
	}
	return supervisorIn(filepath.Join(h.dir, "state/jobs", j.ID+".1", "pid")), h.output(j.ID, client.StdoutEvent)
}

func (h *host) runTrue() (supervisor int) {
	h.t.Helper()
	supervisor, _ = h.run(&client.Request{Argv: []string{"true"}})
	return supervisor
}

// gone waits for a process to end.
func (h *host) gone(pid int) {
	h.t.Helper()
	for range 2000 {
		if dead(pid) {
			return
		}
		pause()
	}
	h.t.Errorf("process %d is still there", pid)
}

// TestSupervisors: those that wait get a user's first job, and then that user's next; those
// that have died get none, one that has waited for long ends, and a daemon's end leaves
// none behind.
func TestSupervisors(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 2\n")
	fresh := h.waiting(2)
	first := h.runTrue()
	if !slices.Contains(fresh, first) {
		t.Errorf("%d ran the job, and %d waited", first, fresh)
	}
	if again := h.runTrue(); again != first {
		t.Errorf("%d ran the first job, %d the second", first, again)
	}
	if !slices.Contains(h.waiting(3), first) {
		t.Errorf("%d does not wait", first)
	}
	for _, pid := range h.waiting(3) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		h.gone(pid)
	}
	second := h.runTrue()
	h.waiting(3)
	h.waiting(2) // in a while
	h.gone(second)
	h.runTrue()
	before := h.waiting(3)
	h.kill()
	for _, pid := range before {
		h.gone(pid)
	}
	h.start()
	h.runTrue()
	before = h.waiting(3)
	h.stop()
	for _, pid := range before {
		h.gone(pid)
	}
}

// TestNoSpares: with none, each supervisor is started for its job, and has no other.
func TestNoSpares(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 0\n")
	if one, other := h.runTrue(), h.runTrue(); one == 0 || one == other {
		t.Errorf("%d and %d ran a job", one, other)
	}
	h.waiting(0)
}

// TestSupervisorsOfUsers is for root: no supervisor has jobs of two users, or of one whose
// groups are others by now, or a job with a limit on memory after another.
func TestSupervisorsOfUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		skip(t, "an ordinary user's daemon runs no jobs of others")
	}
	const bounded = "callgate: 1\ndefault: allow\nlimits: {memory: 1GiB}\n"
	h := newHost(t, "spares: 8\n")
	if err := os.WriteFile(filepath.Join(h.dir, "bounded.yaml"), []byte(bounded), 0o644); err != nil {
		t.Fatal(err)
	}
	h.configure("supervisor: " + must(callgate()) + "\nspares: 8\npolicies: {bounded: bounded.yaml}\n")
	h.start()
	as := func(user string, limits *client.Limits, policies ...client.Policy) int {
		t.Helper()
		pid, _ := h.run(&client.Request{Argv: []string{"true"}, User: user, Limits: limits, Policies: policies})
		return pid
	}
	nobody, root := as("65534", nil), as("0", nil)
	if other := as("daemon", nil); other == nobody || other == root || nobody == root {
		t.Errorf("%d, %d and %d ran jobs of three users", nobody, root, other)
	}
	if pid := as("65534", nil); pid != nobody {
		t.Errorf("%d ran a job of the user's, then %d did", nobody, pid)
	}
	seen := []int{nobody}
	for name, pid := range map[string]int{
		"the job":             as("65534", &client.Limits{MemoryBytes: 1 << 30}),
		"its policy":          as("65534", nil, client.Policy{Name: "own.yaml", Text: bounded}),
		"the config's policy": as("65534", nil, client.Policy{Name: "bounded"}),
		"what that extends":   as("65534", nil, client.Policy{Name: "own.yaml", Text: "callgate: 1\nextends: in.yaml\n", Files: map[string]string{"in.yaml": bounded}}),
	} {
		if slices.Contains(seen, pid) {
			t.Errorf("%d had a job before one whose memory %s limits", pid, name)
		}
		seen = append(seen, pid)
	}
	if pid := as("65534", nil); slices.Contains(seen[1:], pid) {
		t.Errorf("%d had a job whose memory is limited before", pid)
	}
	if pid := as("0", &client.Limits{MemoryBytes: 1 << 30}); pid != root {
		t.Errorf("%d ran root's job, %d its next: root can always make a cgroup", root, pid)
	}
}

// TestNextJob: a job finds nothing of those that its supervisor has had before.
func TestNextJob(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 1\n")
	state := shell(`umask; ulimit -a; nice; nproc; env | sort | grep -v -e "$PWD" -e "$TMPDIR"; ls -A; cat; for fd in /proc/self/fd/*; do readlink $fd; done | sed 's/[0-9]//g'
grep -E '^(Sig(Blk|Ign|Cgt)|NoNewPrivs|Seccomp|Groups|Uid|Gid):' /proc/self/status; cat /proc/self/oom_score_adj
(echo x >../escape) 2>/dev/null; cat /etc/hostname >/dev/null && echo read`)
	first, want := h.run(state)
	deny := "callgate: 1\nextends: builtin:ci\nfiles:\n  - deny: /etc/hostname\n  - read: /\n"
	for name, r := range map[string]*client.Request{
		"its environment": {Argv: []string{"sh", "-c", "echo $A"}, Env: map[string]string{"A": "a", "HOME": "/", "LD_DEBUG": ""}},
		"its input":       {Argv: []string{"cat"}, Stdin: &client.Stdin{Content: client.Content{Text: "more"}}},
		"its files":       {Argv: []string{"sh", "-c", "cat file; mkdir made"}, Files: []client.File{{Path: "file", Content: client.Content{Text: "text"}}}, Collect: []string{"*"}},
		"its folder":      {Argv: []string{"pwd"}, Folder: "/usr"},
		"its limits":      {Argv: []string{"true"}, Limits: &client.Limits{OpenFiles: 20, Processes: 9, FileBytes: 1 << 20, WallSeconds: 100, CPUSeconds: 100, OutputBytes: 100}},
		"its policies":    {Argv: []string{"true"}, Policies: []client.Policy{{Name: "deny.yaml", Text: deny}}},
		"others":          {Argv: []string{"true"}, Policies: []client.Policy{{Name: "builtin:compute"}}},
		"a child of its":  {Argv: []string{"sh", "-c", "(trap '' TERM; sleep 100) & umask 077; ulimit -n 9; exit 0"}},
	} {
		if pid, _ := h.run(r); pid != first {
			t.Errorf("%s: %d has the job, and %d had the first", name, pid, first)
		}
		pid, got := h.run(state)
		if pid != first {
			t.Errorf("after %s: %d has the job, and %d had the first", name, pid, first)
		}
		if got != want {
			t.Errorf("after %s:\n%s\nas the first:\n%s", name, got, want)
		}
	}
	for name, script := range map[string]string{"that fails": "exit 3", "that dies": "kill -SEGV $$", "that is not there": ""} {
		r := shell(script)
		if script == "" {
			r.Argv = []string{"no such command"}
		}
		if j := h.wait(h.submit(r).ID); j.Result.Status == 0 {
			t.Errorf("a job %s: %+v", name, j.Result)
		}
		if pid, got := h.run(state); pid != first || got != want {
			t.Errorf("after one %s, by %d, not %d:\n%s", name, pid, first, got)
		}
	}
	killed := h.submit(shell("sleep 100"))
	h.runs(killed.ID)
	if err := h.Kill(t.Context(), killed.ID); err != nil {
		t.Fatal(err)
	}
	h.wait(killed.ID)
	if pid, got := h.run(state); pid == first || got != want {
		t.Errorf("after one that was killed, by %d, as before:\n%s", pid, got)
	}
}

// TestHundredJobs: a supervisor takes nothing more for having had many jobs, and is replaced
// after a hundred.
func TestHundredJobs(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 1\n")
	var first, files int
	for n := range 101 {
		pid := h.runTrue()
		switch {
		case n == 0:
			first = pid
		case n == 100:
			if pid == first {
				t.Error("it had more than a hundred")
			}
		case pid != first:
			t.Fatalf("job %d has another", n)
		case n == 5:
			files = descriptors(t, pid)
		case n == 98:
			for range 2000 { // the last job's result may still be on its way to the disk
				if descriptors(t, pid) <= files {
					break
				}
				pause()
			}
			if now := descriptors(t, pid); now > files {
				t.Errorf("%d descriptors after 6 jobs, %d after 99", files, now)
			}
		}
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// TestOtherABI: a job's policy can permit calls of another ABI; the daemon's own policies
// leave them be, but for its folder.
func TestOtherABI(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	program := build32(t, h.dir, "exit", "mov $7,%ebx\nmov $1,%eax\nint $0x80")
	for compat, want := range map[string]client.Result{
		"same": {Cause: client.ByExit, Status: 7},
		"kill": {Cause: client.BySignal, Status: 128 + int(unix.SIGSYS), Signal: "SIGSYS"},
	} {
		r := &client.Request{Argv: []string{program}, Policies: []client.Policy{{Name: "own.yaml", Text: "callgate: 1\ndefault: allow\nsyscalls: []\ncompat: {i386: " + compat + "}\n"}}}
		if j := h.wait(h.submit(r).ID); *j.Result != want {
			t.Errorf("i386: %s: %+v", compat, j.Result)
		}
	}
	for file, status := range map[string]int{"c.yaml": 0, "state/lock": int(unix.EACCES)} {
		opens := build32(t, h.dir, "open-"+filepath.Base(file), `mov $5,%eax
mov $name,%ebx
xor %ecx,%ecx
int $0x80
xor %ebx,%ebx
test %eax,%eax
jns 1f
sub %eax,%ebx
1: mov $1,%eax
int $0x80
name: .asciz "`+filepath.Join(h.dir, file)+`"`)
		r := &client.Request{Argv: []string{opens}, Policies: []client.Policy{{Name: "own.yaml", Text: "callgate: 1\ndefault: allow\nsyscalls: []\ncompat: {i386: same}\n"}}}
		if j := h.wait(h.submit(r).ID); j.Result.Cause != client.ByExit || j.Result.Status != status {
			t.Errorf("opening %s by int 0x80: %+v", file, j.Result)
		}
	}
}

// build32 makes a program of code that calls by int $0x80.
func build32(t *testing.T, dir, name, code string) string {
	t.Helper()
	program := filepath.Join(dir, name)
	source := program + ".s"
	if err := os.WriteFile(source, []byte(".globl _start\n_start: "+code+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-nostdlib", "-static", "-no-pie", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return program
}
