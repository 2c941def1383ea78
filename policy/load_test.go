package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// files is a loader over texts by path; "builtin:NAME" keys are shipped ones.
func files(texts map[string]string) *Loader {
	shipped := fstest.MapFS{}
	for name, text := range texts {
		if b, ok := strings.CutPrefix(name, builtinPrefix); ok {
			shipped[b+".yaml"] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return &Loader{Builtin: shipped, ReadFile: func(path string) ([]byte, error) {
		text, ok := texts[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}}
}

func TestExtends(t *testing.T) {
	loader := files(map[string]string{
		"dir/a.yaml":     "callgate: 1\nextends: [sub/b.yaml, builtin:base]\nerrno: EACCES\nsyscalls: [{allow: read}]\nenvironment: {keep: [A], set: {X: a}}\n",
		"dir/sub/b.yaml": "callgate: 1\nextends: ../c.yaml\ndescription: from b\nerrno: EIO\nkernel: 5.10\ncompat: {x32: deny}\nsyscalls: [{deny: read}, {deny: write}]\n",
		"dir/c.yaml":     "callgate: 1\ndefault: kill\ncompat: {i386: same, x32: same}\nenvironment: {keep: [C], set: {X: c, Y: c}}\n",
		"builtin:base":   "callgate: 1\nextends: builtin:more\ndefault: allow\nsyscalls: [{skip: close}]\n",
		"builtin:more":   "callgate: 1\nsyscalls: [{log: close}]\n",
	})
	p, err := loader.Load("dir/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := `callgate: 1
description: "from b"
default: kill
errno: EACCES
kernel: 5.10
syscalls:
  - {allow: read}
  - {deny: read, errno: EACCES}
  - {deny: write, errno: EACCES}
  - {skip: close}
  - {log: close}
compat: {i386: same, x32: deny}
environment:
  keep: ["A", "C"]
  set:
    "X": "a"
    "Y": "c"
`
	if p.String() != want {
		t.Errorf("got\n%swant\n%s", p, want)
	}
	if got := p.Decide(call(t, abi.X86_64, "close")).String(); got != "skip 0 (builtin:base:4:13)" {
		t.Error(got)
	}
	if got := p.Decide(call(t, abi.X86_64, "write")).String(); got != "deny EACCES (dir/sub/b.yaml:7:27)" {
		t.Error(got)
	}
}

// TestPrint: paths are printed so that they mean the same in any other file.
func TestPrint(t *testing.T) {
	p, err := (&Loader{}).Parse("/etc/[p]/p.yaml", []byte(everyForm))
	if err != nil {
		t.Fatal(err)
	}
	const want = `files:
  - {deny: ["~/.ssh", "/**/.env", "~"], errno: ENOENT, reason: "secrets"}
  - {read: ["/usr", "/etc/\\[p\\]", "/etc/x/y", "/a/[!b-d]*/**/c?", "/\\*", "/etc/\\[p\\]/**/x"]}
  - {write: ["${TMPDIR}", "${HOME}x/${Y}", "$PWD/z", "/x/${A}*"]}
  - {log: "/é\\\x7f"}
exec:
  - {allow: ["/usr/bin", "/etc/\\[p\\]/scripts/*.sh"]}
  - {kill: "/usr/bin/sudo"}
  - {deny: "/", errno: EACCES, quiet: true}
network:
  - {deny: "169.254.169.254", errno: EACCES}
  - {connect: ["127.0.0.1", "10.0.0.0/8:443", "[::1]:5432", "unix:/run/pg/*", "unix:@bus*", "fe80::/10", "*:80-90", "db.example:1", "1.2.3.4"]}
  - {bind: ["unix:~/s", "AF_NETLINK", "unix:@", "[fe80::/10]:7", "*"]}
compat:`
	if got := p.String(); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestExtendsSections: this file's rules come first, and paths are relative to
// the file that has them; those of shipped files to the working folder.
func TestExtendsSections(t *testing.T) {
	p, err := files(map[string]string{
		"/p/a.yaml":     "callgate: 1\nextends: [sub/b.yaml, builtin:base]\nfiles: [{read: ./x}]\n",
		"/p/sub/b.yaml": "callgate: 1\nfiles: [{deny: ./x}]\nexec: []\n",
		"builtin:base":  "callgate: 1\nfiles: [{write: .}, {log: sub/y}]\n",
	}).Load("/p/a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const want = `files:
  - {read: "/p/x"}
  - {deny: "/p/sub/x", errno: EACCES}
  - {write: "$PWD"}
  - {log: "$PWD/sub/y"}
exec: []
`
	if got := p.String(); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestExtendsOnce: a file reached by two ways counts once, and is no cycle.
func TestExtendsOnce(t *testing.T) {
	texts := map[string]string{"end.yaml": "callgate: 1\nsyscalls: [{allow: read}]\n"}
	for i := range 10 {
		next := fmt.Sprintf("%d.yaml", i+1)
		if i == 9 {
			next = "end.yaml"
		}
		texts[fmt.Sprintf("%d.yaml", i)] = "callgate: 1\nextends: [" + next + ", ./" + next + ", end.yaml]\n"
	}
	p, err := files(texts).Load("0.yaml")
	if err != nil || len(p.Rules) != 1 {
		t.Errorf("%v %v", p, err)
	}
}

func TestExtendsTooMuch(t *testing.T) {
	deep, wide := map[string]string{}, map[string]string{}
	var all []string
	for i := range 100 {
		deep[fmt.Sprintf("%d.yaml", i)] = fmt.Sprintf("callgate: 1\nextends: %d.yaml\n", i+1)
		wide[fmt.Sprintf("%d.yaml", i+1)] = "callgate: 1\n"
		all = append(all, fmt.Sprintf("%d.yaml", i+1))
	}
	wide["0.yaml"] = "callgate: 1\nextends: [" + strings.Join(all, ", ") + "]\n"
	for _, texts := range []map[string]string{deep, wide} {
		p, err := files(texts).Load("0.yaml")
		if p != nil || err == nil || !strings.Contains(err.Error(), "too many policies extend one another") {
			t.Errorf("%v %v", p, err)
		}
	}
}

func TestLoadAll(t *testing.T) {
	loader := files(map[string]string{
		"good.yaml": "callgate: 1\n", "bad.yaml": "callgate: 1\nx: 1\n", "worse.yaml": "y: 1\n", "builtin:only": "callgate: 1\n",
	})
	if set, err := loader.LoadAll("good.yaml", "builtin:only"); err != nil || len(set) != 2 || set[1].Name != "builtin:only" {
		t.Errorf("%v %v", set, err)
	}
	if set, err := loader.LoadAll(); err == nil {
		t.Error(set)
	}
	set, err := loader.LoadAll("bad.yaml", "good.yaml", "worse.yaml", "none.yaml", "builtin:onyl", "only", "-", "~/x.yaml")
	want := `bad.yaml:2:1: unknown key "x"; expected callgate, description, extends, default, errno, kernel, syscalls, files, exec, network, compat, limits, environment, isolate or tests
worse.yaml:1:1: the line ` + "`callgate: 1`" + ` is missing; a policy begins with ` + "`callgate: 1`" + `
none.yaml: cannot read the policy: file does not exist
builtin:onyl: there is no policy "builtin:onyl"; did you mean "builtin:only"?
only: cannot read the policy: file does not exist; did you mean "builtin:only"?
-: cannot read the policy: file does not exist; standard input is /dev/stdin
~/x.yaml: cannot read the policy: file does not exist; ~ and $NAME stand for nothing in a policy's own name; write its path`
	if set != nil || err == nil || err.Error() != want {
		t.Errorf("%v\ngot\n%v\nwant\n%s", set, err, want)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the cause of the unreadable file is lost")
	}
}

// TestNoPolicy: of a file that is none, which a policy extends or a link leads to, nothing is quoted.
func TestNoPolicy(t *testing.T) {
	for _, secret := range []string{
		"hunter2", "machine example.com login me password hunter2\n", "hunter2: 1\nx: hunter2\n", "- hunter2\n", "*hunter2\n", "a: &hunter2 [*hunter2, *b]\n",
		"!hunter2 x\n", "\"hunter2\\q\"\n", "%hunter2\n", "[default]\nkey = hunter2\n", "# callgate: 1\nhunter2\n", "xcallgate: hunter2\n", "{hunter2: callgate: 1}\n",
		"callgate:!:19000:0:hunter2:7:::\n", "hunter2 callgate: 1\n",
	} {
		loader := files(map[string]string{"p.yaml": "callgate: 1\nextends: secret\n", "secret": secret})
		for _, name := range []string{"p.yaml", "secret"} {
			if _, err := loader.Load(name); err == nil || err.Error() != "secret:1:1: the line `callgate: 1` is missing; a policy begins with `callgate: 1`" {
				t.Errorf("%q: %v", secret, err)
			}
		}
	}
	for _, text := range []string{"callgate: 1", "\ufeffcallgate: 1\r\n", "# x\n---\n\"callgate\": 1\n", "{callgate: 1}", "description: x\n'callgate' : 1\n", "{files: [], callgate: 1}", "{\n  files: [],\n  'callgate': 1 }", "callgate:\n  1\n"} {
		if !isPolicy([]byte(text)) {
			t.Errorf("%q is taken for no policy", text)
		}
	}
}

func TestGuard(t *testing.T) {
	loader := files(map[string]string{"strict.yaml": "callgate: 1\nsyscalls: []\n", "open.yaml": "callgate: 1\ndefault: allow\nsyscalls: []\ncompat: {i386: same, x32: same}\n", GuardName: "callgate: 1\nsyscalls: [{deny: ptrace}]\n"})
	for name, want := range map[string]int{"strict.yaml": 2, "open.yaml": 1} {
		set, err := loader.LoadAll(name)
		if err != nil {
			t.Fatal(err)
		}
		guarded, err := loader.Guard(set)
		if err != nil || len(guarded) != want || guarded[0] != set[0] || len(set) != 1 {
			t.Errorf("%s: %v, %v", name, guarded, err)
		}
	}
	strict, _ := loader.Load("strict.yaml")
	if set, err := (&Loader{}).Guard(Set{strict}); set != nil || err == nil {
		t.Errorf("without the guard's text: %v, %v", set, err)
	}
}

func TestLoadFromDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("base.yaml", "callgate: 1\nsyscalls: [{allow: read}]\n")
	p, err := (&Loader{}).Load(write("a.yaml", "callgate: 1\nextends: ./base.yaml\n"))
	if err != nil || len(p.Rules) != 1 {
		t.Errorf("%v %v", p, err)
	}
	for name, want := range map[string]string{
		dir: "is a directory",
		write("big.yaml", "callgate: 1\n"+strings.Repeat("# padding\n", maxText/10)): "the file is greater than 1 MiB",
	} {
		if p, err := (&Loader{}).Load(name); p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v %v", p, err)
		}
	}
}

// TestHostileTextsEndSoon loads texts of the greatest size that are built to
// cost time or to give mistakes without end.
// TestReadFIFO: pipes with a writer are read to their end, however late that writes; one without is told.
func TestReadFIFO(t *testing.T) {
	text := "callgate: 1\n" + strings.Repeat("# long\n", 1000)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := new(Loader).Load(fifo)
	if err == nil || err.Error() != fifo+": cannot read the policy: it is a FIFO, and nobody writes to it" {
		t.Errorf("no writer: %v", err)
	}
	write := func(f *os.File, err error) {
		if err == nil {
			time.Sleep(50 * time.Millisecond)
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		write(os.OpenFile(fifo, os.O_WRONLY, 0))
	}()
	if got, err := ReadFile(fifo); err != nil || string(got) != text {
		t.Errorf("a late writer: %d bytes, %v", len(got), err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go write(w, nil)
	if got, err := ReadFile(fmt.Sprintf("/dev/fd/%d", r.Fd())); err != nil || string(got) != text {
		t.Errorf("a pipe: %d bytes, %v", len(got), err)
	}
}

// TestReadLeased: a file on which others have a lease is waited for, as Samba's clients have them.
func TestReadLeased(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "leased"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
			t.Error(err)
		}
	})
	if _, err := ReadFile(f.Name()); err != nil {
		t.Error(err)
	}
}

func TestHostileTextsEndSoon(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, (maxText-100)/len(s)) }
	for name, text := range map[string]string{
		"calls":    "callgate: 1\nsyscalls:\n  - allow: [" + fill("zzzz, ") + "]\n",
		"rules":    "callgate: 1\nsyscalls: [" + fill("{a: b}, ") + "]\n",
		"many":     "callgate: 1\nsyscalls: [" + fill("{deny: \"@known\"}, ") + "]\n",
		"most":     "callgate: 1\nsyscalls: [" + strings.Repeat("{deny: \"@known\"}, ", maxRules/10) + "]\n",
		"args":     "callgate: 1\nsyscalls: [{deny: read, args: {fd: [" + fill("1, ") + "]}}]\n",
		"paths":    "callgate: 1\nfiles: [{read: [" + fill("/, ") + "]}]\n",
		"globs":    "callgate: 1\nfiles: [{read: [" + fill("\"**/a/**/b\", ") + "]}]\n",
		"deep":     "callgate: 1\nfiles: [{read: [" + strings.Repeat("\""+strings.Repeat("**/a/", 800)+"\", ", 250) + "]}]\n",
		"stars":    "callgate: 1\nfiles: [{read: \"/" + strings.Repeat("*a", 2000) + "\"}]\n",
		"vars":     "callgate: 1\nfiles: [{read: [" + strings.Repeat("\"$"+strings.Repeat("a", 4000)+"\", ", 250) + "]}]\n",
		"hosts":    "callgate: 1\nnetwork: [{connect: [" + fill("1.2.3.4:5, ") + "]}]\n",
		"keys":     fill("a: 1\n"),
		"brackets": fill("["),
		"dashes":   fill("- "),
		"quotes":   fill("\""),
		"nested":   fill(" a:\n"),
		"comments": fill("#\n"),
		"spaces":   fill(" "),
		"notes":    fill("#\n\na: 1\n"),
		"aliases":  "callgate: 1\nx: &a [y, z]\nsyscalls: [" + fill("*a, ") + "]\n",
		"bomb":     "a: &a [x, x]\n" + fill("a: &a [*a, *a]\n"),
	} {
		start := time.Now()
		p, err := (&Loader{}).Parse(name, []byte(text))
		if err == nil {
			p.Decide(abi.Call{Arch: abi.X86_64})
			_ = Lint(Set{p}, abi.Version{})
			_ = LintCalls(Set{p}, abi.Arches(), nothingDecides)
			if b, err := (Set{p}).Bind(home); err == nil {
				b.File("/"+strings.Repeat("a", 4000), Read)
				b.File(strings.Repeat("/a", 2000), Read)
				b.MayMove(strings.Repeat("/a", 2000), "/b")
			}
		}
		var m Mistakes
		if errors.As(err, &m) && len(m) > maxMistakes+1 {
			t.Errorf("%s: %d mistakes", name, len(m))
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: %v", name, d)
		} else {
			t.Logf("%s: %v", name, d)
		}
	}
}

// TestPositionsNameFilesAsTheUserDid also holds what Lint rests on: a rule of
// the policy's own file has the policy's name.
func TestPositionsNameFilesAsTheUserDid(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("callgate: 1\nextends: ./b.yaml\nsyscalls: [{allow: read}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("callgate: 1\nsyscalls: [{deny: read}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	p, err := (&Loader{}).Load(".//a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != ".//a.yaml" || p.Rules[0].Pos.File != p.Name || p.Rules[1].Pos.File != "b.yaml" {
		t.Errorf("%s: rules of %s and %s", p.Name, p.Rules[0].Pos.File, p.Rules[1].Pos.File)
	}
}

// TestDecideFromManyGoroutines is for the race detector: the tables are built
// at the first question, whoever asks.
func TestDecideFromManyGoroutines(t *testing.T) {
	p := parse(t, "compat: {i386: same, x32: same}\nsyscalls: [{allow: \"@known\"}]")
	done := make(chan Verdict)
	for i := range 8 {
		go func() { done <- p.Decide(abi.Call{Arch: abi.Arch(1 + i%4), Nr: uint32(i)}) }()
	}
	for range 8 {
		if v := <-done; v.Policy != p {
			t.Error(v)
		}
	}
}

// TestReferenceExampleLoads takes the example that begins the reference.
func TestReferenceExampleLoads(t *testing.T) {
	page, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	loader := files(map[string]string{"p.yaml": example, "base.yaml": "callgate: 1\n", "builtin:build": "callgate: 1\n"})
	if _, err := loader.Load("p.yaml"); err != nil || !found {
		t.Errorf("%v in\n%s", err, example)
	}
}

// TestCallsFrom: a policy's filter can be known by the files that speak of calls.
func TestCallsFrom(t *testing.T) {
	l := files(map[string]string{
		"files.yaml":   "callgate: 1\nfiles: [{read: /usr}]",
		"calls.yaml":   "callgate: 1\nsyscalls: []",
		"compat.yaml":  "callgate: 1\nextends: [files.yaml]\ncompat: {i386: same}",
		"default.yaml": "callgate: 1\nextends: [compat.yaml, files.yaml, calls.yaml]\ndefault: kill\nsyscalls: []",
		"own.yaml":     "callgate: 1\nextends: default.yaml\nfiles: [{read: /etc}]",
	})
	for name, want := range map[string]string{
		"files.yaml": "", "calls.yaml": "calls.yaml", "compat.yaml": "compat.yaml", "own.yaml": "default.yaml compat.yaml calls.yaml",
	} {
		p, err := l.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.CallsFrom, " "); got != want {
			t.Errorf("%s: from %q, want %q", name, got, want)
		}
	}
}
