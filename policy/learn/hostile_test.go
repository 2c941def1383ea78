package learn

import (
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

// awkward are names that files can have, each with one that a careless rule would be on too.
var awkward = [][2]string{
	{"*", "secret"}, {"[id].tsx", "i.tsx"}, {"[!x]", "y"}, {"?", "x"}, {"**", "secret"}, {"$HOME", "HOME"}, {`a\b`, "ab"}, {`\*`, "*"},
	{"a b: - # x", "a b"}, {"\"'", "x"}, {"\x1b[31m", "\x1bm"}, {"l\n  - read: /", "l"}, {"é\u202e\u0085\u2028", "é"}, {"~", "x"}, {"]", "x"}, {"~root", "x"},
	{"$TMPDIR", "x"}, {`: "$TMPDIR`, "x"}, {"# x\n  - write: /", "x"}, {"${HOME}", "x"}, {"...", ".."}, {"-", "x"}, {"true", "x"}, {"\ufeff", "x"}, {"a|b", "a"}, {"{x}", "x"},
}

// TestHostileNames: a rule is on the name that it was learned from, and on nothing else,
// whatever is in that, and in the name of the program.
func TestHostileNames(t *testing.T) {
	for _, folder := range []string{"/home/me/repo/d", "/home/me/repo", "/home/me", "/x/y"} {
		for _, names := range awkward {
			path, beside := folder+"/"+names[0], folder+"/"+names[1]
			l := newLog(t, bare)
			program := "/bin/" + names[0]
			l.Object(program, &policy.Object{Section: policy.Files, Access: policy.Write, Path: path}, false, false)
			l.Object(program, &policy.Object{Section: policy.Files, Access: policy.Write, Path: path, Link: true}, false, false)
			l.Object(program, &policy.Object{Section: policy.Exec, Path: path}, false, false)
			l.Object(program, &policy.Object{Section: policy.Network, Address: policy.Address{Family: 1, Path: names[0], Abstract: true}}, false, false)
			l.Object(program, &policy.Object{Section: policy.Network, Address: policy.Address{Family: 1, Path: path}}, false, false)
			l.Call(program, abi.Call{Arch: abi.X86_64, Nr: 16, Args: [6]uint64{0, 0x5401}})
			text, _, _ := l.Policy(&Draft{Place: here, Command: []string{names[0], "\n  - write: /"}, PrivateTmp: true})
			if strings.Contains(text, "private-tmp") {
				t.Errorf("%q counts as $TMPDIR", names[0])
			}
			for _, r := range text {
				if r != '\n' && policy.Printable(string(r)) != string(r) {
					t.Errorf("%q is in %q", r, text)
				}
			}
			at := policy.Place{Dir: here.Work, Home: here.Home}
			b, err := policy.Set{parse(t, "/home/me/repo/p.yaml", text)}.Bind(at)
			if err != nil {
				t.Fatal(err, text)
			}
			if !b.File(path, policy.Write).Action.Permits() || !b.Program(path).Action.Permits() || !b.Connect(policy.Address{Family: 1, Path: path}).Action.Permits() {
				t.Errorf("%q is denied by\n%s", path, text)
			}
			if b.File(beside, policy.Read).Action.Permits() || b.File("/", policy.Read).Action.Permits() || b.File(folder, policy.Read).Action.Permits() || b.Program(beside).Action.Permits() {
				t.Errorf("%q is not alone in\n%s", path, text)
			}
			if b.Connect(policy.Address{Family: 1, Path: names[1], Abstract: true}).Action.Permits() {
				t.Errorf("@%q is not alone in\n%s", names[0], text)
			}
		}
	}
}

// TestUnnameable: what no rule can name is counted.
func TestUnnameable(t *testing.T) {
	l := newLog(t, bare)
	l.read("/a\xff")
	l.Object("prog", &policy.Object{Section: policy.Exec}, false, false) // a memfd
	l.Object("prog", &policy.Object{Section: policy.Files, Access: policy.Read, Path: "/" + strings.Repeat("*", 3000)}, false, false)
	l.Call("prog", abi.Call{Arch: abi.X86_64, Nr: 99999})
	if text, _, left := l.Policy(&Draft{Place: here}); left != 4 || len(rulesOf(text, "files")) > 0 {
		t.Errorf("%d\n%s", left, text)
	}
}

// TestKept: what a base denies in any folder is denied before a learned folder permits it,
// and what a rule was lifted for is permitted before that, alone.
func TestKept(t *testing.T) {
	base := parse(t, "base", "callgate: 1\nfiles:\n  - deny: \"**/.env\"\n    reason: a \"secret\"\n  - read: /usr\n")
	rules, _ := base.Section(policy.Files)
	l := &Log{Base: base, Extending: true}
	l.read("/srv/x/")
	l.Object("/bin/prog", &policy.Object{Section: policy.Files, Access: policy.Read, Path: "/srv/x/a/.env"}, false, true)
	text, _, _ := l.Policy(&Draft{Place: here, Kept: rules[:1]})
	b, err := policy.Set{parse(t, "/home/me/repo/p.yaml", text)}.Bind(policy.Place{Dir: here.Work, Home: here.Home})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/srv/x/f": true, "/srv/x/a/.env": true, "/srv/x/b/.env": false} {
		if got := b.File(path, policy.Read).Action.Permits(); got != want {
			t.Errorf("%s: %v\n%s", path, got, text)
		}
	}
}

// TestDenied: what a rule denied is told of in comments alone.
func TestDenied(t *testing.T) {
	l := newLog(t, bare)
	rule := &policy.Rule{Pos: policy.Position{File: "x\n  - read: /", Line: 3}, Section: policy.Files, Reason: "keys\n  - read: /"}
	l.Denied("/bin/\n  - read: /", rule, abi.Call{}, &policy.Object{Section: policy.Files, Access: policy.Read, Path: "/home/me/.ssh/\nid"})
	text := policyOf(t, l, here)
	if rules := rulesOf(text, "files"); len(rules) > 0 {
		t.Error(rules)
	}
	if !strings.Contains(text, `# - read: "~/.ssh/\nid" # `) || strings.Contains(text, "\n  - read: /") {
		t.Error(text)
	}
}

// FuzzPolicy: whatever the names are, the text is a policy, and is on nothing but them.
func FuzzPolicy(f *testing.F) {
	for _, names := range awkward {
		f.Add(names[0], names[1], uint8(len(names[0])))
	}
	f.Fuzz(func(t *testing.T, name, program string, where uint8) {
		if strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." || name == "beside" {
			return
		}
		folder := [...]string{"/home/me/repo", "/home/me", "/x/y", "/tmp", "/home/me/repo/d"}[where%5]
		l := newLog(t, bare)
		path := folder + "/" + name
		l.Object(program, &policy.Object{Section: policy.Files, Access: policy.Read, Path: path, Link: where&8 != 0}, false, where&16 != 0)
		l.Object(program, &policy.Object{Section: policy.Exec, Path: path}, false, false)
		l.Object(program, &policy.Object{Section: policy.Network, Address: policy.Address{Family: 1, Path: name, Abstract: true}}, false, false)
		l.Denied(program, &policy.Rule{Pos: policy.Position{File: program, Line: 1}, Section: policy.Files, Reason: name}, abi.Call{}, &policy.Object{Section: policy.Files, Access: policy.Write, Path: path})
		text, _, left := l.Policy(&Draft{Place: here, Command: []string{name, program}})
		b, err := policy.Set{parse(t, "/home/me/repo/p.yaml", text)}.Bind(policy.Place{Dir: here.Work, Home: here.Home})
		if err != nil {
			t.Fatal(err, text)
		}
		if !b.File(path, policy.Read).Action.Permits() && left == 0 {
			t.Errorf("%q is denied by\n%s", path, text)
		}
		for _, other := range []string{"/", folder, folder + "/beside", folder + "/x" + name, folder + "/" + name + "x"} {
			if b.File(other, policy.Read).Action.Permits() || b.File(other, policy.Write).Action.Permits() || b.Program(other).Action.Permits() {
				t.Errorf("%q is permitted by\n%s", other, text)
			}
		}
	})
}
