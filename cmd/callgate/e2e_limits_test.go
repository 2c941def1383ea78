package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"callgate/supervisor/audit"
	"callgate/supervisor/cgroup"
)

// limited is a policy that has limits and restricts nothing else.
func limited(limits string) string {
	return "callgate: 1\ncompat: {i386: same, x32: same}\nlimits: {" + limits + "}\n"
}

// reached is the limit event of an outcome, which must be the only one.
func (o outcome) reached(t *testing.T) *audit.LimitInfo {
	t.Helper()
	var found []*audit.LimitInfo
	for _, e := range o.events {
		if e.Kind == audit.Limit {
			found = append(found, e.LimitInfo)
		}
	}
	if len(found) > 1 {
		t.Fatalf("%d limit events: %+v", len(found), o)
	}
	if len(found) == 0 {
		return &audit.LimitInfo{}
	}
	return found[0]
}

// TestJudge: what a judge of other people's programs meets, with the verdict, the
// figures and the exit status that it must give.
func TestJudge(t *testing.T) {
	const gib10 = "10737418240"
	for _, c := range []struct {
		command, limits string
		status          int
		stdout          string // PREFIX*: begins so
		limit           string // that is told, "" for none
		most            float64
		end             string
		flags           string
	}{
		{command: "burn", limits: "cpu-time: 100ms", status: 124, limit: "cpu-time", most: 0.1, end: "SIGTERM"},
		{command: "burn 4", limits: "cpu-time: 200ms", status: 124, limit: "cpu-time", most: 0.2, end: "SIGTERM"},
		{command: "burn-apart", limits: "cpu-time: 200ms", status: 124, limit: "cpu-time", most: 0.2, end: "SIGTERM"},
		{command: "burn", limits: "wall-time: 100ms", status: 124, limit: "wall-time", most: 0.1, end: "SIGTERM"},
		{command: "pause", limits: "wall-time: 100ms, cpu-time: 1h", status: 124, limit: "wall-time", most: 0.1, end: "SIGTERM"},
		{command: "deaf 15", limits: "wall-time: 300ms", status: 124, stdout: "*", limit: "wall-time", most: 0.3, end: "SIGTERM, and SIGKILL after 50ms", flags: "--grace=50ms"},
		{command: "deaf 15", limits: "wall-time: 300ms", status: 124, stdout: "*", limit: "wall-time", most: 0.3, end: "SIGKILL", flags: "--grace=0"},
		{command: "halt", limits: "wall-time: 100ms", status: 124, limit: "wall-time", most: 0.1, end: "SIGTERM"},
		{command: "hog", limits: "memory: 64MiB", status: 137, limit: "memory", most: 64 << 20, end: "SIGKILL"},
		{command: "hog-many", limits: "memory: 64MiB", status: 137, limit: "memory", most: 64 << 20, end: "SIGKILL"},
		{command: "map 1073741824", limits: "memory: 2GiB", stdout: "mapped\n"},
		{command: "fork-bomb", limits: "processes: 20, wall-time: 500ms", status: 124, limit: "2", flags: "--grace=0"},
		{command: "bear fork", limits: "processes: 20", stdout: "20 -EAGAIN\n", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "bear clone", limits: "processes: 20", stdout: "20 -EAGAIN\n", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "bear clone-untraced", limits: "processes: 20", stdout: "20 -EAGAIN\n", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "bear clone3", limits: "processes: 20", stdout: "20 -EAGAIN\n", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "bear int80", limits: "processes: 20", stdout: "20 -EAGAIN\n", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "thread-bomb", limits: "processes: 20", stdout: "20 Resource temporarily unavailable\n", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "zombies", limits: "processes: 20", stdout: "20 Resource temporarily unavailable\nforks again\n*", limit: "processes", most: 20, end: "EAGAIN"},
		{command: "flood 1 " + gib10, limits: "output: 64KiB", status: 137, stdout: strings.Repeat("x", 64<<10), limit: "output", most: 64 << 10, end: "SIGKILL"},
		{command: "flood 2 " + gib10, limits: "output: 64KiB", status: 137, limit: "output", most: 64 << 10, end: "SIGKILL"},
		{command: "flood 1 65536", limits: "output: 64KiB", stdout: strings.Repeat("x", 64<<10)},
		{command: "big-file out " + gib10, limits: "file-size: 64KiB", status: 153, limit: "file-size", most: 64 << 10, end: "SIGXFSZ"},
		{command: "big-file out " + gib10 + " careful", limits: "file-size: 64KiB", status: 1, stdout: "File too large\n", limit: "file-size", most: 64 << 10, end: "SIGXFSZ"},
		{command: "leak", limits: "open-files: 16", stdout: "Too many open files\n"},
	} {
		t.Run(c.command+", "+c.limits, func(t *testing.T) {
			t.Parallel()
			tr := trial{policy: limited(c.limits)}
			if c.flags != "" {
				tr.flags = strings.Fields(c.flags)
			}
			got := tr.run(t, traceeCommand(c.command)(t, "")...)
			stdout, rest := strings.CutSuffix(c.stdout, "*")
			if got.status != c.status || got.stdout != stdout && !(rest && strings.HasPrefix(got.stdout, stdout)) {
				t.Fatalf("status %d, want %d; %d bytes: %s", got.status, c.status, len(got.stdout), tail(got.stderr))
			}
			if c.limit == "2" {
				return // both of them
			}
			l := got.reached(t)
			if l.Limit != c.limit || l.Most != c.most || l.Used < c.most*0.99 || !strings.HasPrefix(l.End, c.end) {
				t.Errorf("the limit event is %+v", l)
			}
			if c.limit != "" && !strings.Contains(got.stderr, "callgate: limit: "+c.limit+" ") {
				t.Errorf("it is not told:\n%s", got.stderr)
			}
		})
	}
}

// TestDiskLimits hold for the command's private temporary folder. Without one there
// is nothing that they could hold for, and the command is not started.
func TestDiskLimits(t *testing.T) {
	for limit, script := range map[string]string{
		"disk":   "head -c 4000000 /dev/zero >$TMPDIR/f; sleep 100",
		"inodes": "cd $TMPDIR; mkdir 1 2 3 4 5 6 7 8 9 10 11; sleep 100",
	} {
		most := map[string]string{"disk": "1MiB", "inodes": "10"}[limit]
		tr := trial{policy: limited(limit+": "+most) + "environment: {private-tmp: true}\n"}
		got := tr.run(t, "/bin/sh", "-c", script)
		if l := got.reached(t); got.status != 137 || l.Limit != limit || l.End != "SIGKILL" || !strings.Contains(got.stderr, "callgate: limit: "+limit+" "+most+", used ") {
			t.Errorf("status %d, %+v: %s", got.status, l, got.stderr)
		}
		got = trial{policy: limited("wall-time: 1m"), flags: []string{"--" + limit, most}}.run(t, "/bin/echo", "begun")
		if got.status != 125 || got.stdout != "" || !strings.Contains(got.stderr, "{private-tmp: true} gives it one, or run --private-tmp") {
			t.Errorf("status %d, %q, %s", got.status, got.stdout, got.stderr)
		}
	}
}

// TestCrashes: each fatal signal has its status, and leaves no core file, under limits.
func TestCrashes(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGQUIT,
		syscall.SIGSYS, syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGIO, syscall.SIGPWR, syscall.SIGSTKFLT, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGALRM} {
		dir := openFolder(t)
		got := trial{policy: limited("wall-time: 1m"), dir: dir}.run(t, "/bin/sh", "-c", fmt.Sprintf("ulimit -Hc; kill -%d $$; sleep 10", int(sig)))
		got.want(t, 128+int(sig), "0\n")
		if found, _ := filepath.Glob(dir + "/*"); len(found) > 0 {
			t.Errorf("%v left %q", sig, found)
		}
	}
}

// TestLimitsStay: a program cannot raise its limits again, not even root's.
func TestLimitsStay(t *testing.T) {
	got := trial{policy: limited("file-size: 4KiB, open-files: 32")}.run(t, "/bin/sh", "-c",
		"ulimit -Hf; ulimit -Hn; (ulimit -Hn 64) 2>/dev/null || echo no; grep -c '^CapEff.*[13579bdf]......$' /proc/self/status; exit 0")
	got.want(t, 0, "8\n32\nno\n0\n")
}

// TestLimitsNarrow: flags and policies together, the tightest holds and is named.
func TestLimitsNarrow(t *testing.T) {
	for _, c := range []struct{ policy, flag, by string }{
		{"wall-time: 1h", "--wall-time=100ms", "--wall-time"},
		{"wall-time: 100ms", "--wall-time=1h", "policy.yaml:3"},
	} {
		got := trial{policy: limited(c.policy), flags: []string{c.flag}}.run(t, "/bin/sleep", "1000")
		if l := got.reached(t); got.status != 124 || !strings.HasSuffix(l.By, c.by) {
			t.Errorf("status %d, %+v", got.status, l)
		}
	}
}

// TestLeavingCgroup: who moves out of the sandbox's cgroup is ended.
func TestLeavingCgroup(t *testing.T) {
	if _, err := cgroup.Probe(); err != nil {
		return // who has none cannot leave it
	}
	got := trial{policy: limited("memory: 1GiB")}.run(t, "/bin/sh", "-c",
		`p=$(sed -n 's/^[0-9]*:memory:/memory/p' /proc/self/cgroup); [ -n "$p" ] || p=$(sed -n 's/^0:://p' /proc/self/cgroup)
		echo $$ >/sys/fs/cgroup/${p%/*}/cgroup.procs || exit 1; sleep 1000`)
	if l := got.reached(t); got.status != 137 || l.Limit != "memory" {
		t.Errorf("status %d, %+v\n%s", got.status, l, got.stderr)
	}
}

// TestTotalTime: processor time of processes that nobody waits for is in the end's figures.
func TestTotalTime(t *testing.T) {
	got := trial{policy: limited("cpu-time: 300ms")}.run(t, traceeCommand("burn-apart")(t, "")...)
	end := got.events[len(got.events)-1].Totals
	if cpu := end.UserSeconds + end.SystemSeconds; cpu < 0.3 || end.Processes < 3 {
		t.Errorf("%v s in %d processes", cpu, end.Processes)
	}
}

// TestPeakMemory: the end says what was held at most, and how that is known.
func TestPeakMemory(t *testing.T) {
	got := trial{policy: limited("memory: 64MiB")}.run(t, traceeCommand("hog")(t, "")...)
	end := got.events[len(got.events)-1].Totals
	_, err := cgroup.Probe()
	if end.PeakMemoryBytes < 60<<20 || end.MemoryMeasure == "" || (err != nil) != (end.MemoryMeasure == "sampled") {
		t.Errorf("%d bytes, %q", end.PeakMemoryBytes, end.MemoryMeasure)
	}
}

// TestGrace: what is told to end, and does not, is killed with all of its own.
func TestGrace(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		defer cancel()
		r := trial{policy: traceAll, flags: []string{"--quiet", "--grace=100ms"}}.prepare(t, ctx, "/bin/sh", "-c",
			`trap "" TERM HUP INT QUIT; setsid sleep 1000 & echo ready; while :; do sleep 1000; done`)
		ready(t, r)
		r.cmd.Process.Signal(sig)
		r.cmd.Wait()
		if got := statusOf(r.cmd.ProcessState); got != 137 {
			t.Errorf("%v: status %d, want 137", sig, got)
		}
		if left := r.left(); len(left) > 0 {
			t.Errorf("%v left %q", sig, left)
		}
	}
}

// ready starts a command and waits for its first line.
func ready(t *testing.T, r *running) {
	t.Helper()
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err == nil {
		_, err = out.Read(make([]byte, 100))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinger: daemons go on supervised, and end by themselves, when callgate is told to
// end, or with a limit.
func TestLinger(t *testing.T) {
	const leave = "callgate_child() { trap '' HUP; sleep 0.3; echo late; }; callgate_child & echo ready; exit 7"
	got := trial{policy: traceAll, flags: []string{"--quiet", "--linger"}}.run(t, "/bin/sh", "-c", leave)
	got.want(t, 7, "ready\nlate\n")

	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	r := trial{policy: traceAll, flags: []string{"--quiet", "--linger", "--grace=100ms"}}.prepare(t, ctx, "/bin/sh", "-c",
		`(trap "" TERM; exec setsid sleep 1000) & setsid sleep 1000 & echo $$; exit 7`)
	ready(t, r)
	waitFor(t, "the command's end", func() bool { return len(r.left()) == 3 }, func() string { return fmt.Sprint(r.left()) })
	time.Sleep(50 * time.Millisecond) // to see that they stay; nothing hangs on it
	r.cmd.Process.Signal(syscall.SIGTERM)
	r.cmd.Wait()
	if status, left := statusOf(r.cmd.ProcessState), r.left(); status != 7 || len(left) > 0 {
		t.Errorf("status %d, left %q", status, left)
	}

	r = trial{policy: traceAll, flags: []string{"--quiet", "--linger", "--grace=100ms"}}.prepare(t, ctx, "/bin/sh", "-c",
		`trap "exit 7" TERM; (trap "" TERM; exec setsid sleep 1000) & echo $$; while :; do sleep 0.01; done`)
	ready(t, r)
	r.cmd.Process.Signal(syscall.SIGTERM) // to the command, which ends, and so to all
	r.cmd.Wait()
	if status, left := statusOf(r.cmd.ProcessState), r.left(); status != 7 || len(left) > 0 {
		t.Errorf("told while the command ran: status %d, left %q", status, left)
	}

	got = trial{policy: limited("wall-time: 200ms"), flags: []string{"--linger"}}.run(t, "/bin/sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & exit 7")
	got.want(t, 124, "")
}

// TestStats: the table for people, the costliest call first.
func TestStats(t *testing.T) {
	got := trial{policy: traceAll, flags: []string{"--stats"}}.run(t, traceeCommand("processes 3")(t, "")...)
	for _, want := range []string{"callgate: wall  ", "callgate: user  ", "callgate: system  ", "callgate: memory  ", "callgate: processes ", "callgate: stops  ", " brk\n"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("no %q in\n%s", want, got.stderr)
		}
	}
}

// TestLastOutput: the limit on output counts what a command wrote last as well, though it
// ends before that is passed on.
func TestLastOutput(t *testing.T) {
	t.Parallel()
	for range 20 {
		trial{policy: "callgate: 1\ndefault: allow\nlimits: {output: 4B}\n", quiet: true}.run(t, "echo", "hello").want(t, 137, "hell")
	}
}
