package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

func TestCases(t *testing.T) {
	p, err := new(policy.Loader).Parse("p.yaml", []byte(`
callgate: 1
default: deny
syscalls:
  - allow: socket
    args: { family: [AF_UNIX, AF_INET] }
  - log: socket
    args: { family: AF_INET6 }
  - allow: [read, write]
compat: { i386: kill, x32: kill }
`))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Compile(policy.Set{p}, Options{Report: true})
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		action policy.Action
		tier   Tier
	}
	for nr, want := range map[uint32][]outcome{
		0:  {{policy.Allow, Filter}},
		41: {{policy.Allow, Filter}, {policy.Allow, Filter}, {policy.Log, Traced}, {policy.Deny, Traced}},
		2:  {{policy.Deny, Traced}},
	} {
		var got []outcome
		cases, _ := plan.Cases(abi.X86_64, nr)
		for _, c := range cases {
			got = append(got, outcome{c.Verdict.Action, c.Tier})
			if (c.Why != "") != (c.Tier == Traced) {
				t.Errorf("call %d: %v because %q", nr, c.Tier, c.Why)
			}
		}
		if len(got) != len(want) {
			t.Errorf("call %d: cases %v, want %v", nr, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("call %d: case %d is %v, want %v", nr, i, got[i], want[i])
			}
		}
	}
}

// reachPolicies are texts, and what policy.LintCalls says of them under a guard.
var reachPolicies = []struct{ name, rules, want string }{
	{"nothing to say", "[{allow: [read, write]}, {log: '@basic-io'}]", ""},
	{"names", "\n  - allow: [read, write]\n  - deny: read\n  - deny: [write, close]\n  - log: '@basic-io'\n",
		`p.yaml:6:5: this rule never decides: p.yaml:5:5: allow decides before it; move it up, or leave it out
p.yaml:7:12: write is decided before, by p.yaml:5:5: allow`},
	{"conditions that leave something", "[{allow: read, args: {fd: 0}}, {deny: read, args: {fd: {min: 0, max: 1}}}, {deny: read}]", ""},
	{"the same conditions", "\n  - {deny: read, args: {fd: 77}}\n  - {deny: [read, write], args: {fd: 77}, errno: EIO}\n  - {deny: read, args: {fd: 77}}\n",
		`p.yaml:6:13: read is decided before, by p.yaml:5:6: deny
p.yaml:7:6: this rule never decides: p.yaml:5:6: deny and others decide before it; move it up, or leave it out`},
	{"joint conditions", "\n  - {deny: socket, args: {family: {not: AF_INET}}}\n  - {deny: socket, args: {family: AF_INET}}\n  - deny: socket\n",
		"p.yaml:7:5: this rule never decides: p.yaml:5:6: deny and others decide before it; move it up, or leave it out"},
	{"ranges", "\n  - {allow: kill, args: {sig: {max: 8}}}\n  - {allow: kill, args: {sig: {min: 9}}}\n  - log: kill\n",
		"p.yaml:7:5: this rule never decides: p.yaml:5:6: allow and others decide before it; move it up, or leave it out"},
	{"another ABI's names", "\n  - allow: [chown, chown32]\n  - allow: lchown32\n", "p.yaml:6:5: this rule never decides: compat decides all that it names"},
	{"a guard's call", "[{allow: [io_uring_setup, read]}, {allow: io_uring_enter}]", ""}, // Lint tells
	{"a guard's arguments", "\n  - {allow: ioctl, args: {request: TIOCSTI}}\n  - allow: ioctl\n",
		"p.yaml:5:6: this rule never decides: builtin:guard:5:6: deny is stricter"},
	{"what seccomp does not see", "[{allow: [uretprobe, read]}]", ""},
	{"as strict as the guard", "[{deny: io_uring_setup, errno: ENOSYS}]", ""},
	{"what cannot be told", "[{allow: read}, " + manyNumbers("allow", 400) + ", " + manyNumbers("deny", 400) + "]", ""},
}

// manyNumbers is a rule on n numbers of ioctl.
func manyNumbers(action string, n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%#x", i*i*7+3))
	}
	return "{" + action + ": ioctl, args: {request: [" + strings.Join(list, ", ") + "]}}"
}

func TestRulesThatNeverDecide(t *testing.T) {
	const guard = "callgate: 1\ndefault: allow\ncompat: {i386: same, x32: same}\nsyscalls:\n  - {deny: ioctl, args: {request: TIOCSTI}}\n  - deny: [io_uring_setup, io_uring_enter]\n"
	for _, tt := range reachPolicies {
		p, err := new(policy.Loader).Parse("p.yaml", []byte("callgate: 1\ndefault: deny\nkernel: 6.12\nsyscalls: "+tt.rules))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		g, err := new(policy.Loader).Parse("builtin:guard", []byte(guard))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, w := range policy.LintCalls(policy.Set{p, g}, []abi.Arch{abi.X86_64, abi.I386, abi.X32}, Deciders) {
			lines = append(lines, w.String())
		}
		if got := strings.Join(lines, "\n"); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// TestDecidersAreAll: no call is decided by a rule that is not among them.
func TestDecidersAreAll(t *testing.T) {
	g := newGenerator(5)
	told, numbers := 0, 0
	for range 60 {
		set := g.set(t)
		plan, _, err := build(set, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range g.calls(plan, 1000) {
			arch, _ := abi.Of(c.audit(), uint64(c.nr))
			rules, all := Deciders(set, arch, c.nr)
			numbers++
			if !all {
				continue
			}
			told++
			if v := set.Decide(abi.Call{Arch: arch, Nr: c.nr, Args: c.args}); v.Rule != nil && !slices.Contains(rules, v.Rule) {
				t.Fatalf("%v %d%v: %v decides, and is not among %v\n%s", arch, c.nr, c.args, v.Rule, rules, texts(set))
			}
		}
	}
	if told < numbers*9/10 {
		t.Errorf("the deciders are known of %d of %d calls only", told, numbers)
	}
}
