package policy

import (
	"strings"
	"testing"

	"callgate/policy/abi"
)

// TestCallTestsAreRead: what is written, with its place; those of extended files stay theirs.
func TestCallTestsAreRead(t *testing.T) {
	loader := files(map[string]string{
		"p.yaml": "callgate: 1\nextends: q.yaml\ntests:\n" +
			"  - call: openat(AT_FDCWD, \"/etc/shadow\", O_RDONLY)\n    expect: deny\n    errno: EACCES\n    reason: secrets\n" +
			"  - call:\n      - 9999\n      - \"open(\\\"/a #b\\\")\"\n    abi: i386\n    expect: skip\n    value: 7\n",
		"q.yaml": "callgate: 1\nsyscalls: []\ntests: [{call: read, expect: deny}]\n",
	})
	loader.Tests = true
	p, err := loader.Load("p.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Tests) != 3 {
		t.Fatalf("%d tests: %+v", len(p.Tests), p.Tests)
	}
	first, second, third := &p.Tests[0], &p.Tests[1], &p.Tests[2]
	if first.Pos != (Position{"p.yaml", 4, 11}) || first.Expect != Deny || first.Errno != errnoEACCES || first.Reason != "secrets" || first.Value != nil || first.Arch != 0 {
		t.Errorf("the first is %+v", first)
	}
	if second.Pos != (Position{"p.yaml", 9, 9}) || second.Text != "9999" || second.Arch != abi.I386 || second.Expect != Skip || *second.Value != 7 {
		t.Errorf("the second is %+v", second)
	}
	c, err := third.Call()
	if err != nil || c.Arch != abi.I386 || c.Nr != 5 || c.Texts[0] != "/a #b" {
		t.Errorf("the third calls %+v, %v", c, err)
	}
}

// TestCallTestsOfNoCall: what is no call is a mistake of the policy's to a loader that asks,
// together with all its others, and to no other.
func TestCallTestsOfNoCall(t *testing.T) {
	const text = `callgate: 1
syscalls: []
tests:
  - {call: opnat, expect: deny}
  - call: open("/a #b")
    expect: deny
  - {call: "socket(AF_INTE)", expect: deny, abi: x86_64}
  - {call: "i386:socket(AF_INET)", expect: deny, abi: x86_64}
  - {call: "connect(3, \"nowhere\")", expect: deny}
  - {call: "getpid(1)", expect: deny}
  - {call: "z80:getpid", expect: deny}
  - {call: open, expect: deny, abi: aarch64}
  - {call: umount, expect: deny}
`
	loader := &Loader{Tests: true}
	_, err := loader.Parse("p.yaml", []byte(text+"surprise: 1\n"))
	if err == nil {
		t.Fatal("no mistake")
	}
	want := []string{
		`p.yaml:4:12: unknown system call "opnat"; did you mean "openat"?`,
		`p.yaml:5:11: open: the closing parenthesis is missing; quote a call with # in it: YAML takes what follows for a comment`,
		`p.yaml:7:12: socket, domain: "AF_INTE" is none of the `,
		`p.yaml:8:12: the call is of i386, and the line abi says x86_64`,
		`p.yaml:9:12: connect, addr: "nowhere" is no address: expected one such as 127.0.0.1:80, [::1]:80 or unix:/run/x`,
		`p.yaml:10:12: getpid takes 0 arguments, and there is one more`,
		`p.yaml:11:12: unknown ABI "z80": expected x86_64, i386, x32 or aarch64`,
		`p.yaml:12:12: aarch64 has no system call "open"`,
		`p.yaml:13:12: `,
		`p.yaml:14:1: unknown key "surprise"`,
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d mistakes, not %d:\n%v", len(got), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%s\nwant %s", got[i], want[i])
		}
	}
	if hint := "; name an ABI that has it, as in `abi: i386`"; !strings.HasSuffix(got[8], hint) {
		t.Errorf("%s\nends not in %s", got[8], hint)
	}
	if p, err := (&Loader{}).Parse("p.yaml", []byte(text)); err != nil || p.Tests != nil {
		t.Errorf("without Tests: %v", err)
	}
}

// TestCallTestTooLong: no policy has pages printed of it.
func TestCallTestTooLong(t *testing.T) {
	text := "callgate: 1\ntests:\n" + strings.Repeat("  - {call: "+strings.Repeat("x", maxCall+1)+", expect: deny}\n", 50) + strings.Repeat("  - {call: opnat, expect: deny}\n", 10000)
	_, err := (&Loader{Tests: true}).Parse("p.yaml", []byte(text))
	if err == nil || !strings.HasPrefix(err.Error(), "p.yaml:3:12: the call has more than 9216 bytes\n") || len(err.Error()) > 10000 {
		t.Errorf("%.200v", err)
	}
}

func TestMet(t *testing.T) {
	seven := int64(7)
	for _, tt := range []struct {
		test CallTest
		v    Verdict
		met  bool
		want string
	}{
		{CallTest{Expect: Allow}, Verdict{Action: Allow}, true, "allow"},
		{CallTest{Expect: Allow}, Verdict{Action: Log}, false, "allow"},
		{CallTest{Expect: Log}, Verdict{Action: Log}, true, "log"},
		{CallTest{Expect: Deny}, Verdict{Action: Deny, Errno: 1}, true, "deny"},
		{CallTest{Expect: Deny, Errno: 1}, Verdict{Action: Deny, Errno: 1}, true, "deny, EPERM"},
		{CallTest{Expect: Deny, Errno: 13}, Verdict{Action: Deny, Errno: 1}, false, "deny, EACCES"},
		{CallTest{Expect: Deny}, Verdict{Action: Kill}, false, "deny"},
		{CallTest{Expect: Kill}, Verdict{Action: Kill}, true, "kill"},
		{CallTest{Expect: Skip}, Verdict{Action: Skip, Value: 3}, true, "skip"},
		{CallTest{Expect: Skip, Value: &seven}, Verdict{Action: Skip, Value: 7}, true, "skip, returns 7"},
		{CallTest{Expect: Skip, Value: &seven}, Verdict{Action: Skip}, false, "skip, returns 7"},
	} {
		if tt.test.Met(tt.v) != tt.met || tt.test.Expected() != tt.want {
			t.Errorf("%s, %v: met %v, want %v", tt.test.Expected(), tt.v, !tt.met, tt.met)
		}
	}
}
