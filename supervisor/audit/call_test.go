package audit

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

func load(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := new(policy.Loader).Parse("ci.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parse(t *testing.T, text string) abi.Call {
	t.Helper()
	c, err := policy.ParseCall(text, abi.X86_64)
	if err != nil {
		t.Fatal(err)
	}
	return c.Call
}

const rules = `callgate: 1
default: deny
compat: {i386: same, x32: kill}
syscalls:
  - allow: socket
    args: {domain: [AF_UNIX], type: {mask: 0xf, is: SOCK_STREAM}}
  - deny: ioctl
    args: {op: [TIOCSTI, TIOCLINUX]}
    reason: pushes input
  - allow: ioctl
  - allow: lseek
    args: {offset: {min: 0}}
  - allow: [chmod, mkdir]
    args: {mode: {mask: 0o111, is: 0}}
  - deny: mount
    errno: ENOENT
  - skip: chown
    value: 3
`

func TestPermit(t *testing.T) {
	p := load(t, rules)
	for call, want := range map[string]string{
		"socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0)": "- {allow: socket, args: {domain: AF_INET, type: SOCK_STREAM|SOCK_CLOEXEC}}",
		"ioctl(0, TIOCSTI, 5)":                         "- {allow: ioctl, args: {request: TIOCSTI}}",
		"lseek(3, -5, SEEK_END)":                       "- {allow: lseek, args: {offset: -5}}",
		`mkdir("x", 0755)`:                             "- {allow: mkdir, args: {mode: 0o755}}",
		"mount()":                                      "- allow: mount",
		"chown()":                                      "- allow: chown",
		"getpid()":                                     "- allow: getpid",
		"i386:chown32()":                               "- allow: chown",
		"i386:socket(AF_INET)":                         "- {allow: socket, args: {domain: AF_INET, type: 0}}",
	} {
		c := parse(t, call)
		s, _ := c.Arch.Lookup(c.Nr)
		v := p.Decide(c)
		got := Permit(c, s, v)
		if got != want {
			t.Errorf("%s: got %s, want %s", call, got, want)
		}
		permitted := load(t, strings.Replace(rules, "syscalls:\n", "syscalls:\n  "+got+"\n", 1))
		if v := permitted.Decide(c); v.Action != policy.Allow {
			t.Errorf("%s: with %s it is %v", call, got, v)
		}
	}
}

func TestPermitWhereNoRuleHelps(t *testing.T) {
	p := load(t, rules)
	getpid := abi.Call{Arch: abi.X32, Nr: 39 | abi.X32Bit}
	unknown := abi.Call{Arch: abi.X86_64, Nr: 9999}
	s, _ := abi.X86_64.ByName("mount")
	for _, c := range []struct {
		call abi.Call
		s    *abi.Syscall
		v    policy.Verdict
		want string
	}{
		{getpid, nil, p.Decide(getpid), "compat: {x32: same}"},
		{unknown, nil, p.Decide(unknown), "no rule can name call number 9999"},
		{abi.Call{}, nil, p.Decide(abi.Call{}), "no rule can name the calls of this ABI"},
		{unknown, s, policy.Verdict{Action: policy.Deny, Cause: policy.ByUnknown}, "no rule applies: the call is newer than the policy's `kernel:` line"},
		{unknown, s, policy.Verdict{Action: policy.Deny, Policy: &policy.Policy{Name: policy.GuardName}}, "never permitted: it would lead around the policy"},
		{unknown, s, policy.Verdict{Action: policy.Kill}, "- allow: mount"},
	} {
		if got := Permit(c.call, c.s, c.v); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// made is the log's line for a call as p decides it, without what all have.
func made(t *testing.T, f Facts) string {
	t.Helper()
	b, err := json.Marshal(NewCall(f))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNewCall(t *testing.T) {
	p := load(t, rules)
	facts := func(call string, args ...string) Facts {
		c := parse(t, call)
		return Facts{Call: c, Direct: c, Entry: "syscall", Args: args, Tier: "traced", Verdict: p.Decide(c)}
	}
	f := facts("ioctl(0, TIOCSTI, 5)", "0", "TIOCSTI", "0x5")
	if got, want := made(t, f), `{"abi":"x86_64","entry":"syscall","nr":16,"syscall":"ioctl","args":["0","TIOCSTI","0x5"],"verdict":"deny","errno":"EPERM",`+
		`"rule":"ci.yaml:7","policy":"ci.yaml","tier":"traced","reason":"pushes input","permit":"- {allow: ioctl, args: {request: TIOCSTI}}","enforced":true}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f = facts("chown()")
	f.Ignored, f.Reason = true, "more"
	if got, want := made(t, f), `{"abi":"x86_64","entry":"syscall","nr":92,"syscall":"chown","args":null,"verdict":"skip","value":3,`+
		`"rule":"ci.yaml:17","policy":"ci.yaml","tier":"traced","reason":"more","permit":"- allow: chown","enforced":false}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f = facts("i386:socket(AF_INET, SOCK_STREAM, 0)", "AF_INET", "SOCK_STREAM", "0")
	f.Call.Nr, f.Carrier, f.Entry, f.Code = 102, "socketcall", "int80", "64-bit"
	if got, want := made(t, f), `{"abi":"i386","entry":"int80","code":"64-bit","nr":102,"syscall":"socket","misread":"getuid","args":["AF_INET","SOCK_STREAM","0"],`+
		`"of":"socketcall","verdict":"deny","errno":"EPERM","rule":"default","policy":"ci.yaml","tier":"traced",`+
		`"permit":"- {allow: socket, args: {domain: AF_INET, type: SOCK_STREAM}}","enforced":true}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f = facts("lseek(3, 5, 0)", "3", "5", "SEEK_SET")
	if got, want := made(t, f), `{"abi":"x86_64","entry":"syscall","nr":8,"syscall":"lseek","args":["3","5","SEEK_SET"],"verdict":"allow",`+
		`"rule":"ci.yaml:11","policy":"ci.yaml","tier":"traced","enforced":true}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f.Call = abi.Call{Arch: abi.X86_64, Nr: 0xffffffff}
	f.Direct, f.Verdict = f.Call, p.Decide(f.Call)
	if got := NewCall(f); got.Nr != -1 || got.Syscall != "" || got.Rule != "unknown" || got.Errno != "ENOSYS" {
		t.Errorf("%+v", got)
	}
	f.Call = abi.Call{Arch: abi.I386, Nr: 461, Args: [6]uint64{1}}
	f.Code = "64-bit"
	if got := NewCall(f); got.Misread == "" {
		t.Errorf("%+v", got)
	}
	f.Code = "32-bit"
	if got := NewCall(f); got.Misread != "" {
		t.Errorf("%+v", got)
	}
}

// TestPermitPermits tries what Permit says on calls with any registers: put on
// top of the policy it permits the call, in every ABI.
func TestPermitPermits(t *testing.T) {
	p := load(t, rules)
	rnd := rand.New(rand.NewPCG(3, 4))
	names := []string{"socket", "ioctl", "lseek", "mkdir", "chmod", "mount", "chown", "openat", "prctl", "_llseek", "fcntl64"}
	for range 300 {
		arch := []abi.Arch{abi.X86_64, abi.I386}[rnd.IntN(2)]
		s, ok := arch.ByName(names[rnd.IntN(len(names))])
		if !ok {
			continue
		}
		c := abi.Call{Arch: arch, Nr: s.Nr}
		for i := range c.Args {
			c.Args[i] = rnd.Uint64() >> rnd.IntN(64)
		}
		v := p.Decide(c)
		if v.Action.Permits() {
			continue
		}
		rule := Permit(c, s, v)
		text := strings.Replace(rules, "syscalls:\n", "syscalls:\n  "+rule+"\n", 1)
		if v := load(t, text).Decide(c); v.Action != policy.Allow {
			t.Errorf("%s %x: with %s it is %v", s.Name, c.Args, rule, v)
		}
	}
}
