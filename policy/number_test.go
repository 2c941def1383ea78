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
