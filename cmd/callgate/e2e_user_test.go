package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeys: a command has the keys of its caller's session, but none of root's where it is
// another user's.
func TestKeys(t *testing.T) {
	runtime.LockOSThread() // for good: the thread, whose keyring it is, ends with the test
	const key = "callgate-test"
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil {
		lacking(t, "keys (keyrings(7)): "+err.Error())
	}
	if _, err := unix.AddKey("user", key, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Fatal(err)
	}
	tracee(t) // has callgate be for all to execute
	kept := []trial{{}}
	if os.Getuid() == 0 {
		kept = append(kept, trial{user: true}, trial{flags: []string{"--isolate", "all"}})
	}
	for _, tr := range kept {
		tr.policy = traceAll
		if got := tr.run(t, "cat", "/proc/keys"); !strings.Contains(got.stdout, key) {
			t.Errorf("%v: its caller's keys are not there: %v", tr, got)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	for _, flags := range [][]string{{}, {"--pty"}, {"--isolate", "all"}, {"--linger"}} {
		tr := trial{policy: traceAll, flags: append(flags, "--user", "nobody")}
		if got := tr.run(t, "cat", "/proc/keys"); got.status != 0 || strings.Contains(got.stdout, key) || !strings.Contains(got.stdout, "_ses") {
			t.Errorf("%q: root's keys: %v", flags, got)
		}
	}
}

// asUser makes a process an ordinary user's where the tests run as root.
func asUser(user bool) *syscall.SysProcAttr {
	if !user || os.Getuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// An ordinary user's tracer cannot read the memory of a tracee that is not
// dumpable. Rules on numbers and integers hold as ever; what needs the memory is
// denied, and says why.
const undumpablePolicy = `callgate: 1
default: allow
compat: {i386: same, x32: same}
syscalls:
  - deny: mkdir
    errno: EACCES
  - deny: socket
    args: { family: AF_INET }
`

// TestUndumpable: a tracee that clears its dumpable flag.
func TestUndumpable(t *testing.T) {
	dir := openFolder(t)
	got := trial{policy: undumpablePolicy, user: true, dir: dir}.run(t, traceeCommand("undumpable PATH")(t, dir)...)
	got.want(t, 0, "prctl = 0\nmkdir = -EACCES\ngetpid = pid\nsocketcall(socket) = -ENOSYS\nchild: exit 2\n")
	if exists(filepath.Join(dir, "new")) {
		t.Error("the denied folder is there")
	}
	checkUnreadable(t, got)
}

// TestExecuteOnly: a program that its user may execute and not read, which makes
// it undumpable from its first instruction (fs/exec.c, would_dump).
func TestExecuteOnly(t *testing.T) {
	dir := openFolder(t)
	program := filepath.Join(dir, "secret")
	text, err := os.ReadFile(tracee(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	// Root's file is another's for the user that root becomes; an ordinary
	// user's own may be executed and not read as well.
	mode := os.FileMode(0o711)
	if os.Getuid() != 0 {
		mode = 0o111
	}
	if err := os.Chmod(program, mode); err != nil {
		t.Fatal(err)
	}
	tr := trial{policy: undumpablePolicy, user: true, dir: dir}
	path := filepath.Join(dir, "new")
	tr.run(t, program, "native", "83", "s:"+path, "0700").want(t, 0, "native 83 = -EACCES\n")
	got := tr.run(t, program, "int80", "102", "1", "w:1,1,0")
	got.want(t, 0, "int80 102 = -ENOSYS\n")
	checkUnreadable(t, got)
	tr.run(t, program, "native", "41", "2", "1", "0").want(t, 0, "native 41 = -EPERM\n")
	tr.run(t, program, "threads", "16", "100").want(t, 0, "16 threads, 0 wrong answers\n")
	tr.run(t, program, "processes", "100").want(t, 0, "100 processes, 0 wrong, statuses as given\n")
	tr.run(t, program, "exit", "7").want(t, 7, "")
	if exists(path) {
		t.Error("the denied folder is there")
	}
	for _, policy := range []string{traceAll, "builtin:default"} {
		trial{policy: policy, user: true, dir: dir, flags: []string{"--quiet"}}.
			run(t, program, "native", "39").want(t, 0, "native 39 = pid\n")
	}
}

// checkUnreadable wants a denied socketcall that names the memory as the reason.
func checkUnreadable(t *testing.T, got outcome) {
	t.Helper()
	for _, e := range got.calls("") {
		if e.ABI == "i386" && e.Verdict == "deny" && strings.Contains(e.Reason, "memory") {
			return
		}
	}
	t.Errorf("no denial says that the memory cannot be read: %q\n%v", describe(got.calls("")), got)
}

// TestHomeless is a user whom the list of users does not have, without HOME: what
// builtin:default hides is nowhere, which is told in one line. With HOME, or by
// --user, it runs.
func TestHomeless(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "to be a user whom the list does not have takes root")
	}
	dir, err := os.MkdirTemp("", "callgate-homeless")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const uid = 54321
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(dir, uid, uid)); err != nil {
		t.Fatal(err)
	}
	tracee(t) // has callgate be for all to execute
	run := func(uid uint32, env []string, args ...string) (string, int) {
		cmd := exec.Command("callgate", append([]string{"run", "-p", "builtin:default"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(env, "PATH="+os.Getenv("PATH"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	said, status := run(uid, nil, "--", "id", "-u")
	if status != 125 || strings.Count(said, "the home folder is unknown") != 1 || !strings.Contains(said, "set HOME") || len(said) > 400 {
		t.Errorf("without HOME: %d, %s", status, said)
	}
	for _, env := range [][]string{{"HOME=/nonexistent"}, {"HOME=" + dir}} {
		if said, status := run(uid, env, "--", "id", "-u"); status != 0 || said != "54321\n" {
			t.Errorf("with %s: %d, %s", env, status, said)
		}
	}
	if said, status := run(0, nil, "--user", "54321:54321", "--", "sh", "-c", "id -u; echo $HOME"); status != 0 || said != "54321\n/nonexistent\n" {
		t.Errorf("by --user: %d, %s", status, said)
	}
}

// TestClosedFolder: where the working folder, or what is above it, is closed to the user, what is said
// tells what to do.
func TestClosedFolder(t *testing.T) {
	t.Parallel()
	tracee(t) // has callgate be for all to execute
	for script, want := range map[string]string{
		"mkdir -p a/b; cd a/b; chmod 0 ..; callgate run true; s=$?; cd /; chmod 700 $OLDPWD/..; exit $s": "callgate: no policy is named with -p, and none can be looked for: lstat ",
		"mkdir a; cd a; chmod 0 .; callgate run -p builtin:ci true; s=$?; chmod 700 .; exit $s":          "callgate: the current folder cannot be told, since it is not there any more or may not be looked at (permission denied): cd to another\n",
	} {
		got := trial{bare: true, user: true}.run(t, "sh", "-c", script)
		if got.status != 125 || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%s: %v", script, got)
		}
	}
}
