package learn

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"callgate/policy"
	"callgate/policy/abi"
)

// added is a policy's text with what a run asked for and it lacks.
func added(t *testing.T, text string, note func(*Log)) (string, Added) {
	t.Helper()
	old, err := ReadText("p.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	l := &Log{Base: extending(t, text), Extending: true}
	note(l)
	now, told := l.Add(&Draft{Place: here, Command: []string{"make", "other"}, PrivateTmp: !old.Has("environment", "private-tmp")}, old)
	extending(t, now)
	return now, told
}

// extending loads a policy that may extend builtin:x.
func extending(t *testing.T, text string) *policy.Policy {
	t.Helper()
	l := policy.Loader{Builtin: fstest.MapFS{"x.yaml": {Data: []byte("callgate: 1\nfiles: []\n")}}}
	p, err := l.Parse("/home/me/repo/p.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// TestAdd: what is new stands at the end of its section, and all else as it was.
func TestAdd(t *testing.T) {
	reads := func(l *Log) { l.read("/data/x") }
	for name, c := range map[string]struct {
		text, want string
		note       func(*Log)
	}{
		"at the end":              {"callgate: 1\nfiles:\n  - write: /b # me: \"#\"\n  - read: /a\n", "callgate: 1\nfiles:\n  - write: /b # me: \"#\"\n  - read: /a\n+  - read: /data/x # prog\n", reads},
		"as far in as the others": {"callgate: 1\nfiles:\n    - read: /a\nexec: []\n", "callgate: 1\nfiles:\n    - read: /a\n+    - read: /data/x # prog\nexec: []\n", reads},
		"not in at all":           {"callgate: 1\nfiles:\n- read: /a\n# of exec\nexec: []\n", "callgate: 1\nfiles:\n- read: /a\n+- read: /data/x # prog\n# of exec\nexec: []\n", reads},
		"behind its own comments": {"callgate: 1\nfiles:\n  - read: /a\n\n  # - read: / # ls: it was listed\n\n# of exec\nexec: []\n",
			"callgate: 1\nfiles:\n  - read: /a\n\n  # - read: / # ls: it was listed\n+  - read: /data/x # prog\n\n# of exec\nexec: []\n", reads},
		"before those of another": {"callgate: 1\nfiles:\n  - read: /a\n# exec:\n  # - allow: /b\n", "callgate: 1\nfiles:\n  - read: /a\n+  - read: /data/x # prog\n# exec:\n  # - allow: /b\n", reads},
		"behind lines of text": {"callgate: 1\nfiles:\n  - deny: /a\n    reason: |\n      one\n      # two\n\nexec: []\n",
			"callgate: 1\nfiles:\n  - deny: /a\n    reason: |\n      one\n      # two\n+  - read: /data/x # prog\n\nexec: []\n", reads},
		"behind a list of lines": {"callgate: 1\nfiles:\n- read: [/a,\n # b\n /b\n]\n", "callgate: 1\nfiles:\n- read: [/a,\n # b\n /b\n]\n+- read: /data/x # prog\n", reads},
		"no rules yet":           {"callgate: 1\nfiles: [ ] # none\nexec: []\n", "callgate: 1\nfiles: # none\n+  - read: /data/x # prog\nexec: []\n", reads},
		"no section yet":         {"callgate: 1\nextends: builtin:x\ndefault: deny\n", "callgate: 1\nextends: builtin:x\nfiles:\n+  - read: /data/x # prog\ndefault: deny\n", reads},
		"nor one after it":       {"callgate: 1\nextends:\n  - builtin:x\nexec: []\n", "callgate: 1\nextends:\n  - builtin:x\nfiles:\n+  - read: /data/x # prog\nexec: []\n", reads},
		"no line end":            {"callgate: 1\nexec: []\nfiles: [] # x", "callgate: 1\nexec: []\nfiles: # x\n+  - read: /data/x # prog\n", reads},
		"comments alone": {"callgate: 1\nfiles: []\n", "callgate: 1\nfiles: []\n+  # - read: \"~\" # prog: it was listed, and a rule on it permits all beneath\n",
			func(l *Log) { l.read("/home/me/") }},
		"comments that are there":           {"callgate: 1\nfiles: []\n# - read: \"~\" # me: no\n", "callgate: 1\nfiles: []\n# - read: \"~\" # me: no\n", func(l *Log) { l.read("/home/me/") }},
		"a rule that is there as a comment": {"callgate: 1\nfiles:\n  # - read: /data/x # prog: not sure\n  - read: /a\n", "callgate: 1\nfiles:\n  # - read: /data/x # prog: not sure\n  - read: /a\n+  - read: /data/x # prog\n", reads},
		"comments without a section": {"callgate: 1\nextends: builtin:x\n", "callgate: 1\nextends: builtin:x\n# files:\n+  # - read: \"~\" # prog: it was listed, and a rule on it permits all beneath\n",
			func(l *Log) { l.read("/home/me/") }},
		"several sections": {"callgate: 1\nsyscalls: [] # c\nexec:\n  - allow: /b\n", "callgate: 1\nsyscalls: # c\n+  - allow: pause\nfiles:\n+  - read: /data/x # prog\nexec:\n  - allow: /b\n+  - allow: /bin/cat\n",
			func(l *Log) {
				reads(l)
				l.Object("cat", &policy.Object{Section: policy.Exec, Path: "/bin/cat"}, false, false)
				pause, _ := abi.Native().ByName("pause")
				l.Call("prog", abi.Call{Arch: abi.Native(), Nr: pause.Nr})
			}},
		"a folder of its own":     {"callgate: 1\nfiles: []\n", "callgate: 1\nfiles:\n+  - write: \"$TMPDIR\" # prog\nenvironment:\n  " + privateTmp + "\n", writesTmp},
		"beside what is kept":     {"callgate: 1\nenvironment:\n   keep:\n   - HOME\nfiles: []\n", "callgate: 1\nenvironment:\n   keep:\n   - HOME\n   " + privateTmp + "\nfiles:\n+  - write: \"$TMPDIR\" # prog\n", writesTmp},
		"in one line":             {"callgate: 1\nfiles: []\nenvironment: { keep: [HOME] } # x\n", "callgate: 1\nfiles:\n+  - write: \"$TMPDIR\" # prog\nenvironment: { private-tmp: true, keep: [HOME] } # x\n", writesTmp},
		"where that is said":      {"callgate: 1\nfiles: []\nenvironment: { private-tmp: false }\n", "callgate: 1\nfiles:\n+  - write: \"$TMPDIR\" # prog\nenvironment: { private-tmp: false }\n", writesTmp},
		"a file that is indented": {"  callgate: 1\n  extends: builtin:x\n", "  callgate: 1\n  extends: builtin:x\n  files:\n+    - read: /data/x # prog\n", reads},
		"nothing":                 {"callgate: 1\nfiles:\n  - read: /data # all\n", "callgate: 1\nfiles:\n  - read: /data # all\n", func(*Log) {}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := added(t, c.text, c.note)
			if want := headed(c.want); got != want {
				t.Errorf("got\n%s\nnot\n%s", got, want)
			}
			if old, err := ReadText("p.yaml", []byte(c.text)); err != nil {
				t.Error(err)
			} else {
				extending(t, old.Trial())
			}
			again, told := added(t, got, func(*Log) {})
			if again != got || told != (Added{}) {
				t.Errorf("again:\n%s", again)
			}
		})
	}
}

func writesTmp(l *Log) { l.write("/tmp/callgate-1/x/f") }

// headed has a comment before the first of the lines that are marked with a +.
func headed(text string) string {
	var out []string
	was := false
	for line := range strings.Lines(text) {
		now := line[0] == '+'
		if line = strings.TrimPrefix(line, "+"); now && !was {
			out = append(out, line[:len(line)-len(strings.TrimLeft(line, " "))]+"# Learned from one run of: make other\n")
		}
		out, was = append(out, line), now
	}
	return strings.Join(out, "")
}

// TestAddBefore: what the policy denies by a rule it denies still, though what is learned is
// on a folder above.
func TestAddBefore(t *testing.T) {
	text := "callgate: 1\nfiles:\n  - read: /usr\n  - deny: /srv/lib/a/key\n"
	got, told := added(t, text, func(l *Log) { l.read("/srv/lib/a/1", "/srv/lib/a/2", "/srv/lib/a/3") })
	if want := headed(text + "+  - read: /srv/lib/a # prog; for several names in it\n"); got != want || told.Rules != 1 {
		t.Errorf("%s\n%+v", got, told)
	}
}

// TestAddKept: denials of names in any folder that the policy extends stand before rules that
// are added, once.
func TestAddKept(t *testing.T) {
	kept, _ := parse(t, "builtin:any", "callgate: 1\nfiles:\n  - deny: \"**/.env\"\n").Section(policy.Files)
	text := "callgate: 1\nfiles:\n  - read: /a\n"
	for name, more := range []string{"+  - {deny: \"/**/.env\", errno: EACCES} # as builtin:any:3\n+  - write: \"./0\" # prog\n", "+  - write: \"./1\" # prog\n"} {
		old, err := ReadText("p.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		l := &Log{Base: extending(t, text), Extending: true}
		l.write("/home/me/repo/" + strconv.Itoa(name))
		got, _ := l.Add(&Draft{Place: here, Command: []string{"make", "other"}, Kept: kept}, old)
		if want := text + headed(more); got != want {
			t.Errorf("got\n%s\nnot\n%s", got, want)
		}
		text = got
	}
}

// TestUnfit: where rules could not be added behind the others is told, with its place.
func TestUnfit(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "p.yaml: nothing can be added to the policy",
		"- a\n":                                  "p.yaml:1:1: nothing can be added to the policy",
		"{callgate: 1}\n":                        "p.yaml:1:1: nothing can be added to the policy as it is written; write each key of the policy in lines of its own",
		"callgate: 1\nfiles: [{read: /}]\n":      "p.yaml:2:8: nothing can be added to `files` as it is written; write its rules in lines of their own, each with `- ` before it",
		"callgate: 1\nexec: [\n]\n":              "p.yaml:2:7: nothing can be added to `exec`",
		"callgate: 1\nnetwork: no\n":             "p.yaml:2:10: nothing can be added to `network`",
		"callgate: 1\nenvironment: none\n":       "p.yaml:2:14: nothing can be added to `environment`",
		"callgate: 1\n---\ncallgate: 1\n":        "p.yaml:2:1: a second document",
		"callgate: &x 1\nfiles:\n  - read: *x\n": "p.yaml:1:11: an anchor",
	} {
		_, err := ReadText("p.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestAddBounds: what would make the policy one that cannot be loaded is left out.
func TestAddBounds(t *testing.T) {
	text := "callgate: 1\nfiles:\n" + strings.Repeat("  - deny: /a\n", rulesMost-2)
	_, told := added(t, text, func(l *Log) { l.read("/srv/a/1", "/srv/b/1", "/srv/c/1", "/srv/d/1") })
	if told != (Added{Rules: 2, Left: 2}) {
		t.Errorf("%+v", told)
	}
	text = "callgate: 1\nfiles: []\n" + strings.Repeat("# "+strings.Repeat("x", 98)+"\n", mostText/100)
	now, told := added(t, text, func(l *Log) { l.read("/srv/a/1") })
	if told != (Added{Left: 1}) || now != text {
		t.Errorf("%+v", told)
	}
}

// FuzzAdd: whatever the policy, what is added to it makes a policy of which the rules begin
// with those that there were, and all lines stand there still.
func FuzzAdd(f *testing.F) {
	for _, text := range []string{
		"callgate: 1\nfiles:\n  - read: /a\n", "callgate: 1\nfiles: []\nexec:\n- allow: /b\n# c\n", "callgate: 1\nfiles:\n  - deny: /a\n    reason: >-\n      x\n\n      # y\n\nsyscalls: []\n...\n",
		"callgate: 1\nenvironment: {keep: [A]}\nfiles:\n  - read: [/a,\n/b\n]\n", "--- # x\ncallgate: 1\n'files':\n  -\n    read: /a\n", "callgate: 1\r\nfiles: []\r\n", "? callgate\n: 1\n? files\n: - read: /a\n",
	} {
		f.Add(text)
	}
	load := func(text string) (*policy.Policy, error) {
		l := policy.Loader{ReadFile: func(string) ([]byte, error) { return nil, policy.Mistakes{} }}
		return l.Parse("/home/me/repo/p.yaml", []byte(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		was, err := load(text)
		if err != nil {
			return
		}
		old, err := ReadText("p.yaml", []byte(text))
		if err != nil {
			return
		}
		l := &Log{Base: was, Extending: true}
		l.read("/srv/data/x", "/")
		l.write("/tmp/callgate-1/x/f")
		l.Object("cat", &policy.Object{Section: policy.Exec, Path: "/bin/cat"}, false, false)
		d := &Draft{Place: here, Command: []string{"a\nb"}, PrivateTmp: !old.Has("environment", "private-tmp")}
		if same := old.with(&addition{}); same != text {
			t.Fatalf("%q without an addition is %q", text, same)
		}
		if _, err := load(old.Trial()); err != nil {
			return // told by who learns, before anything is run
		}
		added, _ := l.Add(d, old)
		now, err := load(added)
		if err != nil {
			t.Fatalf("%q: %v: %q", text, err, added)
		}
		for sec := policy.Syscalls; sec <= policy.Network; sec++ {
			before, _ := was.Section(sec)
			after, _ := now.Section(sec)
			for i, r := range before {
				if i >= len(after) || after[i].String() != r.String() {
					t.Fatalf("%q: rule %s is not where it was in %q", text, r, added)
				}
			}
		}
		rest := strings.SplitAfter(added, "\n")
		for line := range strings.Lines(text) {
			if strings.Contains(line, "[") || strings.Contains(line, "{") {
				continue
			}
			i := slices.IndexFunc(rest, func(have string) bool { return strings.TrimSuffix(have, "\n") == strings.TrimSuffix(line, "\n") })
			if i < 0 {
				t.Fatalf("%q: the line %q is not in %q", text, line, added)
			}
			rest = rest[i+1:]
		}
	})
}
