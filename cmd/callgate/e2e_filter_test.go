package main

import (
	"path/filepath"
	"testing"
)

// denyMkdir denies mkdir and traces it; all else goes by the filter alone.
const denyMkdir = `callgate: 1
default: allow
compat: {i386: same, x32: same}
syscalls:
  - deny: mkdir
    errno: EACCES
    reason: the tests want to see it refused
`

// denied runs a tracee command under denyMkdir in a new folder, checks what it
// prints, and that the folder that it tries to make is not there.
func denied(t *testing.T, line string, status int, stdout string) outcome {
	t.Helper()
	dir := openFolder(t)
	got := trial{policy: denyMkdir, dir: dir}.run(t, traceeCommand(line)(t, dir)...)
	got.want(t, status, stdout)
	if exists(filepath.Join(dir, "new")) {
		t.Errorf("%s: the denied folder is there", line)
	}
	return got
}

// TestOwnListener: a filter with SECCOMP_FILTER_FLAG_NEW_LISTENER, answered by
// the tracee itself with "go on", would run a traced call without a stop
// (SECCOMP_RET_USER_NOTIF outranks SECCOMP_RET_TRACE).
func TestOwnListener(t *testing.T) {
	const refused = "seccomp = -EBUSY\nmkdir = -EACCES\n"
	// NEW_LISTENER is 8; with TSYNC (1), LOG (2), TSYNC_ESRCH (16) and WAIT_KILLABLE_RECV (32).
	for _, flags := range []string{"8", "0xa", "0x19", "0x28", "0x3f"} {
		t.Run(flags, func(t *testing.T) { denied(t, "listener native PATH "+flags, 0, refused) })
	}
	t.Run("a high half", func(t *testing.T) { denied(t, "listener native PATH 0x7000000008", 0, refused) })
	t.Run("int80", func(t *testing.T) { denied(t, "listener int80 PATH", 0, refused) })
	t.Run("x32", func(t *testing.T) { denied(t, "listener x32 PATH", 0, refused) })
	t.Run("prctl", func(t *testing.T) {
		// No listener can be had by prctl: the call of nobody's listener is ENOSYS.
		denied(t, "listener prctl PATH", 0, "seccomp = 0\nmkdir = -ENOSYS\n")
	})
}

// TestOwnFilter: filters of the tracee's own over a denied call. Where one
// outranks ours it restricts more, never less.
func TestOwnFilter(t *testing.T) {
	for _, c := range []struct {
		name, action string
		status       int
		result       string
	}{
		{"trace with data of its own", "0x7ff00063", 0, "mkdir = -EACCES\n"},
		{"trace with our data", "0x7ff00ca1", 0, "mkdir = -EACCES\n"},
		{"allow", "0x7fff0000", 0, "mkdir = -EACCES\n"},
		{"log", "0x7ffc0000", 0, "mkdir = -EACCES\n"},
		{"errno", "0x00050007", 0, "mkdir = -E2BIG\n"},
		{"signal", "0x00030005", 0, "SIGSYS 31: call 83, code 1, errno 5\nmkdir = 77\n"},
		{"kill process", "0x80000000", 159, ""},
		{"kill thread", "0x00000000", 159, ""},
	} {
		t.Run(c.name, func(t *testing.T) { denied(t, "own-filter "+c.action+" PATH", c.status, "install = 0\n"+c.result) })
	}
}

// TestOwnTraceOverAllowed: without a tracer, RET_TRACE is ENOSYS. So it is for a
// call that callgate does not trace itself.
func TestOwnTraceOverAllowed(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\nsyscalls:\n  - deny: rmdir\n"
	dir := openFolder(t)
	got := trial{policy: policy, dir: dir}.run(t, traceeCommand("own-filter 0x7ff00063 PATH")(t, dir)...)
	got.want(t, 0, "install = 0\nmkdir = -ENOSYS\n")
}

// TestLastErrno: the greatest errno that there is, MAX_ERRNO of linux/err.h, is
// what the program sees, whoever answers.
func TestLastErrno(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\nsyscalls:\n  - deny: rmdir\n    errno: 4095\n"
	for _, quiet := range []bool{false, true} {
		trial{policy: policy, quiet: quiet}.run(t, traceeCommand("native 84 s:/nonexistent")(t, t.TempDir())...).want(t, 0, "native 84 = -errno 4095\n")
	}
}

// TestDifferences holds the few differences from a bare run that are known and
// documented (docs/attacks.md): none lets anything through.
func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		line   string
		status int
		stdout string
	}{
		// The number that has the filter kill a process for the supervisor.
		{"native 0x3ffffff0", 159, ""},
		// clone3 becomes clone, whose flags are in registers.
		{"clone3-only", 0, "set_tid: -ENOSYS\ninto cgroup: -ENOSYS\nclear signals: -ENOSYS\n"},
		// The kernel does not mix strict mode and filters.
		{"strict PATH", 0, "strict = -EINVAL\nmkdir = 0\n"},
		// A RET_TRACE of the tracee's own that looks like ours is taken as ours.
		{"own-filter 0x7ff00ca1 PATH", 0, "install = 0\nmkdir = 0\n"},
	} {
		t.Run(c.line, func(t *testing.T) {
			dir := openFolder(t)
			got := trial{policy: traceAll, flags: []string{"--quiet"}, dir: dir}.run(t, traceeCommand(c.line)(t, dir)...)
			got.want(t, c.status, c.stdout)
		})
	}
}

// TestFiltersInOrder: one that forbids seccomp(2) is installed behind the others.
func TestFiltersInOrder(t *testing.T) {
	const policy = `callgate: 1
default: deny
syscalls:
  - allow: ["@system-service"]
`
	trial{policy: policy, flags: []string{"--quiet"}}.run(t, "/bin/true").want(t, 0, "")
}
