package policy

import (
	"net/netip"
	"slices"
	"testing"

	"callgate/policy/abi"
)

const lifting = `callgate: 1
syscalls:
  - {deny: mkdir, errno: EACCES, quiet: true}
  - {kill: rmdir}
  - {skip: chmod, value: 3}
files:
  - {deny: /secret, quiet: true}
  - {deny: /other}
  - {read: /}
network:
  - {deny: 192.0.2.1}
`

// TestLift: what was denied is logged, each part of it, and the rest is as it was.
func TestLift(t *testing.T) {
	p, err := (&Loader{}).Parse("p", []byte(lifting))
	if err != nil {
		t.Fatal(err)
	}
	lines := []int{3, 4, 5, 7, 11}
	if lifted := p.Lift(func(r *Rule) bool { return slices.Contains(lines, r.Pos.Line) }); len(lifted) != len(lines) {
		t.Error(lifted)
	}
	for _, name := range []string{"mkdir", "rmdir", "chmod"} {
		s, ok := abi.Native().ByName(name)
		if v := p.Decide(abi.Call{Arch: abi.Native(), Nr: s.Nr}); !ok || v.Action != Log || v.Errno != 0 || v.Value != 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	b, err := Set{p}.Bind(Place{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		access Access
		want   Action
	}{{"/secret/x", Read, Log}, {"/secret/x", Write, Log}, {"/secret/x", Look, Allow}, {"/other", Read, Deny}, {"/x", Read, Allow}, {"/x", Write, Deny}} {
		if v := b.File(c.path, c.access); v.Action != c.want {
			t.Errorf("%s %v: %v", c.path, c.access, v.Action)
		}
	}
	if v := b.Connect(Address{Family: afInet, IP: netip.MustParseAddr("192.0.2.1")}); v.Action != Log {
		t.Error(v.Action)
	}
}

// TestDenials: a policy of a section's denials denies those, and nothing else.
func TestDenials(t *testing.T) {
	p, err := (&Loader{}).Parse("p", []byte(lifting))
	if err != nil {
		t.Fatal(err)
	}
	q := p.Denials(Files, func(r *Rule) bool { return r.Pos.Line == 8 })
	b, err := Set{q}.Bind(Place{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]Action{"/secret/x": Deny, "/other": Allow, "/x": Allow} {
		if v := b.File(path, Write); v.Action != want {
			t.Errorf("%s: %v", path, v.Action)
		}
	}
	for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
		s, _ := arch.ByName("mkdir")
		if v := q.Decide(abi.Call{Arch: arch, Nr: s.Nr}); v.Action != Allow {
			t.Error(arch, v.Action)
		}
	}
}
