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
		got := Permit(c, p.Decide(c))
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
	mount := abi.Call{Arch: abi.X86_64, Nr: s.Nr}
	ptrace, ptrace32 := parse(t, "ptrace(PTRACE_TRACEME)"), parse(t, "i386:ptrace(PTRACE_TRACEME)")
	for _, c := range []struct {
		call abi.Call
		v    policy.Verdict
		want string
	}{
		{getpid, p.Decide(getpid), "compat: {x32: same}"},
		{unknown, p.Decide(unknown), "no rule can name call number 9999"},
		{abi.Call{}, p.Decide(abi.Call{}), "no rule can name the calls of this ABI"},
		{mount, policy.Verdict{Action: policy.Deny, Cause: policy.ByUnknown}, "no rule applies: the call is newer than the policy's `kernel:` line"},
		{mount, policy.Verdict{Action: policy.Deny, Policy: &policy.Policy{Name: policy.GuardName}}, "never permitted: it would lead around the policy"},
		{mount, policy.Verdict{Action: policy.Kill}, "- allow: mount"},
		{ptrace, p.Decide(ptrace), traced},
		{ptrace32, p.Decide(ptrace32), traced},
	} {
		if got := Permit(c.call, c.v); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestPermitOfSeveral: a rule in one policy is of no use where another refuses the
// call too. What a guard refuses no rule permits.
func TestPermitOfSeveral(t *testing.T) {
	named := func(name, text string) *policy.Policy {
		p, err := new(policy.Loader).Parse(name, []byte("callgate: 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const others = "default: allow\ncompat: {i386: same}\nsyscalls:\n"
	deny := named("deny.yaml", "syscalls: []\n")
	mount := named("mount.yaml", others+"  - deny: mount\n")
	option := named("option.yaml", others+"  - deny: prctl\n    args: {option: PR_SET_MM}\n  - deny: prctl\n    args: {option: PR_SET_NAME}\n")
	clone := named("clone.yaml", others+"  - deny: clone3\n  - deny: clone\n    args: {flags: {mask: CLONE_NEWUSER, is: CLONE_NEWUSER}}\n")
	guard := named(policy.GuardName, others+"  - deny: [io_uring_setup, clone]\n")
	all := named("all.yaml", "compat: {i386: same}\nsyscalls:\n  - kill: socketcall\n")
	for _, c := range []struct {
		set          policy.Set
		call, direct string
		want         string
	}{
		{policy.Set{deny, mount}, "mount()", "", "- allow: mount; and above mount.yaml:5: - allow: mount"},
		{policy.Set{mount, deny}, "mount()", "", "- allow: mount; and in deny.yaml: - allow: mount"},
		{policy.Set{deny, option}, "prctl(PR_SET_NAME)", "", "- allow: prctl; and above option.yaml:7: - {allow: prctl, args: {option: PR_SET_NAME}}"},
		{policy.Set{deny, option}, "prctl(PR_GET_NAME)", "", "- allow: prctl"},
		{policy.Set{deny, guard}, "io_uring_setup()", "", never},
		{policy.Set{deny, guard}, "mount()", "", "- allow: mount"},
		{policy.Set{clone}, "clone3()", "clone()", "- allow: clone3"},
		{policy.Set{clone}, "clone3()", "clone(CLONE_NEWUSER)", "- allow: clone3; and above clone.yaml:6: - {allow: clone, args: {flags: CLONE_NEWUSER}}"},
		{policy.Set{deny}, "clone3()", "clone()", "- allow: clone3; and in deny.yaml: - allow: clone"},
		{policy.Set{clone, guard}, "clone3()", "clone()", never},
		{policy.Set{all}, "i386:102()", "i386:socket(AF_INET)", "- allow: socketcall; and in all.yaml: - allow: socket"},
		{policy.Set{deny, all}, "i386:mount()", "", "compat: {i386: same}; and in all.yaml: - allow: mount"},
		{policy.Set{all, deny}, "i386:mount()", "", "compat: {i386: same}; and in all.yaml: - allow: mount"},
	} {
		f := Facts{Call: parse(t, c.call), Set: c.set}
		f.Direct, f.Verdict = f.Call, c.set.Decide(f.Call)
		if c.direct != "" {
			f.Direct = parse(t, c.direct)
		}
		if got := NewCall(f).Permit; got != c.want {
			t.Errorf("%s under %s\ngot  %s\nwant %s", c.call, c.set[0].Name, got, c.want)
		}
	}
}

func TestPermitOfWhatNoRuleIsAbout(t *testing.T) {
	p := load(t, rules)
	f := Facts{Call: parse(t, "prlimit64(1)"), Set: policy.Set{p}, Verdict: policy.Verdict{Action: policy.Deny, Policy: p}}
	f.Direct, f.Reason = f.Call, "its arguments are in memory that cannot be read"
	if got := NewCall(f).Permit; got != "no rule can be named for this" {
		t.Error(got)
	}
	if f.Barred = true; NewCall(f).Permit != never {
		t.Error(NewCall(f).Permit)
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
		`"rule":"ci.yaml:17","policy":"ci.yaml","tier":"traced","reason":"more","permit":"no rule can be named for this","enforced":false}`; got != want {
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
		rule := Permit(c, v)
		text := strings.Replace(rules, "syscalls:\n", "syscalls:\n  "+rule+"\n", 1)
		if v := load(t, text).Decide(c); v.Action != policy.Allow {
			t.Errorf("%s %x: with %s it is %v", s.Name, c.Args, rule, v)
		}
	}
}
