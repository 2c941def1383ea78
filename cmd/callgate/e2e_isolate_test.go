package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// isolated runs a command with namespaces of its own, under a policy's text.
func isolated(t *testing.T, what, policy, dir string, argv ...string) outcome {
	t.Helper()
	return trial{policy: policy, quiet: true, flags: []string{"--isolate", what}, dir: dir}.run(t, argv...)
}

// needNamespaces ends a test where namespaces cannot be had.
func needNamespaces(t *testing.T) {
	t.Helper()
	if why := mayUnshare(); why != "" {
		lacking(t, "namespaces: "+why)
	}
}

var mayUnshare = sync.OnceValue(func() string {
	flags := "-mnipf"
	if os.Getuid() != 0 {
		flags = "-Urmnipf"
	}
	out, err := exec.Command("unshare", flags, "--mount-proc", "true").CombinedOutput()
	if err != nil {
		return firstLine(string(out))
	}
	return ""
})

const openPolicy = "callgate: 1\ndefault: allow\nsyscalls: []\ncompat: {i386: same, x32: same}\n"

// TestIsolateNamespaces: each word gives what it says, and no more.
func TestIsolateNamespaces(t *testing.T) {
	needNamespaces(t)
	spaces := map[string]string{"pid": "pid", "net": "net", "ipc": "ipc", "mount": "mnt", "uts": "uts", "cgroup": "cgroup"}
	for _, what := range []string{"pid", "net", "ipc", "mount", "uts", "cgroup", "net,ipc", "all"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for word, space := range spaces {
				outside, err := os.Readlink("/proc/self/ns/" + space)
				if err != nil {
					t.Fatal(err)
				}
				got := isolated(t, what, openPolicy, "", "readlink", "/proc/self/ns/"+space)
				want := what == "all" || strings.Contains(","+what+",", ","+word+",") || word == "mount" && what == "pid"
				if own := strings.TrimSpace(got.stdout) != outside; got.status != 0 || own != want {
					t.Errorf("%s of its own: %v, want %v\n%v", space, own, want, got)
				}
			}
		})
	}
}

// TestIsolateByPolicy: a policy can ask for it, and a mistake is told.
func TestIsolateByPolicy(t *testing.T) {
	needNamespaces(t)
	for text, want := range map[string]string{"pid": "2\n", "[net, pid]": "2\n", "all": "2\n"} {
		trial{policy: openPolicy + "isolate: " + text + "\n", quiet: true}.run(t, "sh", "-c", "echo $$").want(t, 0, want)
	}
	trial{policy: openPolicy + "isolate: [pids]\n", quiet: true}.run(t, "true").fails(t, `unknown isolation "pids"; did you mean "pid"?`)
	isolated(t, "pids", openPolicy, "", "true").fails(t, `unknown isolation "pids"`)
	file := filepath.Join(openFolder(t), "p.yaml")
	writeFile(t, file, openPolicy+"isolate: [mount, pid]\n")
	if out, err := exec.Command("callgate", "check", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "  isolates          pid, mount\n") {
		t.Errorf("check: %v, %s", err, out)
	}
}

// TestIsolatePid: the sandbox sees and reaches its own processes alone; what loses
// its parent is reaped; ends and signals are as ever.
func TestIsolatePid(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	run := func(argv ...string) outcome { return isolated(t, "pid", openPolicy, "", argv...) }
	run("sh", "-c", "echo $$ $PPID; cd /proc; echo [0-9]*").want(t, 0, "2 1\n1 2\n")
	// Signal 0 reaches a zombie too.
	run("bash", "-c", "p=$(sh -c 'sleep 0.1 >&- & echo $!'); while kill -0 $p 2>&-; do sleep 0.02; done; echo reaped").want(t, 0, "reaped\n")
	run(tracee(t), "orphans").want(t, 0, "orphans' pipe: 0\n")
	run(tracee(t), "processes", "300").want(t, 0, "300 processes, 0 wrong, statuses as given\n")
	run(traceeCommand("daemon PATH")(t, openFolder(t))...).want(t, 5, "daemon's mkdir = 0, new session 1\nparent ends\n")
	for _, sig := range []string{"TERM", "INT", "KILL", "SEGV"} {
		want := map[string]int{"TERM": 143, "INT": 130, "KILL": 137, "SEGV": 139}[sig]
		run("sh", "-c", "kill -"+sig+" $$").want(t, want, "")
	}
	run("sh", "-c", "kill -9 1; kill -TERM 1; kill -9 -1; echo still here").want(t, 0, "still here\n")
	run("sh", "-c", fmt.Sprintf("kill -0 %d || echo no such process", os.Getpid())).want(t, 0, "no such process\n")
	got := run("prlimit", "--pid", "2", "--nofile")
	if got.status != 0 {
		t.Errorf("its own number: %v", got)
	}
}

// TestIsolatePidSignals: what is sent to callgate reaches the command, and what
// kills callgate ends the sandbox, process 1 too.
func TestIsolatePidSignals(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
		defer cancel()
		r := trial{policy: openPolicy, quiet: true, flags: []string{"--isolate", "all"}}.prepare(t, ctx, "/bin/sh", "-c", "sleep 1000 & echo ready; exec sleep 1000")
		out, err := r.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewReader(out).ReadString('\n')
		r.cmd.Process.Signal(sig)
		r.cmd.Wait()
		if got := statusOf(r.cmd.ProcessState); got != 128+int(sig) {
			t.Errorf("%v: status %d", sig, got)
		}
		waitFor(t, "the end of all", func() bool { return len(r.left()) == 0 }, func() string { return fmt.Sprint(r.left()) })
	}
}

// TestIsolateStopped: a stop of the whole process group, process 1 included, is a
// stop and no more.
func TestIsolateStopped(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	r := trial{policy: openPolicy, quiet: true, flags: []string{"--isolate", "all"}}.prepare(t, ctx, "bash", "-c", "echo ready; read; echo end")
	in, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	out.ReadString('\n')
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(-r.cmd.Process.Pid, sig); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	in.Write([]byte("\n"))
	line, err := out.ReadString('\n')
	r.cmd.Wait()
	if got := statusOf(r.cmd.ProcessState); got != 0 || line != "end\n" {
		t.Errorf("status %d, %q, %v", got, line, err)
	}
}

// TestIsolateKilled: SIGKILL of callgate at any moment leaves nothing, process 1
// included, whose environment an ordinary user cannot look into.
func TestIsolateKilled(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	for i := range 20 {
		token := rand.Text()
		cmd := exec.Command("callgate", "run", "-q", "-p", traceAll, "--isolate", "all", "--", "sh", "-c", "sleep 1000 & sleep 1000", token)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		left := func() (found []string) {
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, name := range lines {
				if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), token) {
					found = append(found, name)
				}
			}
			return found
		}
		waitFor(t, "the end of all", func() bool { return len(left()) == 0 }, func() string { return fmt.Sprint(left()) })
	}
}

// TestIsolateNet: there is a loopback, and nothing else.
func TestIsolateNet(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	const script = `import socket
s = socket.create_server(("127.0.0.1", 0))
socket.create_connection(s.getsockname())
print("loopback")
print(socket.if_nameindex())
try:
    socket.create_connection(("192.0.2.1", 9), 5)
except OSError as e:
    print(e.strerror)`
	isolated(t, "net", openPolicy, "", "/usr/bin/python3", "-c", script).want(t, 0, "loopback\n[(1, 'lo')]\nNetwork is unreachable\n")
}

// TestIsolateMount: the system can be read, and only what a policy names, and
// what is the sandbox's own, be written.
func TestIsolateMount(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	dir := openFolder(t)
	for _, sub := range []string{"w", "r"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	files := "callgate: 1\ndefault: allow\nfiles: [{read: [/usr, /etc, /bin, /lib, /lib64, /proc, " + dir + "]}, {write: [" + dir + "/w, /dev]}, {deny: /}]\n"
	run := func(policy, script string) outcome { return isolated(t, "mount", policy, dir, "sh", "-c", script) }
	run(files, "echo a >w/a && mkdir w/b && cat w/a; echo b >r/b").want(t, 2, "a\n")
	if !exists(dir+"/w/a") || exists(dir+"/r/b") {
		t.Error("what was to be written is not there, or what was not is")
	}
	// Without a section files nothing is named.
	got := run(openPolicy, "echo b >r/b; echo b >w/b2; echo c >"+os.Getenv("HOME")+"/c; true >/usr/x; ls r w")
	if got.status != 0 || got.stdout != "r:\n\nw:\na\nb\n" || !strings.Contains(got.stderr, "Read-only file system") {
		t.Errorf("without a section files: %v", got)
	}
	network := "callgate: 1\ndefault: allow\nnetwork: [{connect: '*'}]\n"
	if got := run(network, "echo b >r/b; echo b >w/b2; ls r w"); got.status != 0 || got.stdout != "r:\n\nw:\na\nb\n" {
		t.Errorf("with a section network alone: %v", got)
	}
	// /tmp, and what is in it of others' and of one's own.
	witness := filepath.Join("/tmp", filepath.Base(dir)+"-witness")
	writeFile(t, witness, "outside")
	defer os.Remove(witness)
	for _, policy := range []string{strings.Replace(files, "/w, /dev", "/w, /dev, /tmp", 1), openPolicy} {
		run(policy, "cat "+witness+"; echo inside >"+witness+" && cat "+witness).want(t, 0, "inside\n")
		run(policy, "echo x >/dev/shm/x && cat /dev/shm/x; echo y >/dev/null").want(t, 0, "x\n")
	}
	if text, _ := os.ReadFile(witness); string(text) != "outside" || exists("/dev/shm/x") {
		t.Error("the sandbox has written outside")
	}
	run(openPolicy, "test -c /dev/null && test -c /dev/urandom && head -c 1 /dev/zero | wc -c").want(t, 0, "1\n")
	if os.Getuid() == 0 {
		run(openPolicy, "cd /dev; echo *").want(t, 0, "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n")
	}
	// A terminal of its own has a name there.
	own := trial{policy: openPolicy, quiet: true, flags: []string{"--isolate", "all", "--pty"}}.run(t, "tty")
	if !strings.HasPrefix(own.stdout, "/dev/") || own.status != 0 {
		t.Errorf("tty: %v", own)
	}
	// A TMPDIR of the run's own is there.
	tmp := trial{policy: openPolicy, quiet: true, flags: []string{"--isolate", "mount", "--private-tmp"}}.run(t, "sh", "-c", "echo x >$TMPDIR/x && cat $TMPDIR/x")
	tmp.want(t, 0, "x\n")
}

// TestIsolateNames: rules on files and programs are about names as the command
// sees them: in a /tmp and a /proc of its own, and through links there.
func TestIsolateNames(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	const policy = `callgate: 1
default: allow
files:
  - deny: [/tmp/secret, /proc/self/maps, /etc/hostname]
  - write: /
exec:
  - deny: [/usr/bin/env, /tmp/denied]
  - allow: /
`
	run := func(script string) outcome { return isolated(t, "all", policy, "", "bash", "-c", script) }
	const eacces = "Permission denied"
	for _, script := range []string{
		"echo x >/tmp/secret",
		"mkdir /tmp/a; ln -s ../secret /tmp/a/link; echo x >/tmp/a/link",
		"cd /tmp; echo x >./secret",
		"cd /; echo x >tmp//secret",
		"exec 3</tmp; echo x >/proc/self/fd/3/secret",
		"echo x >/proc/$$/root/tmp/secret",
		"echo x >/proc/$$/cwd/../../../../../../../tmp/secret",
		"cat /proc/self/maps",
		"cat /proc/$$/maps",
		"ln -s /etc /tmp/etc; cat /tmp/etc/hostname",
		"ln -s /etc/hostname /tmp/name; cat /tmp/name",
		"cat /proc/self/root/etc/hostname",
		"cp /bin/true /tmp/denied; /tmp/denied",
		"printf '#!/usr/bin/env sh\necho ran\n' >/tmp/script; chmod +x /tmp/script; /tmp/script",
		"ln -s /usr/bin/env /tmp/env; /tmp/env true",
	} {
		// /proc/PID/maps is denied as /proc/self is to its own process alone.
		if got := run(script + "; ls /tmp/secret 2>&-"); got.stdout != "" && !strings.Contains(script, "$$/maps") || !strings.Contains(got.stderr, eacces) && !strings.Contains(script, "$$/maps") {
			t.Errorf("%s: %v", script, got)
		}
	}
	run("echo x >/tmp/other && cat /tmp/other; cd /tmp && echo y >z && cat /proc/self/cwd/z; cat /proc/self/comm; readlink /proc/self/exe").
		want(t, 0, "x\ny\ncat\n"+readlink(t, "/usr/bin/readlink")+"\n")
}

func readlink(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestIsolateTools: what bubblewrap is used for runs so as well.
func TestIsolateTools(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	dir := openFolder(t)
	writeFile(t, filepath.Join(dir, "x.c"), "#include <stdio.h>\nint main(void) { puts(\"built\"); }\n")
	for policy, line := range map[string]string{
		"builtin:default": "git init -q repo && cd repo && echo a >a && git add a && git -c user.name=a -c user.email=a@a commit -qm a && git log --format=%s",
		"builtin:build":   "gcc -o x x.c && ./x",
		"builtin:ci":      `/usr/bin/python3 -c 'import multiprocessing; print(multiprocessing.Pool(2).map(abs, [-1, 2]))'; node -e 'console.log(process.pid > 1)'`,
	} {
		want := map[string]string{"builtin:default": "a\n", "builtin:build": "built\n", "builtin:ci": "[1, 2]\ntrue\n"}[policy]
		trial{policy: policy, quiet: true, flags: []string{"--isolate", "all"}, dir: dir, env: []string{"HOME=" + dir}}.run(t, "bash", "-c", line).want(t, 0, want)
	}
}

// TestIsolateCorners: what is hard to trace is so in a pid namespace as well.
func TestIsolateCorners(t *testing.T) {
	needNamespaces(t)
	for _, policy := range cornerPolicies {
		for _, line := range []string{"stop-group", "fork-stop 30", "die-stopped 30", "exec-stopped 20", "exec-thread /bin/echo x", "leader-stop", "vfork-exit", "waits-stopped", "kill-forker 50"} {
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				bare := trial{bare: true}.run(t, traceeCommand(line)(t, "")...)
				compare(t, bare, isolated(t, "all", policy, "", traceeCommand(line)(t, "")...), "", "")
			})
		}
	}
}
