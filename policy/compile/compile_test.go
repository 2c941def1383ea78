package compile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// compiled is the plan of a policy with this text.
func compiled(t *testing.T, opts Options, text string) *Plan {
	t.Helper()
	p, err := loadText(text)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(policy.Set{p}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// callTo is a call of the native ABI.
func callTo(t *testing.T, arch abi.Arch, name string, args ...uint64) abi.Call {
	t.Helper()
	s, ok := arch.ByName(name)
	if !ok {
		t.Fatalf("no %s in %s", name, arch)
	}
	c := abi.Call{Arch: arch, Nr: s.Nr}
	copy(c.Args[:], args)
	return c
}

func TestShippedPoliciesCompile(t *testing.T) {
	for _, name := range shipped {
		for _, report := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s report=%v", name, report), func(t *testing.T) {
				plan, err := Compile(builtin(t, name), Options{Report: report})
				if err != nil {
					t.Fatal(err)
				}
				if n := len(plan.Filters); n > 4 {
					t.Errorf("takes %d filters", n)
				}
				for _, i := range plan.inexact {
					if i.arch == abi.X86_64 {
						t.Errorf("number %d is not decided exactly: %s", i.nr, i.why)
					}
				}
			})
		}
	}
}

func TestSeveralShippedPoliciesCompile(t *testing.T) {
	set := append(builtin(t, "default"), append(builtin(t, "build"), builtin(t, "compute")...)...)
	plan, err := Compile(set, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Answer(callTo(t, abi.X86_64, "read")); got != retAllow {
		t.Errorf("read gets %s, all three policies allow it", actionName(got))
	}
}

func TestNoPolicyIsAnError(t *testing.T) {
	if _, err := Compile(nil, Options{}); err == nil {
		t.Error("a plan without a policy")
	}
}

const manyAnswers = `
callgate: 1
default: deny
errno: EPERM
compat: {i386: same, x32: deny}
syscalls:
  - allow: [read, write, clone, clone3, execve, exit_group]
  - deny: [mount]
    errno: ENOSYS
  - skip: chown
  - skip: lchown
    value: 5
  - kill: kexec_load
  - log: ptrace
  - deny: socket
    args: {family: AF_PACKET}
    errno: EAFNOSUPPORT
  - kill: socket
    args: {family: AF_ALG}
  - allow: socket
    args: {family: [AF_UNIX, AF_INET]}
  - allow: personality
    args: {persona: {not: 0x20000}}
`

func TestAnswersAndTiers(t *testing.T) {
	silent := compiled(t, Options{}, manyAnswers)
	telling := compiled(t, Options{Report: true}, manyAnswers)
	errno := func(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }
	call := func(name string, args ...uint64) abi.Call { return callTo(t, abi.X86_64, name, args...) }
	for name, c := range map[string]struct {
		call            abi.Call
		silent, telling uint32
		why             string // of the stop under telling, or else silent
	}{
		"allowed":         {call("read"), retAllow, retAllow, ""},
		"denied":          {call("mount"), errno(unix.ENOSYS), retTrace, "reported"},
		"default":         {call("reboot"), errno(unix.EPERM), retTrace, "reported"},
		"skipped":         {call("chown"), errno(0), retTrace, "reported"},
		"skipped, value":  {call("lchown"), retTrace, retTrace, "no value other than"},
		"killed":          {call("kexec_load"), retKill, retTrace, "before the kernel kills"},
		"logged":          {call("ptrace"), retTrace, retTrace, "recorded"},
		"exec":            {call("execve"), retTrace, retTrace, "every program"},
		"clone3":          {call("clone3"), retTrace, retTrace, "memory"},
		"clone":           {call("clone", 0x3d0f00), retAllow, retAllow, ""},
		"untraced":        {call("clone", 0x3d0f00|unix.CLONE_UNTRACED), retTrace, retTrace, "CLONE_UNTRACED"},
		"family denied":   {call("socket", unix.AF_PACKET), errno(unix.EAFNOSUPPORT), retTrace, "reported"},
		"family killed":   {call("socket", unix.AF_ALG), retKill, retTrace, "kills"},
		"family allowed":  {call("socket", unix.AF_INET), retAllow, retAllow, ""},
		"high half":       {call("socket", 1<<32|unix.AF_INET), retAllow, retAllow, ""},
		"other family":    {call("socket", unix.AF_NETLINK), errno(unix.EPERM), retTrace, "reported"},
		"complement":      {call("personality", 7), retAllow, retAllow, ""},
		"its exception":   {call("personality", 0x20000), errno(unix.EPERM), retTrace, "reported"},
		"unknown":         {abi.Call{Arch: abi.X86_64, Nr: 4000}, errno(unix.ENOSYS), retTrace, "reported"},
		"minus one":       {abi.Call{Arch: abi.X86_64, Nr: 1<<32 - 1}, errno(unix.ENOSYS), retTrace, "reported"},
		"x32":             {callTo(t, abi.X32, "read"), errno(unix.ENOSYS), retTrace, "reported"},
		"x32 exec":        {callTo(t, abi.X32, "execve"), errno(unix.ENOSYS), retTrace, "reported"},
		"i386 by name":    {callTo(t, abi.I386, "read"), retAllow, retAllow, ""},
		"i386 socketcall": {callTo(t, abi.I386, "socketcall"), retTrace, retTrace, "memory"},
		"i386 socket":     {callTo(t, abi.I386, "socket", unix.AF_INET), retTrace, retTrace, "libseccomp"},
		"no ABI":          {abi.Call{Nr: 1}, retKill, retKill, ""},
	} {
		if got := silent.Answer(c.call); got != c.silent {
			t.Errorf("%s: without report %s, want %s", name, actionName(got), actionName(c.silent))
		}
		if got := telling.Answer(c.call); got != c.telling {
			t.Errorf("%s: with report %s, want %s", name, actionName(got), actionName(c.telling))
		}
		tier, why := telling.Tier(c.call)
		if wantTier := map[bool]Tier{true: Traced, false: Filter}[c.telling == retTrace]; tier != wantTier || !strings.Contains(why, c.why) || c.why == "" && why != "" {
			t.Errorf("%s: tier %s because %q, want %s because of %q", name, tier, why, wantTier, c.why)
		}
	}
}

// A call fails with every errno that the language has. The last is the kernel's
// MAX_ERRNO, which libseccomp does not take.
func TestEveryErrnoIsReturned(t *testing.T) {
	const text = "callgate: 1\ndefault: deny\nerrno: %[1]d\nsyscalls: [{allow: read}, {deny: mount, errno: %[1]d}, {deny: socket, args: {family: 3}, errno: %[1]d}]\n"
	for errno, want := range map[uint32]uint32{1: unix.SECCOMP_RET_ERRNO | 1, 4094: unix.SECCOMP_RET_ERRNO | 4094, 4095: retTrace} {
		plan := compiled(t, Options{}, fmt.Sprintf(text, errno))
		for _, c := range []abi.Call{callTo(t, abi.X86_64, "mount"), callTo(t, abi.X86_64, "reboot"), callTo(t, abi.X86_64, "socket", 3)} {
			if got := plan.Answer(c); got != want {
				t.Errorf("errno %d: call %d gets %s", errno, c.Nr, actionName(got))
			}
			if _, why := plan.Tier(c); want == retTrace && why != "libseccomp makes no filter that answers errno 4095" {
				t.Errorf("errno %d: call %d is traced because %q", errno, c.Nr, why)
			}
		}
	}
}

func TestKillNrKillsInEveryABI(t *testing.T) {
	for _, name := range shipped {
		plan, err := Compile(builtin(t, name), Options{Report: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []abi.Arch{abi.X86_64, abi.I386} {
			if got := plan.Answer(abi.Call{Arch: a, Nr: KillNr}); got != retKill {
				t.Errorf("%s: %s: KillNr gets %s", name, a, actionName(got))
			}
		}
	}
}

// A list that takes more comparisons than a filter should have is traced, and
// Tier says so.
func TestLongConditionsAreTraced(t *testing.T) {
	var list []string
	for i := range 400 {
		list = append(list, fmt.Sprintf("%#x", i*i*7+3))
	}
	plan := compiled(t, Options{}, "callgate: 1\ndefault: deny\nsyscalls:\n  - allow: ioctl\n    args: {request: ["+strings.Join(list, ", ")+"]}\n")
	c := callTo(t, abi.X86_64, "ioctl", 0, 3)
	if tier, why := plan.Tier(c); tier != Traced || why != tooMany {
		t.Errorf("tier %s because %q", tier, why)
	}
}

// Programs that together are longer than the kernel takes are made again with
// all conditional calls traced.
func TestTooLongPlansAreCoarsened(t *testing.T) {
	set := builtin(t, "compute")
	groups := groupsOf(set, Options{})
	for _, g := range groups {
		g.coarsen()
	}
	plan, err := assemble(set, Options{}, groups)
	if err != nil {
		t.Fatal(err)
	}
	if err := prove(plan, groups, probesPerCall, nil); err != nil {
		t.Error(err)
	}
	if got := plan.Answer(callTo(t, abi.X86_64, "fcntl")); got != retTrace {
		t.Errorf("fcntl, which has conditions, gets %s", actionName(got))
	}
}

// Two calls whose code libseccomp would share, wrongly (shared.go), are decided
// by the filters all the same: by two.
func TestCallsThatWouldShareCode(t *testing.T) {
	type answers map[[3]uint64]uint32
	for name, c := range map[string]struct {
		arch  abi.Arch
		rules string
		want  map[string]answers
	}{
		"two registers of i386": {abi.I386, "[{allow: ftruncate, args: {length: [{mask: 1, is: 0}, 7]}}]", map[string]answers{
			"ftruncate":   {{0, 7}: retAllow, {0, 2}: retAllow, {0, 5}: retKill},
			"ftruncate64": {{0, 7}: retAllow, {0, 7, 2}: retKill, {0, 2, 2}: retAllow, {0, 5}: retKill},
		}},
		"one condition more": {abi.X86_64, "[{allow: pread64, args: {fd: 7, count: 0}}, {allow: [pread64, read], args: {fd: {mask: 1, is: 0}}}, {allow: read, args: {fd: 7}}]", map[string]answers{
			"read":    {{7, 0, 2}: retAllow, {6, 0, 1}: retAllow, {5}: retKill},
			"pread64": {{7, 0, 2}: retKill, {7}: retAllow, {6, 0, 1}: retAllow, {5}: retKill},
		}},
	} {
		plan := compiled(t, Options{}, "callgate: 1\ndefault: kill\ncompat: {i386: same}\nsyscalls: "+c.rules+"\n")
		for call, answers := range c.want {
			for args, want := range answers {
				if got := plan.Answer(callTo(t, c.arch, call, args[:]...)); got != want {
					t.Errorf("%s: %s%v gets %s, want %s", name, call, args, actionName(got), actionName(want))
				}
			}
		}
		if len(plan.inexact) > 0 {
			t.Errorf("%s: traced: %v", name, plan.inexact)
		}
	}
}

// What libseccomp is found to compile wrongly is traced, if it has conditions.
func TestWrongConditionsAreTraced(t *testing.T) {
	p, err := loadText(manyAnswers)
	if err != nil {
		t.Fatal(err)
	}
	for errno, ok := range map[unix.Errno]bool{unix.EAFNOSUPPORT: true, unix.ENOSYS: false} { // of socket and of mount
		plan, groups, err := build(policy.Set{p}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		plan.lie(errno)
		plan, err = proven(plan, groups)
		if !ok {
			if err == nil || !strings.HasPrefix(err.Error(), "refusing to start: ") {
				t.Errorf("mount, which has no conditions, is wrong, and the error is %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if tier, why := plan.Tier(callTo(t, abi.X86_64, "socket", unix.AF_UNIX)); tier != Traced || why != wrong {
			t.Errorf("socket: %v because %q", tier, why)
		}
		if tier, _ := plan.Tier(callTo(t, abi.X86_64, "personality", 7)); tier != Filter {
			t.Errorf("personality, which was right: %v", tier)
		}
	}
}

// lie has the programs allow what they were to deny with an errno.
func (p *Plan) lie(errno unix.Errno) {
	for _, m := range p.machines {
		for i := range m {
			if m[i].op == opRetK && m[i].k == unix.SECCOMP_RET_ERRNO|uint32(errno) {
				m[i].k = retAllow
			}
		}
	}
}

func TestCounterexampleNamesTheCallAndTheRule(t *testing.T) {
	p, err := loadText(manyAnswers)
	if err != nil {
		t.Fatal(err)
	}
	plan, groups, err := build(policy.Set{p}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan.lie(unix.EAFNOSUPPORT)
	err = prove(plan, groups, probesPerCall, nil)
	var c *Counterexample
	if !errors.As(err, &c) {
		t.Fatalf("a filter that allows AF_PACKET passes: %v", err)
	}
	for _, want := range []string{"x86_64 socket (number 41, audit arch 0xc000003e)", "arguments 0x11, ", "gets ALLOW, but generated.yaml:15 wants ERRNO EAFNOSUPPORT"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q: %s", want, err)
		}
	}
}
