package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ways are how a command has a terminal: its caller's, or one of its own.
var ways = map[string]string{"shared": "callgate run -q", "own": "callgate run -q --pty"}

// onScreens runs a session in each way, side by side.
func onScreens(t *testing.T, session func(t *testing.T, s *screen, run string)) {
	t.Helper()
	for name, run := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScreen(t)
			s.typed("cd " + openFolder(t) + "\n")
			s.expect("ready> ")
			session(t, s, run)
		})
	}
}

// line types one and waits for what it shows.
func (s *screen) line(text, want string) string {
	s.t.Helper()
	s.typed(text + "\n")
	return s.expect(want)
}

// status ends a session's command: what the shell says of it.
func (s *screen) status(want int) {
	s.t.Helper()
	s.expect("ready> ")
	s.line("echo status $?.", fmt.Sprintf("status %d.\r\n", want))
	s.line("stty -a", "icanon") // not -icanon: the terminal is as it was
	if seen := s.expect("ready> "); strings.Contains(seen, "-icanon") || strings.Contains(seen, "-echo ") {
		s.t.Errorf("the terminal is left as %q", seen)
	}
}

func TestTerminalShell(t *testing.T) {
	onScreens(t, func(t *testing.T, s *screen, run string) {
		s.line("PS1= "+run+" -p builtin:trace-all -- bash --norc --noprofile --noediting -i", "")
		s.line("PS1='in''ner> '", "inner> ")
		s.line("sh -c 'echo u''p; exec sleep 100'", "up\r\n")
		s.typed(ctrlC)
		s.expect("inner> ")
		s.line("echo $?.", "130.\r\n")
		s.line("sh -c 'echo u''p; exec sleep 100'", "up\r\n")
		s.stopped()
		s.expect("inner> ")
		s.line("bg", "&")
		s.line("jobs", "Running")
		s.line("fg", "sleep 100")
		s.stopped()
		s.line(`kill %1; while [ "$(jobs | grep Stopped)" ]; do sleep 0.05; done; echo all go""ne`, "all gone")
		s.line("exit 7", "")
		s.status(7)
	})
}

func TestTerminalEditor(t *testing.T) {
	onScreens(t, func(t *testing.T, s *screen, run string) {
		s.typed("TERM=xterm " + run + " -- vi -u NONE -i NONE text\n")
		s.expect("~")
		s.typed("ifirst\rsecond\x1b")
		s.expect("second")
		s.typed(":wq\r")
		s.status(0)
		s.line("cat text", "first\r\nsecond\r\n")
	})
}

func TestTerminalPager(t *testing.T) {
	onScreens(t, func(t *testing.T, s *screen, run string) {
		s.line("seq 1000 >numbers", "ready> ")
		s.typed("TERM=xterm LESSHISTFILE=- " + run + " -- less numbers\n")
		s.expect("23")
		s.typed("G")
		s.expect("1000")
		s.typed("q")
		s.status(0)
	})
}

// TestTerminalPassword: what is typed at such a prompt is not shown.
func TestTerminalPassword(t *testing.T) {
	prompts := []string{
		`bash -c 'read -rsp "secr""et? " x; echo; echo got ${#x} $(stty -a | grep -c -- " echo ")'`,
		`/usr/bin/python3 -c 'import getpass; x = getpass.getpass("secr" "et? "); print("got", len(x), 1)'`,
	}
	onScreens(t, func(t *testing.T, s *screen, run string) {
		for _, prompt := range prompts {
			s.line(run+" -- "+prompt, "secret? ")
			s.typed("open sesame\n")
			if seen := s.expect("got 11 1"); strings.Contains(seen, "sesame") {
				t.Errorf("the password is shown: %q", seen)
			}
			s.status(0)
		}
	})
}

// TestTerminalSize: the window's size reaches the command, and so does its change.
func TestTerminalSize(t *testing.T) {
	onScreens(t, func(t *testing.T, s *screen, run string) {
		s.size(t, 30, 100)
		s.line(run+` -- bash -c 'trap "stty size; exit 3" WINCH; stty size; while :; do sleep 0.05; done'`, "30 100\r\n")
		s.size(t, 41, 77)
		s.expect("41 77\r\n")
		s.status(3)
	})
}

func (s *screen) size(t *testing.T, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(s.file.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}

// TestOwnTerminal: the command is in a session of its own, whose terminal is not
// the caller's; Ctrl-C reaches it through that.
func TestOwnTerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	s.line(`callgate run -q --pty -p builtin:trace-all -- sh -c 'tty; test "$(tty)" != '$(tty)' && test $(ps -o sid= $$) = $$ && echo ap""art; exec sleep 100'`, "apart\r\n")
	s.typed(ctrlC)
	s.status(130)

	// What callgate says meanwhile are lines of their own.
	s.line("callgate run --pty -p builtin:compute -- mkdir /new-folder", "callgate: denied mkdir")
	if seen := s.expect("ready> "); strings.Contains(strings.ReplaceAll(seen, "\r\n", ""), "\n") {
		t.Errorf("a line does not begin at the left: %q", seen)
	}
	// A signal to callgate is one to the command, though callgate is in the foreground.
	for _, sig := range []string{"INT", "QUIT", "TERM", "HUP"} {
		s.line("callgate run -q --pty -p builtin:trace-all -- sh -c 'trap \"echo caught; exit 9\" "+sig+"; kill -"+sig+" $PPID; while :; do sleep 0.05; done'", "caught")
		s.status(9)
	}
	// Job control of the caller's: in the background it goes on, and is typed to again
	// in the foreground.
	s.line("callgate run -q --pty -p builtin:trace-all -- cat &", "ready> ")
	s.line("fg", "callgate run")
	waitFor(t, "raw mode", func() bool {
		settings, err := unix.IoctlGetTermios(int(s.file.Fd()), unix.TCGETS)
		return err == nil && settings.Lflag&unix.ICANON == 0
	}, func() string { return "" })
	s.line("typed", "typed\r\ntyped\r\n")
	s.typed("\x04")
	s.status(0)
}

// TestOwnTerminalPipes: with --pty the caller's side need not be a terminal. All
// that was written is there at the end.
func TestOwnTerminalPipes(t *testing.T) {
	t.Parallel()
	run := func(stdin string, argv ...string) outcome {
		return trial{policy: traceAll, quiet: true, flags: []string{"--pty"}, stdin: stdin}.run(t, argv...)
	}
	run("a\nb\n", "cat").want(t, 0, "a\r\nb\r\n")
	run("no end", "cat").want(t, 0, "no end")
	run("", "cat").want(t, 0, "")
	run("", "stty", "size").want(t, 0, "24 80\r\n")
	run("", "sh", "-c", "echo out; echo err >&2; exit 4").want(t, 4, "out\r\nerr\r\n")
	run("", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && : >/dev/tty").want(t, 0, "")
	run("", "sh", "-c", "kill -9 $$").want(t, 137, "")
	run("", "/usr/bin/python3", "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))").want(t, 0, "['0', '1', '2', '3']\r\n") // 3 is the folder
	for range 5 {
		got := run("", "seq", "30000")
		if lines := strings.Count(got.stdout, "\r\n"); lines != 30000 {
			t.Fatalf("%d of 30000 lines: %v", lines, got)
		}
	}
	trial{policy: traceAll, quiet: true, flags: []string{"--pty", "--output", "1MiB"}}.run(t, "true").fails(t, "--pty does not go with a limit on output")
	got := run("", "/no/such/program")
	got.want(t, 127, "")
}

// TestOwnTerminalReaderGone: a reader that goes away hangs the terminal up.
func TestOwnTerminalReaderGone(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("bash", "-c", "callgate run -q --pty -p builtin:trace-all -- yes | head -1; echo ${PIPESTATUS[0]}").CombinedOutput()
	if err != nil || string(out) != "y\n129\n" && string(out) != "y\r\n129\n" {
		t.Errorf("%v, %q", err, out)
	}
}

// TestTerminalKin: nobody types into the caller's terminal, nor changes what its
// keys mean, whatever the half of the request and the entry.
func TestTerminalKin(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\nsyscalls: [{deny: acct}]\ncompat: {i386: same, x32: same}\n"
	for name, request := range map[string]uint64{"TIOCSTI": unix.TIOCSTI, "TIOCLINUX": unix.TIOCLINUX, "KDSKBENT": 0x4b47,
		"KDSKBSENT": 0x4b49, "KDSKBDIACR": 0x4b4b, "KDSKBDIACRUC": 0x4bfb, "KDSETKEYCODE": 0x4b4d} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, high := range []uint64{0, 1 << 32, 0xffffffff << 32} {
				got := trial{policy: policy}.run(t, tracee(t), "native", "16", "0", fmt.Sprint(request|high), "8")
				got.want(t, 0, "native 16 = -EPERM\n")
			}
			trial{policy: policy}.run(t, tracee(t), "int80", "54", "0", fmt.Sprint(request), "8").want(t, 0, "int80 54 = -EPERM\n")
			got := trial{policy: policy}.run(t, tracee(t), "x32", "514", "0", fmt.Sprint(request), "8")
			if !strings.Contains(got.stdout, "-EPERM") && !strings.Contains(got.stdout, "-ENOSYS") {
				t.Errorf("x32: %v", got)
			}
		})
	}
}

// TestRoom: what each flag makes of the command's surroundings.
func TestRoom(t *testing.T) {
	dir := openFolder(t)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "sub", "go"), "#!/bin/sh\necho here\n")
	if err := os.Chmod(filepath.Join(dir, "sub", "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(flags []string, argv ...string) outcome {
		return trial{policy: traceAll, quiet: true, flags: flags, dir: dir, env: []string{"SECRET=x", "PWD=" + dir, "TMPDIR=" + dir}}.run(t, argv...)
	}
	sub := filepath.Join(dir, "sub")
	run([]string{"--workdir", "sub"}, "sh", "-c", "pwd -P; echo $PWD; ./go").want(t, 0, sub+"\n"+sub+"\nhere\n")
	run([]string{"-C", sub}, "./go").want(t, 0, "here\n")
	run([]string{"--workdir", "none"}, "true").fails(t, "--workdir none: no such file or directory")
	run([]string{"--workdir", "sub/go"}, "true").fails(t, "--workdir sub/go: not a directory")
	run([]string{"--clear-env"}, "env").want(t, 0, "")
	run([]string{"--clear-env", "--setenv", "A=1", "--setenv", "SECRET", "--setenv", "A=2=3"}, "env").want(t, 0, "SECRET=x\nA=2=3\n")
	run([]string{"--setenv", "NOT_THERE"}, "true").fails(t, "--setenv NOT_THERE: callgate's environment does not have it")
	run([]string{"--setenv", "=x"}, "true").fails(t, "a variable needs a name")
	run([]string{"--umask", "027"}, "sh", "-c", "umask").want(t, 0, "0027\n")
	run([]string{"--umask", "0"}, "sh", "-c", "umask").want(t, 0, "0000\n")
	run([]string{"--umask", "8"}, "true").fails(t, "--umask 8: not an octal number up to 777")
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 less the niceness, as the kernel has it
	if err != nil {
		t.Fatal(err)
	}
	run([]string{"--nice", "7"}, "nice").want(t, 0, itoa(min(20-now+7, 19))+"\n")
	got := run([]string{"--private-tmp"}, "sh", "-c", `test "$TMPDIR" != `+dir+` && test -d "$TMPDIR" && echo "$TMPDIR"`)
	if tmp := strings.TrimSpace(got.stdout); got.status != 0 || !strings.HasPrefix(tmp, dir+"/") || exists(tmp) {
		t.Errorf("a private TMPDIR: %v", got)
	}
}

// TestRoomNice: an ordinary user becomes no less nice.
func TestRoomNice(t *testing.T) {
	tracee(t) // has other users find callgate
	got := trial{policy: traceAll, quiet: true, flags: []string{"--nice=-5"}, user: true}.run(t, "true")
	got.fails(t, "setpriority: permission denied\ncallgate: hint: --nice below 0 takes privilege\n")
}

// fails wants callgate's own failure, with these words.
func (o outcome) fails(t *testing.T, words string) {
	t.Helper()
	if o.status != exitCallgate || !strings.Contains(o.stderr, words) || o.stdout != "" {
		t.Errorf("want callgate's own failure, %q\ngot %v", words, o)
	}
}

// TestRoomUser: root runs a command as another user, with nothing of root's left.
func TestRoomUser(t *testing.T) {
	run := func(as string, argv ...string) outcome {
		return trial{policy: traceAll, quiet: true, flags: []string{"--user", as}, env: []string{"TMPDIR=/tmp"}}.run(t, argv...)
	}
	if os.Getuid() != 0 {
		run("1:1", "true").fails(t, "only root may run a command as another user")
		run("root", "true").fails(t, "only root may run a command as another user")
		return
	}
	status := `id -u; id -g; grep -E '^(Groups|Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):' /proc/self/status | tr -d ' \t'; echo $HOME $USER`
	none := strings.Repeat("0", 16)
	want := "Groups:\nCapInh:" + none + "\nCapPrm:" + none + "\nCapEff:" + none + "\nCapAmb:" + none + "\nNoNewPrivs:1\n"
	run("65533:65532", "sh", "-c", status).want(t, 0, "65533\n65532\n"+want+"/nonexistent 65533\n")
	got := run("nobody", "sh", "-c", status)
	if !strings.HasPrefix(got.stdout, "65534\n65534\n"+want) || !strings.Contains(got.stdout, " nobody\n") {
		t.Errorf("as nobody: %v", got)
	}
	run("nobody", "cat", "/etc/shadow").want(t, 1, "")
	// The supervisor is that user as well.
	run("nobody", "sh", "-c", "stat -c %u /proc/$PPID").want(t, 0, "65534\n")
	// Root's descriptors are open in it: no other process of the user's gets at them.
	outsider(t)
	run("0", "true").fails(t, "root keeps its privileges")
	run("1234567", "true").fails(t, "UID:GID")
	run("no-such-user", "true").fails(t, "there is no such user")
	run("nobody:no-such-group", "true").fails(t, "there is no such group")
}

// outsider is a process of the user's outside the sandbox, which looks into
// callgate and into the command.
func outsider(t *testing.T) {
	t.Helper()
	cmd := exec.Command("callgate", "run", "--quiet", "--user", "nobody", "--", "sh", "-c", "echo $PPID $$; read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	var supervisor, command int
	if _, err := fmt.Fscan(out, &supervisor, &command); err != nil {
		t.Fatal(err)
	}
	for pid, reached := range map[int]bool{supervisor: false, command: true} {
		look := exec.Command("readlink", fmt.Sprintf("/proc/%d/fd/0", pid))
		look.SysProcAttr = asUser(true)
		if err := look.Run(); (err == nil) != reached {
			t.Errorf("the user reaches process %d of %d and %d: %v", pid, supervisor, command, err)
		}
	}
}
