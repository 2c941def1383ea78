package main

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// victim is a process beside the sandbox, of the same user, whose memory says
// "calm" as long as nobody has changed it.
type victim struct {
	pid, address string
	stdin        io.WriteCloser
	out          *bufio.Reader
	cmd          *exec.Cmd
}

func startVictim(t *testing.T, user bool) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command(tracee(t), "victim")}
	v.cmd.SysProcAttr = asUser(user)
	var err error
	if v.stdin, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.cmd.Process.Kill(); v.cmd.Wait() })
	v.out = bufio.NewReader(out)
	if _, err := fmt.Fscan(v.out, &v.pid, &v.address); err != nil {
		t.Fatal(err)
	}
	return v
}

// check ends the victim and fails the test if it is not as it was.
func (v *victim) check(t *testing.T) {
	t.Helper()
	v.stdin.Close()
	rest, _ := io.ReadAll(v.out)
	err := v.cmd.Wait()
	if strings.TrimSpace(string(rest)) != "calm" || err != nil {
		t.Errorf("the victim says %q and ends with %v", rest, err)
	}
}

// TestReach: no process beside the sandbox can be touched, nor callgate itself,
// under any policy that restricts.
func TestReach(t *testing.T) {
	for what, succeeded := range map[string][]string{
		"ptrace":  {"seize = 0", "attach = 0", "poke = 0"},
		"memory":  {"writev = 7", "readv = 7", "write mem = 7"},
		"files":   {"getfd = copied", "kcmp = 0"},
		"signals": {"kill = 0", "tkill = 0", "tgkill = 0", "queueinfo = 0", "send_signal = 0"},
	} {
		for _, user := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, user %v", what, user), func(t *testing.T) {
				v := startVictim(t, user)
				tr := trial{policy: denyMkdir, user: user}
				mustFail(t, succeeded, tr.run(t, tracee(t), "reach", what, v.pid, v.address))
				v.check(t)
				// pid 0 stands for the parent: callgate
				mustFail(t, succeeded, tr.run(t, tracee(t), "reach", what, "0", "0x10000"))
			})
		}
	}
}

func mustFail(t *testing.T, succeeded []string, got outcome) {
	t.Helper()
	if got.status != 0 || got.stdout == "" {
		t.Errorf("got %v", got)
	}
	for _, line := range strings.Split(got.stdout, "\n") {
		for _, bad := range succeeded {
			if strings.HasSuffix(line, bad) {
				t.Errorf("reached outside: %s", line)
			}
		}
	}
}

// TestReachSibling: within the sandbox nobody becomes another's tracer. Memory
// can be written, as between any processes of a user; no verdict rests on it, and
// a denied call stays denied.
func TestReachSibling(t *testing.T) {
	got := denied(t, "reach-sibling PATH", 0, sibling)
	if n := len(got.calls("mkdir")); n != 1 {
		t.Errorf("%d denials of mkdir, want 1", n)
	}
}

const sibling = `seize = -EPERM
attach = -EPERM
process_vm_writev = 7
process_vm_readv = 7
open mem = opened
write mem = 7
child's memory: harmed
child's mkdir = -EACCES
child: exit 0
`

// TestTraceme: a tracee cannot take its parent for a tracer.
func TestTraceme(t *testing.T) {
	denied(t, "traceme PATH", 0, "traceme = -EPERM\nmkdir = -EACCES\n")
}

// TestIOUring: a ring makes calls that no filter sees.
func TestIOUring(t *testing.T) {
	got := trial{policy: denyMkdir}.run(t, tracee(t), "io-uring")
	got.want(t, 0, "io_uring_setup = -ENOSYS\nint80 io_uring_setup = -ENOSYS\n")
}

// TestTIOCSTI: nobody types into the caller's terminal, whatever the half of the
// request that the kernel does not look at says.
func TestTIOCSTI(t *testing.T) {
	got := trial{policy: denyMkdir}.run(t, lookPath(t, "script"), "-qec", tracee(t)+" type x", "/dev/null")
	for _, l := range []string{"TIOCSTI = -E", "TIOCSTI with a high half = -E", "int80 TIOCSTI = -E"} {
		if !strings.Contains(got.stdout, l) {
			t.Errorf("want %q in %v", l, got)
		}
	}
}
