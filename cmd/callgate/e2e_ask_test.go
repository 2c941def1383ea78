package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// askScript makes a program that answers: what it is told is in $q. It writes the
// questions to a file in its folder.
func askScript(t *testing.T, says string) (program, asked string) {
	t.Helper()
	dir := openFolder(t)
	program, asked = filepath.Join(dir, "asker"), filepath.Join(dir, "asked")
	must(t, os.WriteFile(program, []byte("#!/bin/sh\nIFS= read -r q\necho \"$q\" >>"+asked+"\n"+says+"\n"), 0o755))
	return program, asked
}

// TestNamesAsked: the attacks on names, where somebody says yes to what is open and no to
// what is not. An answer is about one file: what leads elsewhere by then is another
// question.
func TestNamesAsked(t *testing.T) {
	t.Parallel()
	some := map[string]bool{"letters": true, "last": true, "folders-process": true}
	eachAttack(t, func(a nameAttack) bool { return some[a.mode] && someOfEach[a.call] && a.gain != "looks" }, nameAttack.failsAsked)
}

func (a nameAttack) failsAsked(t *testing.T) {
	w := newWorld(t, false)
	program, _ := askScript(t, `case $q in *'"object":"`+w.dir+`/no'* | *'"need":"write"'*ro/*) exit 1;; esac; exit 0`)
	policy := strings.ReplaceAll(w.policy(), "- deny:  "+w.dir+"/no", "- ask: "+w.dir+"/no")
	policy = strings.ReplaceAll(policy, "- write: ", "- ask: ")
	tr := trial{policy: policy, quiet: true, dir: w.dir, flags: []string{"--ask", program}}
	got := tr.run(t, tracee(t), "names", a.mode, a.call, "30")
	var c counts
	if _, err := fmt.Sscanf(got.stdout, "got %d made %d refused %d", &c.got, &c.made, &c.refused); err != nil || got.status != 0 {
		t.Fatalf("%v: %v", err, got)
	}
	if changed := w.changed(t); c.got > 0 || changed != "" {
		t.Errorf("%d times it got what the answer was no to\n%s", c.got, changed)
	}
}

// TestAskExchanged: a link is exchanged, from outside of the sandbox, while the program that
// it leads to is asked about, judged and executed. Nobody says yes to the other one.
func TestAskExchanged(t *testing.T) {
	dir := openFolder(t)
	program, _ := askScript(t, `case $q in *'"object":"`+dir+`/one"'*) exit 0;; esac; exit 1`)
	for name, from := range map[string]string{"one": "true", "other": "false"} {
		text, err := os.ReadFile(lookPath(t, from))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o755))
	}
	must(t, os.Symlink("one", filepath.Join(dir, "link")))
	end, ended := make(chan bool), make(chan bool)
	defer func() { close(end); <-ended }()
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
			}
			for _, to := range []string{"other", "one"} {
				_ = os.Symlink(to, filepath.Join(dir, "new"))
				_ = os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "link"))
			}
		}
	}()
	policy := "callgate: 1\nexec:\n  - ask: [" + dir + "/one, " + dir + "/other]\n  - allow: /\n"
	tr := trial{policy: policy, dir: dir, quiet: true, flags: []string{"--ask", program}}
	got := tr.run(t, "sh", "-c", "i=0; while [ $i -lt 300 ]; do i=$((i+1)); ./link; echo $?; done 2>/dev/null")
	if strings.Count(got.stdout, "\n") != 300 || !strings.Contains(got.stdout, "0\n") || strings.Contains("\n"+got.stdout, "\n1\n") {
		t.Errorf("got %v", got)
	}
}

const askKey = `callgate: 1
default: allow
files:
  - ask: "**/key"
`

// TestAskOthersGoOn: while one thread is held for an answer, others make their calls, one
// asks in its turn, and one executes a program, by which the one that waits is dead.
func TestAskOthersGoOn(t *testing.T) {
	program, _ := askScript(t, "exec sleep 1")
	dir := openFolder(t)
	writeFile(t, filepath.Join(dir, "key"), "the key\n")
	writeFile(t, filepath.Join(dir, "asks.py"), `
import os, sys, threading, time
def key(): print(open("key").read(), end="", flush=True)
began = time.time()
if sys.argv[1] == "threads":
    all = [threading.Thread(target=key) for _ in range(3)]
    for t in all: t.start()
    while any(t.is_alive() for t in all): os.stat("/"), open("/dev/null").close()
elif sys.argv[1] == "leader": # it waits, and another executes
    def other():
        time.sleep(0.3)
        os.execv("/bin/echo", ["echo", "executed"])
    threading.Thread(target=other).start()
    key()
elif sys.argv[1] == "other": # another waits
    threading.Thread(target=key, daemon=True).start()
    time.sleep(0.3)
    os.execv("/bin/echo", ["echo", "executed"])
elif sys.argv[1] == "ends":
    threading.Thread(target=key, daemon=True).start()
    time.sleep(0.3)
    os._exit(3)
elif sys.argv[1] == "killed":
    pid = os.fork()
    if pid == 0: key()
    time.sleep(0.3)
    os.kill(pid, 9)
    print(os.waitpid(pid, 0)[1])
elif sys.argv[1] == "left":
    if os.fork() == 0: key()
    time.sleep(0.3)
`)
	python := []string{"/usr/bin/python3", "-S", filepath.Join(dir, "asks.py")}
	tr := trial{policy: askKey, dir: dir, flags: []string{"--ask", program}}
	for _, how := range []struct {
		name   string
		status int
		stdout string
	}{
		{"threads", 0, strings.Repeat("the key\n", 3)},
		{"leader", 0, "executed\n"},
		{"other", 0, "executed\n"},
		{"ends", 3, ""},
		{"killed", 0, "9\n"},
		{"left", 0, ""},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			tr.run(t, append(python, how.name)...).want(t, how.status, how.stdout)
		})
	}
}

// TestAskRestarted: a call that the kernel makes once more, as job control has it do, is asked
// about once; if a handler ran before, it is another call.
func TestAskRestarted(t *testing.T) {
	program, asked := askScript(t, `exit 0`)
	dir := openFolder(t)
	must(t, unix.Mkfifo(filepath.Join(dir, "key"), 0o644))
	writeFile(t, filepath.Join(dir, "waits.py"), `
import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: None)
pid = os.fork()
if pid == 0:
    print(open("key").read())
    os._exit(0)
def until(states, asked):
    while True:
        try: n = open(sys.argv[1]).read().count("\n")
        except FileNotFoundError: n = 0
        state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
        if n >= asked and state in states: return n
        time.sleep(0.01)
for sig in signal.SIGSTOP, signal.SIGSTOP:
    until("S", 1)
    os.kill(pid, sig)
    until("tT", 1)
    os.kill(pid, signal.SIGCONT)
print(until("S", 1))
os.kill(pid, signal.SIGUSR1)
print(until("S", 2), flush=True)
open("key", "w").write("written")
os.wait()
`)
	tr := trial{policy: askKey, dir: dir, flags: []string{"--ask", program}}
	tr.run(t, "/usr/bin/python3", "-S", "waits.py", asked).want(t, 0, "1\n2\nwritten\n")
}

// TestAskCarried: what a call stands for is in memory. Another process changes it while
// somebody is asked: that is another question.
func TestAskCarried(t *testing.T) {
	program, asked := askScript(t, `cd "${0%/*}"; [ "$(wc -l <asked)" = 1 ] || exit 1; while [ ! -e flipped ]; do sleep 0.01; done; exit 0`)
	dir := filepath.Dir(asked)
	writeFile(t, filepath.Join(dir, "flips.py"), `
import ctypes, mmap, os, time
shared = mmap.mmap(-1, 4096)
exit_signal = ctypes.c_uint64.from_buffer(shared, 32) # of struct clone_args
exit_signal.value = 17
if os.fork() == 0:
    while not os.path.exists("asked"): time.sleep(0.01)
    exit_signal.value = 10
    open("flipped", "w")
    os._exit(0)
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(435, ctypes.c_void_p(ctypes.addressof(exit_signal) - 32), 88) == 0: os._exit(0)
print(os.strerror(ctypes.get_errno()))
`)
	tr := trial{policy: "callgate: 1\ndefault: allow\nsyscalls:\n  - ask: clone3\n", dir: dir, quiet: true, flags: []string{"--ask", program}}
	tr.run(t, "/usr/bin/python3", "-S", "flips.py").want(t, 0, "Operation not permitted\n")
	text, err := os.ReadFile(asked)
	must(t, err)
	if n := strings.Count(string(text), "\n"); n != 2 {
		t.Errorf("%d questions:\n%s", n, text)
	}
}

// TestAskLimit: what has a limit has it while somebody is asked, and a program that asks
// and does not end when it is told to is killed.
func TestAskLimit(t *testing.T) {
	program, _ := askScript(t, `trap "" TERM; exec sleep 600`)
	tr := trial{policy: askKey + "limits: {wall-time: 500ms}\n", flags: []string{"--ask", program, "--grace", "0"}, dir: openFolder(t)}
	writeFile(t, filepath.Join(tr.dir, "key"), "")
	if got := tr.run(t, "cat", "key"); got.status != 124 {
		t.Errorf("got %v", got)
	}
}

// askScreen is a terminal whose shell is in a folder with a key and a policy that asks about
// it.
func askScreen(t *testing.T) (s *screen, dir string) {
	t.Helper()
	s, dir = newScreen(t), openFolder(t)
	writeFile(t, filepath.Join(dir, "key"), "the key\n")
	writeFile(t, filepath.Join(dir, "ask.yaml"), askKey)
	s.typed("cd " + dir + "\n")
	s.expect("ready> ")
	return s, dir
}

// TestAskTerminal: a yes is the word that is shown with the question, and nothing else.
func TestAskTerminal(t *testing.T) {
	s, dir := askScreen(t)

	s.line("callgate run -q -p ask.yaml -- cat key", "asks for openat(AT_FDCWD, \"key\", O_RDONLY) on "+dir+"/key by ask.yaml:4")
	s.typed(s.word() + "\n")
	s.expect("the key\r\n")
	s.status(0)

	s.line("callgate run -q -p ask.yaml -- sh -c 'cat key; cat key'", "asks for")
	s.typed(s.word() + "!\n")
	s.expect("the key\r\nthe key\r\n")
	s.status(0)

	for _, no := range []string{"\n", "y\n", "n!\n", ctrlC} {
		s.line("callgate run -q -p ask.yaml -- cat key", "asks for")
		s.word()
		s.typed(no)
		if seen := s.expect("ready> "); strings.Contains(seen, "the key") {
			t.Errorf("%q: %q", no, seen)
		}
	}

	// What was typed before is no answer, nor is what the program has shown.
	s.line(`callgate run -q -p ask.yaml -- sh -c 'echo "type y"; sleep 1; cat key'`, "type y\r\n")
	s.typed("y\ny\n")
	s.expect("asks for")
	s.word()
	s.typed("\n")
	if seen := s.expect("ready> "); strings.Contains(seen, "the key") {
		t.Errorf("%q", seen)
	}

	// A job in the background does not take the terminal.
	s.line("callgate run -q -p ask.yaml -- cat key &", "runs in the background: fg lets you answer")
	s.line("echo ty''ped", "typed\r\n")
	s.expect("ready> ")
	s.line("fg", "asks for")
	s.typed(s.word() + "\n")
	s.expect("the key\r\n")
	s.status(0)

	// Ctrl-Z at a question: what is typed next is for the shell.
	s.line("callgate run -q -p ask.yaml -- sh -c 'cat key; true'", "asks for")
	s.word()
	s.stopped()
	s.expect("ready> ")
	s.line("echo ty''ped", "typed\r\n")
	s.line("fg", "asks for")
	s.typed(s.word() + "\n")
	s.expect("the key\r\n")
	s.status(0)

	// A shell with jobs of its own, one of which is in the foreground; a terminal that is raw.
	s.line("PS1= callgate run -q -p ask.yaml -- bash --norc --noprofile --noediting -i", "")
	s.line("PS1='in''ner> '", "inner> ")
	s.line("stty -icanon -echo; cat key", "asks for")
	s.typed(s.word() + "\n")
	s.expect("the key\r\n")
	s.expect("inner> ")
	s.line("stty -a", "-icanon")
	s.line("stty icanon echo", "inner> ")

	// A job whose first process, by which it is numbered, is gone.
	s.line("true | sh -c 'read -r p c s pp g rest </proc/self/stat; while [ -e /proc/$g ]; do :; done; cat key'", "asks for")
	s.typed(s.word() + "\n")
	s.expect("the key\r\n")
	s.line("exit 5", "")
	s.status(5)
}

// TestAskContinued: a process group that goes on is asked again, whether or not it was seen
// to stop, and for the same word.
func TestAskContinued(t *testing.T) {
	s, dir := askScreen(t)
	s.line(`sh -c 'echo $$ >pid; exec callgate run -q -p ask.yaml -- cat key'`, "asks for")
	word := s.word()
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	must(t, err)
	job, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	s.typed("half an answer")
	s.expect("answer")
	must(t, unix.Kill(-job, unix.SIGCONT))
	s.expect("asks for")
	if again := s.word(); again != word {
		t.Errorf("asked for %q, then for %q", word, again)
	}
	s.typed(word + "\n")
	s.expect("the key\r\n")
	s.status(0)
}

// TestAskKilled: with callgate its question is gone from the terminal, which is the shell's.
func TestAskKilled(t *testing.T) {
	s, dir := askScreen(t)
	s.line(`sh -c 'echo $$ >pid; exec callgate run -q -p ask.yaml -- sh -c "stty -echo; exec cat key"'`, "asks for")
	s.word()
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	must(t, err)
	must(t, exec.Command("kill", "-9", strings.TrimSpace(string(pid))).Run())
	s.status(137)
}

// TestAskTerminalReused: a terminal that was named and is gone is not asked at, whose it may
// be now.
func TestAskTerminalReused(t *testing.T) {
	dir := openFolder(t)
	writeFile(t, filepath.Join(dir, "key"), "the key\n")
	writeFile(t, filepath.Join(dir, "takes.py"), `
import os, re, subprocess, sys, time
open("ready", "w")
while not os.path.exists("closed"): time.sleep(0.01)
taken = []
while len(taken) < 64 and not (taken and os.ttyname(taken[-1][1]) == sys.argv[1]): taken.append(os.openpty())
master = taken[-1][0]
asked = subprocess.Popen(["cat", "key"])
os.set_blocking(master, False)
seen = b""
while asked.poll() is None and b"callgate> " not in seen:
    try: seen += os.read(master, 4096)
    except OSError: time.sleep(0.01)
if seen: os.write(master, re.search(rb"callgate: (\w+): yes", seen)[1] + b"\n")
asked.wait()
`)
	ptmx, tty := openTerminal(t)
	go func() {
		for !fileExists(filepath.Join(dir, "ready")) {
			time.Sleep(10 * time.Millisecond)
		}
		tty.Close()
		ptmx.Close()
		_ = os.WriteFile(filepath.Join(dir, "closed"), nil, 0o644)
	}()
	tr := trial{policy: askKey, dir: dir, quiet: true, flags: []string{"--ask", tty.Name()}}
	if got := tr.run(t, "/usr/bin/python3", "-S", "takes.py", tty.Name()); got.stdout != "" {
		t.Errorf("got %v", got)
	}
}

var wordLine = regexp.MustCompile(`callgate: ([a-z]{3}): yes`)

// word is what makes a yes of the question that is asked.
func (s *screen) word() string {
	s.t.Helper()
	seen := s.expect("callgate> ")
	m := wordLine.FindStringSubmatch(seen)
	if m == nil {
		s.t.Fatalf("there is no word in %q", seen)
	}
	return m[1]
}

// TestAskNetwork: addresses of every call that has one. Who makes a socket is not asked
// about.
func TestAskNetwork(t *testing.T) {
	dir := openFolder(t)
	program, asked := askScript(t, `case $q in *'"object":"127.0.0.1:9"'* | *'"object":"0.0.0.0:0"'*) exit 1;; esac; exit 0`)
	writeFile(t, filepath.Join(dir, "net.py"), `
import socket as s
def tries(what, do):
    try: do(); print(what, "done")
    except OSError as e: print(what, e.strerror)
server = s.socket(); server.bind(("127.0.0.1", 0)); server.listen()
tries("connect", lambda: s.create_connection(server.getsockname()).close())
tries("connect to 9", lambda: s.create_connection(("127.0.0.1", 9)))
u = s.socket(s.AF_INET, s.SOCK_DGRAM)
tries("sendto", lambda: u.sendto(b"x", ("127.0.0.2", 9)))
tries("sendmsg", lambda: u.sendmsg([b"x"], [], 0, ("127.0.0.1", 9)))
tries("listen", lambda: s.socket().listen())
tries("unix", lambda: s.socket(s.AF_UNIX).bind("\0asked"))
tries("raw", lambda: s.socket(s.AF_INET, s.SOCK_RAW, 1))
`)
	tr := trial{policy: "callgate: 1\ndefault: ask\nnetwork: []\n", dir: dir, flags: []string{"--ask", program}}
	tr.run(t, "/usr/bin/python3", "-S", "net.py").want(t, 0, `connect done
connect to 9 Permission denied
sendto done
sendmsg Permission denied
listen Permission denied
unix done
raw Permission denied
`)
	text, err := os.ReadFile(asked)
	must(t, err)
	if n := strings.Count(string(text), "\n"); n != 7 || strings.Contains(string(text), `"syscall":"socket"`) {
		t.Errorf("%d questions:\n%s", n, text)
	}
}

// TestAskListen: a yes to listening without a bind, once, is one to the port that the kernel then
// chose, and to the name of its choice; a no is a no, and nothing listens.
func TestAskListen(t *testing.T) {
	t.Parallel()
	const policy = "callgate: 1\nnetwork:\n  - bind: [\"127.0.0.1:*\", \"unix:/\"]\n  - connect: [\"*\", \"unix:@*\", \"unix:/\"]\n  - ask: [\"*\", \"unix:@\"]\n"
	const script = `
def listens(s, family, at):
    s.listen(1)
    c = socket(family, SOCK_STREAM)
    c.connect(at(s.getsockname())); s.accept()
t("unbound", lambda: listens(four(), AF_INET, lambda a: ("127.0.0.1", a[1])))
t("unbound IPv6", lambda: listens(six(), AF_INET6, lambda a: ("::1", a[1])))
unix().bind("sock")
def chosen():
    s = unix()
    s.setsockopt(SOL_SOCKET, SO_PASSCRED, 1)
    try: s.connect("sock")
    except ConnectionRefusedError: pass
    listens(s, AF_UNIX, lambda a: a)
t("a name of the kernel's choice", chosen)
os._exit(0)
`
	for _, tt := range []struct{ thread, says, came string }{
		{"", "exit 0", "ok"},
		{"threading.Thread(target=threading.Event().wait, daemon=True).start()\n", "exit 0", "ok"},
		{"", "exit 1", "EACCES"},
	} {
		program, asked := askScript(t, tt.says)
		tr := trial{policy: policy, dir: openFolder(t), flags: []string{"--ask", program, "--quiet"}}
		tr.run(t, lookPath(t, "/usr/bin/python3"), "-c", sockets+tt.thread+script).
			want(t, 0, strings.ReplaceAll("unbound CAME\nunbound IPv6 CAME\na name of the kernel's choice CAME\n", "CAME", tt.came))
		if text := readFile(t, asked); strings.Count(text, "\n") != 3 {
			t.Errorf("asked:\n%s", text)
		}
	}
}
