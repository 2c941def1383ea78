package policy

import (
	"testing"

	"callgate/policy/abi"
)

// TestNumberDecides: with the number looked up, every set decides as it does
// without.
func TestNumberDecides(t *testing.T) {
	one := parse(t, `default: allow
compat: {i386: same}
syscalls: [{deny: [write, ioctl], args: {fd: 3}}, {skip: read, value: 7}, {kill: mount}]`)
	two := parse(t, `default: deny
compat: {i386: deny}
syscalls: [{log: write}, {allow: read}, {deny: mount}]`)
	var room Number
	for _, set := range []Set{nil, {one}, {two}, {one, two}, {two, one}} {
		for _, arch := range append(abi.Arches(), 0, 99) {
			for nr := range uint32(500) {
				if arch == abi.X32 {
					nr |= abi.X32Bit
				}
				room = set.On(arch, nr, room)
				for _, fd := range []uint64{3, 4, 1<<32 | 3} {
					call := abi.Call{Arch: arch, Nr: nr, Args: [6]uint64{fd}}
					if got, want := room.Decide(&call.Args), set.Decide(call); got != want {
						t.Fatalf("%d policies, %v: %v, without the number %v", len(set), call, got, want)
					}
				}
			}
		}
	}
}

// TestSameCalls: no two sets are taken for alike that decide some call differently.
func TestSameCalls(t *testing.T) {
	rules := parse(t, "default: deny\nsyscalls: [{allow: read}]")
	texts := []string{
		"default: allow\nfiles: [{read: /usr}]", "default: deny\nfiles: [{read: /usr}]", "default: log\nfiles: [{read: /usr}]",
		"default: allow\nsyscalls: []", "default: deny\nsyscalls: []", "default: deny\nsyscalls: []\nerrno: ENOSYS", "default: deny\nsyscalls: []\nkernel: 5.4",
		"default: allow\nsyscalls: []\ncompat: {i386: same}", "default: allow\nsyscalls: []\ncompat: {x32: deny}",
		"default: deny\nsyscalls: [{allow: read}]",
	}
	for i, one := range texts {
		for j, other := range texts {
			p, q := parse(t, one), parse(t, other)
			want := i == j && len(p.Rules) == 0
			if got := (Set{rules, p}).SameCalls(Set{rules, q}); got != want {
				t.Errorf("%q and %q: %t", one, other, got)
			}
		}
	}
	p := parse(t, texts[0])
	q := parse(t, "default: allow\nfiles: [{deny: /etc}, {write: /tmp}]\nlimits: {memory: 1GiB}")
	if !(Set{rules, p}).SameCalls(Set{rules, q}) {
		t.Error("what is said of files and limits makes a difference")
	}
	if (Set{rules, p}).SameCalls(Set{rules}) || (Set{rules, p}).SameCalls(Set{p, rules}) {
		t.Error("another order, or one policy less, makes no difference")
	}
}
