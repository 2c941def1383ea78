package policy

import (
	"math/rand/v2"
	"slices"
	"testing"

	"callgate/policy/abi"
)

// regionTexts has conditions of each form, on parameters of each.
var regionTexts = []string{`
compat: {i386: same, x32: same}
default: allow
syscalls:
  - deny: ioctl
    args: {request: [3, 5, {mask: 6, is: 2}]}
  - kill: mmap
    args: {addr: {min: 5, max: 21}, prot: {not: [1, 2]}, offset: {mask: 0x3000, is: 0x1000}}
  - deny: mmap
    args: {addr: {mask: 0xf0000000f, is: 0x100000003}}
  - deny: pread64
    args: {fd: {min: -3, max: 4}, offset: {min: 0x1fffffffe, max: 0x200000003}}
  - skip: setpriority
    args: {which: [0, 1], prio: {min: -2}}
  - log: setpriority
    args: {prio: {not: {min: -4, max: 6}}}
`, `
compat: {i386: same, x32: same}
default: deny
errno: EACCES
syscalls:
  - {allow: [mmap, ioctl], args: {fd: {max: 5}}}
  - {log: setpriority, args: {who: 3}}
  - {deny: ioctl, args: {request: {mask: 1, is: 1}}, errno: ENOTTY}
`}

// TestOver: whatever is said of a region is so of every call in it, and something is said.
func TestOver(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	one, two := parse(t, regionTexts[0]), parse(t, regionTexts[1])
	sets := []Set{nil, {one}, {two}, {one, two}, {two, one, two}}
	same := 0
	for range 8000 {
		set, arch := sets[r.IntN(len(sets))], abi.Arches()[r.IntN(3)]
		s, ok := arch.ByName([]string{"ioctl", "mmap", "mmap2", "pread64", "setpriority", "ftruncate64"}[r.IntN(6)])
		if !ok {
			continue
		}
		n := set.On(arch, s.Nr, nil)
		g, inside := region(r)
		verdicts, _ := n.Over(&g, nil)
		budget := 1000
		switch some, ok := g.Some(&budget); {
		case !ok && len(inside) > 0:
			t.Fatalf("%x is in %+v, and nothing is said to be", inside[0], g)
		case ok && budget > 0 && !g.has(&some):
			t.Fatalf("%x is not in %+v", some, g)
		}
		if len(verdicts) == 1 {
			same++
		}
		for _, args := range inside {
			if v := n.Decide(&args); !slices.Contains(verdicts, v) {
				t.Fatalf("%s %s%x: %+v, not of %+v\n%+v", arch, s.Name, args, v, verdicts, g)
			}
		}
	}
	if same < 1500 {
		t.Errorf("one verdict for only %d regions", same)
	}
}

func (r *Region) has(args *[6]uint64) bool {
	for i := range args {
		if args[i]&r.Mask[i] != r.Value[i] {
			return false
		}
	}
	return !slices.ContainsFunc(r.Not, func(c Comparison) bool { return args[c.Reg]&c.Mask == c.Value })
}

// region is a random one, and arguments in it. Each comes from comparisons of halves of
// registers, as programs make them.
func region(r *rand.Rand) (g Region, inside [][6]uint64) {
	for range 1 + r.IntN(400) {
		inside = append(inside, [6]uint64{near(r), near(r), near(r), near(r), near(r), near(r)})
	}
	for range r.IntN(12) {
		shift := 32 * r.IntN(2)
		c := Comparison{Reg: r.IntN(6), Mask: 1<<32 - 1<<r.IntN(6), Value: near(r)}
		switch r.IntN(4) {
		case 0:
			c.Mask = 1 << r.IntN(5)
		case 1:
			c.Mask = 1<<r.IntN(32) - 1
		}
		c.Mask = c.Mask & (1<<32 - 1) << shift
		c.Value = c.Value << shift & c.Mask
		all, none := g.Where(&c)
		holds := r.IntN(3) == 0
		before := len(inside)
		inside = slices.DeleteFunc(inside, func(args [6]uint64) bool { return (args[c.Reg]&c.Mask == c.Value) != holds })
		switch {
		case (all && !holds || none && holds) && len(inside) > 0, (all && holds || none && !holds) && len(inside) < before:
			panic("it is not so of all")
		case all || none:
			if all != holds {
				return g, nil
			}
		}
		take := g.Leave
		if holds {
			take = g.Keep
		}
		if !take(&c) && len(inside) > 0 {
			panic("nothing is said to be left")
		}
	}
	return g, inside
}

// near is a value about which there are conditions.
func near(r *rand.Rand) uint64 {
	v := uint64(r.IntN(30)) - 6
	switch r.IntN(6) {
	case 0:
		v = 1<<33 + v - 20
	case 1:
		v &= 1<<32 - 1
	case 2:
		v |= uint64(r.IntN(4)) << 32
	case 3:
		v = uint64(r.IntN(8)) << 10
	}
	return v
}
