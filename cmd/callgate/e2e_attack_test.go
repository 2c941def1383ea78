package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"callgate/supervisor/attack"

	"golang.org/x/sys/unix"
)

// sectionsPolicy denies what attacks are about by the supervisor alone: Landlock, which
// knows no denials, lets all of it through.
const sectionsPolicy = `callgate: 1
default: deny
compat: {i386: same, x32: same}
files:
  - deny: "**/decoys"
  - write: /
exec:
  - deny: "**/decoys"
  - allow: /
network:
  - deny: 127.0.0.1
  - connect: "*"
`

// writePolicy lets everything be read: what is denied is to write.
const writePolicy = `callgate: 1
default: deny
compat: {i386: same, x32: same}
files:
  - read: /
  - write: $TMPDIR
environment: {private-tmp: true}
`

// callsPolicy has no rules on names at all.
const callsPolicy = `callgate: 1
default: allow
compat: {i386: same, x32: deny}
syscalls:
  - deny: [mkdir, mkdirat]
`

// perhapsNot are attacks that a host's kernel, or its settings, may keep anyone from.
var perhapsNot = []string{"io-uring", "int80", "far-jump", "x32", "handle", "tmpfile", "terminal", "ptrace", "process-memory",
	"proc-mem", "pidfd-getfd", "user-namespace", "mount", "setns", "bpf", "userfaultfd", "perf", "keys"}

// doctorAttack runs `callgate doctor --attack` and gives what each attack came to.
func doctorAttack(t *testing.T, tr trial, args ...string) (verdicts map[string]string, status int, all string) {
	t.Helper()
	dir := openFolder(t)
	name := tr.policy
	if !strings.HasPrefix(name, "builtin:") {
		name = filepath.Join(dir, "policy.yaml")
		writeFile(t, name, tr.policy)
	}
	program := tr.build
	if program == "" {
		program = lookPath(t, "callgate")
	}
	tmp := openFolder(t)
	cmd := exec.Command(program, append([]string{"doctor", "--attack", "-p", name}, args...)...)
	cmd.Dir, cmd.SysProcAttr = openFolder(t), asUser(tr.user)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	verdicts = map[string]string{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "held ") {
			verdicts[f[1]] = "held"
		} else if strings.HasPrefix(line, "BROKE OUT ") || strings.HasPrefix(line, "not tried ") {
			verdicts[f[2]] = strings.Join(f[:2], " ")
		}
	}
	for _, folder := range []string{tmp, cmd.Dir} {
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	return verdicts, statusOf(cmd.ProcessState), string(out)
}

// TestAttack: every sandbox holds, as root and as an ordinary user, and what is not tried
// is what the policy permits or this kernel does not have. What is tried has succeeded
// without a sandbox a moment before.
func TestAttack(t *testing.T) {
	tracee(t) // has callgate be for all to execute
	noYard := []string{"hard-link", "symbolic-link", "rename", "tmpfile", "race-link"}
	noNetwork := []string{"tcp", "udp", "abstract", "race-address"}
	noNames := slices.Concat(noYard, []string{"descriptors", "handle", "metadata", "program", "memfd", "race-name", "race-program", "pinned-memory"})
	calls := []string{"environment", "user-namespace", "mount", "setns", "bpf", "userfaultfd", "perf", "keys"}
	for _, tt := range []struct {
		name, policy string
		permitted    []string
		args         []string
	}{
		{"default", "builtin:default", []string{"memfd"}, nil},
		{"ci", "builtin:ci", []string{"memfd"}, nil},
		{"compute", "builtin:compute", append([]string{"memfd", "race-program"}, noYard...), nil},
		{"sections", sectionsPolicy, []string{"perf", "keys"}, nil},
		{"sections, quiet", sectionsPolicy, []string{"perf", "keys"}, []string{"--quiet"}},
		{"write", writePolicy, slices.Concat([]string{"program", "memfd", "race-program", "perf", "keys"}, noNetwork), nil},
		{"isolated", "builtin:default", []string{"memfd"}, []string{"--isolate", "all"}},
		{"calls", callsPolicy, slices.Concat(noNames, noNetwork, calls), nil},
	} {
		for _, user := range []bool{false, true} {
			if user && os.Geteuid() != 0 {
				continue // that is who the other is
			}
			t.Run(tt.name+map[bool]string{true: ", user"}[user], func(t *testing.T) {
				t.Parallel()
				if tt.name == "isolated" {
					needNamespaces(t)
				}
				verdicts, status, out := doctorAttack(t, trial{policy: tt.policy, user: user}, append(tt.args, "--tries", "500")...) // TestNames has them race for longer
				for _, a := range attack.Attacks() {
					permitted, perhaps := slices.Contains(tt.permitted, a.Name), slices.Contains(perhapsNot, a.Name)
					if a.Name == "environment" && (user || os.Geteuid() != 0) { // which only root has leave for
						permitted = false
					}
					switch got := verdicts[a.Name]; {
					case permitted && got == "not tried", !permitted && got == "held", !permitted && perhaps && got == "not tried":
					default:
						t.Errorf("%s: %q", a.Name, got)
					}
				}
				if status != 0 || t.Failed() {
					t.Errorf("status %d:\n%s", status, out)
				}
			})
		}
	}
}

// TestGivenUp: with rules on names root's command has, for good, no capability by which it
// could read any process's environment; with rules on calls alone it has what root has.
func TestGivenUp(t *testing.T) {
	const reads = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_PERFMON
	bounding := func(tr trial) (caps uint64) {
		t.Helper()
		got := tr.run(t, "grep", "^CapBnd:", "/proc/self/status")
		if _, err := fmt.Sscanf(got.stdout, "CapBnd: %x", &caps); err != nil {
			t.Fatalf("%v: %v", err, got)
		}
		return caps
	}
	bare := bounding(trial{bare: true})
	if got := bounding(trial{policy: callsPolicy}); got != bare {
		t.Errorf("rules on calls: %x of %x", got, bare)
	}
	if os.Geteuid() != 0 {
		return // others have none of the capabilities that they could get
	}
	if got := bounding(trial{policy: sectionsPolicy}); got&^(1<<unix.CAP_SYS_RESOURCE) != bare&^(reads|1<<unix.CAP_SYS_RESOURCE) {
		t.Errorf("rules on names: %x of %x", got, bare)
	}
}

// TestAttackNothing: where everything is permitted there is nothing to try, but to stay.
func TestAttackNothing(t *testing.T) {
	verdicts, status, out := doctorAttack(t, trial{policy: traceAll})
	for _, a := range attack.Attacks() {
		if want := map[bool]string{true: "held", false: "not tried"}[a.Name == "daemon"]; verdicts[a.Name] != want {
			t.Errorf("%s: %q", a.Name, verdicts[a.Name])
		}
	}
	if status != 0 || !strings.HasSuffix(out, "\n1 held, 0 broke out, "+itoa(len(attack.Attacks())-1)+" not tried\n") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// TestAttackBites: a supervisor that only checks loses every race, and is said to.
func TestAttackBites(t *testing.T) {
	for _, user := range []bool{false, true} {
		tr := trial{policy: sectionsPolicy, build: checkOnly(t), user: user}
		verdicts, status, out := doctorAttack(t, tr, "race-name", "race-program", "race-link", "race-address", "int80", "--tries", "20000")
		for name, got := range verdicts {
			if want := strings.HasPrefix(name, "race-"); want != (got == "BROKE OUT") {
				t.Errorf("%s: %q", name, got)
			}
		}
		if status != exitFindings || len(verdicts) != 5 || !strings.Contains(out, "does not hold here") {
			t.Errorf("status %d:\n%s", status, out)
		}
	}
}

// TestAttackKilled: a doctor that is killed leaves no process, and no folder that the
// next does not remove.
func TestAttackKilled(t *testing.T) {
	policy := filepath.Join(openFolder(t), "policy.yaml")
	writeFile(t, policy, sectionsPolicy)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		tr := trial{bare: true, env: []string{"TMPDIR=" + openFolder(t)}}
		r := tr.prepare(t, t.Context(), lookPath(t, "callgate"), "doctor", "--attack", "-p", policy, "--tries", "100000000", "race-name")
		var out bytes.Buffer // which nobody writes to when it is read
		r.cmd.Stdout = &out
		must(t, r.cmd.Start())
		state := func() string { return out.String() }
		waitFor(t, "the race", func() bool { return attacking(r) }, state)
		must(t, r.cmd.Process.Signal(sig))
		if err := r.cmd.Wait(); err == nil {
			t.Errorf("%v: it ended well: %s", sig, out.String())
		}
		waitFor(t, "the end of all", func() bool { return len(r.pids()) == 0 }, state)
		tmp := strings.TrimPrefix(tr.env[0], "TMPDIR=")
		if sig == unix.SIGKILL { // another run with folders there
			again := exec.Command(lookPath(t, "callgate"), "doctor", "--attack", "-p", "builtin:default", "daemon")
			again.Env = append(os.Environ(), tr.env...)
			if out, err := again.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("%v: left behind: %v", sig, left)
		}
	}
}

// attacking says whether the race of a doctor has begun in a sandbox.
func attacking(r *running) bool {
	for _, pid := range r.pids() {
		line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		if strings.Contains(string(line), "\x00race-name\x00{") && !strings.Contains(string(status), "TracerPid:\t0\n") {
			return true
		}
	}
	return false
}
