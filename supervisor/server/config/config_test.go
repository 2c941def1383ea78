package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"callgate/policy"
)

func TestParse(t *testing.T) {
	c, err := Parse("/etc/callgated/config.yaml", []byte(`callgated: 1
state: data
host: a.b
slots: 4
policies: {ci: ci.yaml}
default: [ci]
ceiling: [builtin:base]
limits: {output: 1MiB, wall-time: 10m}
quotas: {"@staff": {running: 3}}
dead-after: 5s
socket-mode: 0660
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/etc/callgated/data" || c.Policies["ci"] != "/etc/callgated/ci.yaml" || c.Host != "a-b" || c.Mode != 0o660 {
		t.Errorf("%+v", c)
	}
	if c.Limits.Output != 1<<20 || time.Duration(c.Limits.WallTime) != 10*time.Minute || c.Limits.Audit == 0 || c.Quotas["@staff"].Running != 3 {
		t.Errorf("%+v", c)
	}
}

// TestSizes: a size is what it is in a policy, and bytes where it has no unit.
func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1048576": 1 << 20, "512B": 512, "4KiB": 4 << 10, "64MiB": 64 << 20, "64 MiB": 64 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40,
		"512M": -1, "1kB": -1, "B": -1, "-1B": -1, "1.5GiB": -1, "5000000TiB": -1,
	} {
		c, err := Parse("c.yaml", []byte("callgated: 1\nreserve: "+text+"\n"))
		if (err == nil) != (want >= 0) || err == nil && c.Reserve != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "c.yaml: the file is empty; a config begins with `callgated: 1`",
		"# nothing\n":                        "c.yaml: the file is empty",
		"- a\n":                              "c.yaml:1:1: expected keys and values, found a list",
		"slots: 3\n":                         "c.yaml:1:1: the line `callgated: 1` is missing",
		"callgated: 2\n":                     "c.yaml:1:12: this callgated reads version 1, not 2",
		"callgated: x\n":                     `c.yaml:1:12: expected a whole number, found "x"`,
		"callgated: 1\nsocet: a\n":           `c.yaml:2:1: unknown key "socet"; did you mean "socket"?`,
		"callgated: 1\nslots: 1\nslots: 2\n": `c.yaml:3:1: the key "slots" stands twice, first in line 2`,
		"callgated: 1\nslots: many\n":        `c.yaml:2:8: expected a whole number, found "many"`,
		"callgated: 1\nslots: [1]\n":         "c.yaml:2:8: expected a whole number, found a list",
		"callgated: 1\nroot-jobs: perhaps\n": `c.yaml:2:12: expected true or false, found "perhaps"`,
		"callgated: 1\nsocket: {a: b}\n":     "c.yaml:2:9: expected text, found keys and values",
		"callgated: 1\ndefault: ci\n":        `c.yaml:2:10: expected a list, found "ci"`,
		"callgated: 1\nlabels: a\n":          `c.yaml:2:9: expected keys and values, found "a"`,
		"callgated: 1\nreserve: 3 apples\n":  `c.yaml:2:10: expected a size, found "3 apples"; write for example 64MiB`,
		"callgated: 1\nkeep: forever\n":      `c.yaml:2:7: expected a time, found "forever"`,
		"callgated: 1\nsocket-mode: 0888\n":  `c.yaml:2:14: expected permissions in octal, found "0888"`,
		"callgated: 1\nstop: dead\n":         `c.yaml:2:7: unknown way to stop "dead"; expected leave, finish or kill`,
		"callgated: 1\nslots: 0\n":           "c.yaml:2:8: expected a number from 1 to 10000, found 0",
		"callgated: 1\nceiling: [site]\npolicies: {sites: a.yaml}\n": `c.yaml:2:11: "site" is neither builtin:NAME nor one of policies; did you mean "sites"?`,
		"callgated: 1\nlimits: {out: 3}\n":                           `c.yaml:2:10: unknown key "out"; expected wall-time, cpu-time`,
		"callgated: 1\npolicies: {'a/b': c.yaml}":                    "c.yaml:2:19: expected a name without / and :",
		"callgated: 1\nlimits: {processes: -1}\n":                    "c.yaml:2:21: expected 0 or more, found -1",
		"callgated: 1\nlimits: {memory: 512}\n":                      "c.yaml:2:18: 512B is too little: the least memory is 1MiB; write 0",
		"callgated: 1\nlimits: {open-files: 3}\n":                    "c.yaml:2:22: 3 is too little: the least open-files is 4",
		"callgated: 1\nlimits: {wall-time: 10us}\n":                  "c.yaml:2:21: 10µs is too little: the least wall-time is 1ms",
		"callgated: 1\nlimits: {inodes: -1}\n":                       "c.yaml:2:18: expected 0 or more",
		"callgated: 1\nquota: {queued: -1}\n":                        "c.yaml:2:17: expected 0 or more",
		"callgated: 1\nquotas: {ci: {stored: -1}}":                   "c.yaml:2:23: expected 0 or more",
		"callgated: 1\nmetrics: nohost\n":                            "c.yaml:2:10: expected an address and a port",
		"callgated: 1\nmetrics: a:b\n":                               "c.yaml:2:10: expected an address and a port",
		"callgated: 1\ntraces: ftp://x\n":                            "c.yaml:2:9: expected a collector's URL",
		"callgated: 1\nnats: ['nats://a:1', foo]\n":                  `c.yaml:2:22: expected a server's URL, found "foo"`,
		"callgated: 1\nsocket: /" + strings.Repeat("x", 107) + "\n":  "c.yaml:2:9: its path has 108 bytes",
		"callgated: 1\n\tslots: 1\n":                                 "c.yaml:2:",
		"callgated: 1\n---\ncallgated: 1\n":                          "c.yaml:2:1: a second document",
		"callgated: 1\nhost: &a b\n":                                 "c.yaml:2:7: an anchor",
		"callgated: 1\nhost: \xff\n":                                 "c.yaml:2:7: not UTF-8",
	} {
		_, err := Parse("c.yaml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "!!") {
			t.Errorf("%q: %v, not %s", text, err, want)
		}
	}
}

// TestAllMistakes: they are told in one go, in the order of the text.
func TestAllMistakes(t *testing.T) {
	_, err := Parse("c.yaml", []byte("callgated: 1\nslots: 0\nsocet: a\nkeep: x\nlimits:\n  memory: much\n  proceses: 3\nmetrics: nohost\nstop: [a]\ndefault: [x]\n"))
	want := `c.yaml:2:8: expected a number from 1 to 10000, found 0
c.yaml:3:1: unknown key "socet"; did you mean "socket"?
c.yaml:4:7: expected a time, found "x"; write for example 30s, 10m or 24h
c.yaml:6:11: expected a size, found "much"; write for example 64MiB; the units are B, KiB, MiB, GiB and TiB
c.yaml:7:3: unknown key "proceses"; did you mean "processes"?
c.yaml:8:10: expected an address and a port, found "nohost"; write for example 127.0.0.1:9464
c.yaml:9:7: expected text, found a list
c.yaml:10:11: "x" is neither builtin:NAME nor one of policies`
	var all policy.Mistakes
	if !errors.As(err, &all) || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestLeftOut: a key without a value is as if it was not there; numbers and the like are
// text where that is meant.
func TestLeftOut(t *testing.T) {
	c, err := Parse("c.yaml", []byte("callgated: 1\nsocket:\nlimits:\nquotas: ~\nslots:\noperators: {users: [4711, ops]}\nlabels: {gpu: true, n: 3}\nmetrics: ''\nnats:\n  - tls://u:p@a.example:1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Socket != "/run/callgated/callgated.sock" || c.Limits.OpenFiles != 4096 || c.Slots < 1 || c.Operators.Users[0] != "4711" || c.Labels["gpu"] != "true" || c.Labels["n"] != "3" {
		t.Errorf("%+v", c)
	}
}

// TestLoad: what the config names is looked at.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, want string }{
		"none":   {"supervisor: none\n", "c.yaml:2:13: the supervisor: stat " + dir + "/none: no such file or directory"},
		"folder": {"supervisor: .\n", "c.yaml:2:13: " + dir + " cannot be executed"},
		"file":   {"supervisor: c.yaml\n", "c.yaml:2:13: " + dir + "/c.yaml cannot be executed"},
		"state":  {"state: c.yaml\n", "c.yaml:2:8: " + dir + "/c.yaml is no folder"},
		"in":     {"state: c.yaml/in\n", "c.yaml:2:8: the daemon's folder: stat " + dir + "/c.yaml/in: not a directory"},
		"good":   {"state: new\n", ""},
	} {
		file := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(file, []byte("callgated: 1\n"+tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Load(file)
		if err == nil != (tt.want == "") || err != nil && err.Error() != dir+"/"+tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStrangers: who is not on this host is told, at the place where the config names it, and
// is no mistake; a number is nobody unknown.
func TestStrangers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := `callgated: 1
operators: { users: [root, nobodyknown, 4294967290], groups: [root, 4294967290] }
submit:
  users: [daemon]
  groups:
    - nogroupknown
quotas:
  4294967290: { running: 3 }
  "@root": { running: 3 }
  "@nogroupknown":
    running: 3
  tty: { running: 3 }
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`:2:28: this host knows no user "nobodyknown"`,
		`:6:7: this host knows no group "nogroupknown"`,
		`:10:3: this host knows no group "nogroupknown"`,
		`:12:3: this host knows no user "tty", but a group; a group has an @ before it: "@tty"`,
	}
	c, strangers, err := Load(file)
	if err != nil || c == nil || len(strangers) != len(want) {
		t.Fatalf("%v, %v", strangers, err)
	}
	for i, w := range strangers {
		if w.String() != file+want[i] {
			t.Errorf("%s", w)
		}
	}
}

// TestCeiling: what no job could be started under is a mistake, in a ceiling and nowhere else.
func TestCeiling(t *testing.T) {
	dir := t.TempDir()
	deny := filepath.Join(dir, "deny.yaml")
	if err := os.WriteFile(deny, []byte("callgate: 1\nfiles:\n  - deny: $DATA/keys\n  - read: /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp.yaml"), []byte("callgate: 1\nfiles: [{deny: $TMPDIR/x}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"ceiling: [deny, 'builtin:none']":            deny + ":3:11: in a ceiling $DATA is not set, so that this deny rule cannot be held; jobs' own variables",
		"ceiling: ['builtin:none', deny]":            deny + ":3:11: ",
		"default: [deny]\nceiling: ['builtin:none']": "",
		"ceiling: [tmp]":                             "",
		"default: ['builtin:none']\nceiling: [tmp]":  filepath.Join(dir, "tmp.yaml") + ":2:16: in a ceiling $TMPDIR is not set",
	} {
		c, err := Parse(filepath.Join(dir, "c.yaml"), []byte("callgated: 1\npolicies: {deny: deny.yaml, tmp: tmp.yaml}\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		shipped := fstest.MapFS{"default.yaml": {Data: []byte("callgate: 1\nenvironment: {private-tmp: true}\n")}, "none.yaml": {Data: []byte("callgate: 1\n")}}
		_, err = c.LoadPolicies(policy.Loader{Builtin: shipped})
		if err == nil != (want == "") || err != nil && (!strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzParse: whatever the text, there is a config or every mistake has a place.
func FuzzParse(f *testing.F) {
	f.Add([]byte("callgated: 1\nlimits: {memory: 1GiB}\nquotas: {a: {queued: 3}}\nnats: [x]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("c.yaml", text)
		var all policy.Mistakes
		if (c == nil) != (err != nil) || err != nil && !errors.As(err, &all) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	})
}
