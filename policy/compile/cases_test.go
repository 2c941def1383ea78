package compile

import (
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
		for _, c := range plan.Cases(abi.X86_64, nr) {
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
