package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// learnedPrograms are commands to learn from, which run in an empty folder and print only
// what is the same every time.
var learnedPrograms = map[string]struct {
	needs  string
	script string
	flags  []string // of learn, where a base denies some of it by a rule
}{
	"true":  {script: "exec true"},
	"pipes": {script: `seq 1000 | grep 7 | sort -r | head -5; echo x >f; cat <f | wc -c; mkdir d; mv f d/g; rm -r d; ls; x=$(echo sub; exit 5); echo $x $?`},
	"gcc": {"gcc", `printf '#include <stdio.h>\nint main(void) { return puts("made") < 0; }\n' >a.c; gcc -O2 -o a a.c && ./a; gcc -c b.c 2>/dev/null; echo $?`,
		nil},
	// What a thread does at its end it has done when it is gone, not when it is joined.
	"python": {"/usr/bin/python3", `exec /usr/bin/python3 -c '
import subprocess, tempfile, threading, os
print(subprocess.run(["sh", "-c", "echo out; exit 4"], capture_output=True))
t = threading.Thread(target=print, args=["thread"]); t.start(); t.join()
while len(os.listdir("/proc/self/task")) > 1: pass
with tempfile.TemporaryDirectory() as d: open(d + "/f", "w").write("text"); print(os.listdir(d))
open("made", "w").write("x"); os.rename("made", "moved"); print(sorted(n for n in os.listdir(".") if n[0] != "."))'`, nil},
	// "git add ." would touch objects again if a file is as old as the index.
	"git": {"git", `
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
git -c init.defaultBranch=main init -q one && cd one && git config user.name A && git config user.email a@example.org
for i in 1 2 3; do seq $((i*100)) >f$i; git add f$i && git commit -q -m "commit $i"; done; git log --oneline --stat; git status --short`, nil},
	"loopback": {"/usr/bin/python3", `exec /usr/bin/python3 -c '
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
c = socket.create_connection(s.getsockname()); s.accept()[0].send(b"tcp"); print(c.recv(9))
u = socket.socket(socket.AF_UNIX); u.bind("sock"); u.listen()
v = socket.socket(socket.AF_UNIX); v.connect("sock"); u.accept()[0].send(b"unix"); print(v.recv(9))'`,
		[]string{"--lift", "builtin:base:" + strconv.Itoa(socketRule)}},
}

// socketRule is the line of builtin:base that denies sockets.
const socketRule = 81

// learnIn runs `callgate learn` in a folder. The policy is .learned.yaml there.
func learnIn(t *testing.T, dir string, env, flags []string, argv ...string) outcome {
	t.Helper()
	line := append([]string{lookPath(t, "callgate"), "learn", "-o", ".learned.yaml"}, flags...)
	return trial{bare: true, dir: dir, env: env}.run(t, append(append(line, "--"), argv...)...)
}

// under runs a command in a folder under the policy that was learned there, and gives the
// denials that are told.
func under(t *testing.T, dir string, env []string, argv ...string) (got outcome, denied []string) {
	t.Helper()
	line := []string{lookPath(t, "callgate"), "run", "-p", ".learned.yaml", "--"}
	got = trial{bare: true, dir: dir, env: env}.run(t, append(line, argv...)...)
	for said := range strings.Lines(got.stderr) {
		if strings.Contains(said, "callgate: denied ") || strings.Contains(said, "callgate: killed ") {
			denied = append(denied, said)
		}
	}
	return got, denied
}

// TestLearn: a command does under the policy that was learned from it what it did, nothing
// is denied, and learning again gives the same.
func TestLearn(t *testing.T) {
	t.Parallel()
	for name, c := range learnedPrograms {
		for _, how := range []string{"from builtin:base", "from nothing"} {
			t.Run(name+" "+how, func(t *testing.T) {
				for _, program := range strings.Fields(c.needs) {
					if _, err := exec.LookPath(program); err != nil {
						lacking(t, program)
					}
				}
				flags := c.flags
				if how == "from nothing" {
					flags = []string{"--bare"}
				}
				learnsAll(t, flags, "/bin/sh", "-c", c.script)
			})
		}
	}
}

func learnsAll(t *testing.T, flags []string, argv ...string) {
	t.Helper()
	dir, home := openFolder(t), openFolder(t)
	env := []string{"HOME=" + home}
	first := learnIn(t, dir, env, flags, argv...)
	text := readFile(t, filepath.Join(dir, ".learned.yaml"))
	if first.status != 0 {
		t.Fatal(first, text)
	}
	if got := (trial{bare: true, dir: dir, env: env}).run(t, lookPath(t, "callgate"), "check", ".learned.yaml"); got.status != 0 {
		t.Errorf("%v\n%s", got, text)
	}
	clearBut(t, dir, ".learned.yaml")
	second, denied := under(t, dir, env, argv...)
	second.want(t, 0, first.stdout)
	for _, line := range denied {
		t.Error(line)
	}
	clearBut(t, dir, ".learned.yaml")
	learnIn(t, dir, env, append([]string{"--force"}, flags...), argv...)
	if again := readFile(t, filepath.Join(dir, ".learned.yaml")); again != text {
		t.Errorf("first\n%s\nthen\n%s", text, again)
	}
	if t.Failed() {
		t.Logf("learned\n%s", text)
	}
}

// clearBut empties a folder but for one file.
func clearBut(t *testing.T, dir, but string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != but {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestLearnSecrets: what builtin:default hides is hidden while a command is learned, and
// not learned, nor listed folders above it; what is lifted is learned, and it alone.
func TestLearnSecrets(t *testing.T) {
	dir, home := openFolder(t), openFolder(t)
	env := []string{"HOME=" + home}
	writeFile(t, filepath.Join(home, "open"), "seen\n")
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(home, ".aws", "credentials"), "secret\n")
	writeFile(t, filepath.Join(home, ".aws", "config"), "secret too\n")
	spies := []string{"/bin/sh", "-c", "cat ~/.aws/credentials ~/open; ls ~ / >/dev/null; for i in 1 2 3; do echo $i >~/n$i; done"}
	got := learnIn(t, dir, env, nil, spies...)
	text := readFile(t, filepath.Join(dir, ".learned.yaml"))
	if strings.Contains(got.stdout, "secret") || got.stdout != "seen\n" || !strings.Contains(got.stderr, "--lift builtin:default:") {
		t.Error(got)
	}
	for _, line := range []string{`  # - read: "~/.aws/credentials" # cat: denied by builtin:default:`, `  # - read: / # ls: it was listed`, `  # - read: "~" # ls: it was listed`} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if got, _ := under(t, dir, env, "/bin/cat", home+"/.aws/credentials"); got.status == 0 {
		t.Error(got, text)
	}

	var lift []string
	for _, r := range strings.Fields(got.stderr) {
		if place, _, ok := strings.Cut(strings.TrimPrefix(r, "builtin:default:"), ":"); ok && strings.HasPrefix(r, "builtin:default:") {
			lift = append(lift, "--lift", "builtin:default:"+place)
		}
	}
	lift = append(lift, "--lift", "builtin:default:"+strconv.Itoa(lineOf(t, "../../configs/default.yaml", `deny: ["**/.ssh"`)))
	got = learnIn(t, dir, env, append([]string{"--force", "-p", "builtin:default"}, lift...), "/bin/cat", home+"/.aws/credentials")
	got.want(t, 0, "secret\n")
	got, denied := under(t, dir, env, "/bin/cat", home+"/.aws/credentials")
	got.want(t, 0, "secret\n")
	if len(denied) > 0 {
		t.Error(denied)
	}
	if got, _ := under(t, dir, env, "/bin/cat", home+"/.aws/config"); got.status == 0 {
		t.Error(got, readFile(t, filepath.Join(dir, ".learned.yaml")))
	}
}

// lineOf is the number of the line of a file that has some text.
func lineOf(t *testing.T, name, text string) int {
	t.Helper()
	before, _, ok := strings.Cut(readFile(t, name), text)
	if !ok {
		t.Fatalf("no %q in %s", text, name)
	}
	return strings.Count(before, "\n") + 1
}

// TestLearnRules: what the test says of shipped rules by their lines is so.
func TestLearnRules(t *testing.T) {
	if line := lineOf(t, "../../configs/base.yaml", "- deny: [socket, socketpair, connect"); line != socketRule {
		t.Errorf("sockets are denied in line %d", line)
	}
}

// TestLearnHostile: what a command makes does not widen what is learned from it, or write
// into the policy; what guards deny is denied; and a ceiling holds meanwhile.
func TestLearnHostile(t *testing.T) {
	dir := openFolder(t)
	for _, name := range []string{"**", "a\n  - read: /", "*"} {
		writeFile(t, filepath.Join(dir, name), "x")
	}
	writeFile(t, filepath.Join(dir, "beside"), "y")
	hostile := []string{"/bin/sh", "-c", "cat '**' 'a\n  - read: /' >/dev/null; exec " + tracee(t) + " native 425 1 0"} // io_uring_setup
	got := learnIn(t, dir, nil, []string{"--bare"}, hostile...)
	text := readFile(t, filepath.Join(dir, ".learned.yaml"))
	if strings.Contains(text, "io_uring_setup") || strings.Contains(text, "\n  - read: /\n") {
		t.Error(got, text)
	}
	if got, _ := under(t, dir, nil, "/bin/cat", "**"); got.status != 0 {
		t.Error(got, text)
	}
	if got, denied := under(t, dir, nil, "/bin/cat", "beside"); got.status == 0 || len(denied) == 0 {
		t.Error(got, text)
	}

	made := filepath.Join(openFolder(t), "made")
	got = learnIn(t, dir, nil, []string{"--force", "--under", "builtin:default"}, "/bin/sh", "-c", "echo x >"+made)
	if exists(made) || got.status == 0 || !strings.Contains(got.stderr, "denied by a policy that held meanwhile") {
		t.Error(got)
	}
	if text := readFile(t, filepath.Join(dir, ".learned.yaml")); strings.Contains(text, "made\"") {
		t.Error(text)
	}
}

// TestLearnPlanted: what a command puts where its policy is to go is not taken for that, and
// not replaced.
func TestLearnPlanted(t *testing.T) {
	dir := openFolder(t)
	got := learnIn(t, dir, nil, nil, "/bin/sh", "-c", "echo mine >.learned.yaml")
	if got.status != 125 || !strings.Contains(got.stderr, "file exists") || readFile(t, filepath.Join(dir, ".learned.yaml")) != "mine\n" {
		t.Error(got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

// TestLearnABI: calls of the i386 table are learned by its line, or told of.
func TestLearnABI(t *testing.T) {
	dir := openFolder(t)
	command := []string{tracee(t), "int80", "20"}
	learnIn(t, dir, nil, nil, command...).want(t, 159, "")
	for _, flags := range [][]string{{"--bare"}, {"--lift", "compat"}} {
		got := learnIn(t, dir, nil, append(flags, "--force"), command...)
		text := readFile(t, filepath.Join(dir, ".learned.yaml"))
		if got.status != 0 || !strings.Contains(text, "\ncompat: { i386: same") {
			t.Error(got, text)
		}
		if again, denied := under(t, dir, nil, command...); again.status != 0 || len(denied) > 0 {
			t.Error(again, denied, text)
		}
	}
}

// TestLearnNowhere: a policy that cannot be written is told before anything runs, whoever is to write it.
func TestLearnNowhere(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	must(t, os.Mkdir(filepath.Join(dir, "closed"), 0o555))
	argv := []string{lookPath(t, "callgate"), "learn", "-o", "closed/x.yaml"}
	if os.Getuid() == 0 {
		argv = append(argv, "--user", "nobody")
	}
	got := trial{bare: true, dir: dir}.run(t, append(argv, "touch", "ran")...)
	if got.status != 125 || got.stderr != "callgate: closed/x.yaml: no file can be made in closed: permission denied\n" {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the command ran")
	}
}
