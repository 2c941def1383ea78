package compile

import (
	"math/bits"
	"slices"

	"callgate/policy"
)

// cube is a set of calls' arguments: in each of the six registers some bits
// are fixed and the rest are free. mask has a one for each fixed bit, value
// the bit's content; value never has a bit outside mask. The zero cube is
// every call.
//
// A cube is what one rule of libseccomp can ask for without trusting its
// range comparisons: one SCMP_CMP_MASKED_EQ for each register that has fixed
// bits.
type cube struct{ mask, value [6]uint64 }

// contains says whether args lie in c.
func (c *cube) contains(args *[6]uint64) bool {
	for i := range args {
		if args[i]&c.mask[i] != c.value[i] {
			return false
		}
	}
	return true
}

// over says whether all of a region lies in c. If only some may, hinge is a comparison of
// c's that tells of it; with no mask none does.
func (c *cube) over(r *policy.Region) (all bool, hinge policy.Comparison) {
	for i, mask := range c.mask {
		if mask == 0 {
			continue
		}
		asked := policy.Comparison{Reg: i, Mask: mask, Value: c.value[i]}
		each, never := r.Where(&asked)
		if never {
			return false, policy.Comparison{}
		}
		if !each && hinge.Mask == 0 {
			hinge = asked
		}
	}
	return hinge.Mask == 0, hinge
}

// intersect is what both have, and false if that is nothing.
func (c *cube) intersect(d *cube) (cube, bool) {
	var out cube
	for i := range c.mask {
		if (c.value[i]^d.value[i])&c.mask[i]&d.mask[i] != 0 {
			return cube{}, false
		}
		out.mask[i] = c.mask[i] | d.mask[i]
		out.value[i] = c.value[i] | d.value[i]
	}
	return out, true
}

// subtract appends to out what c has and d has not, as disjoint cubes: at most
// one for each bit that d fixes and c does not. It splits at the high bits
// first, so that what is left of a range is ranges again, not stripes.
func (c *cube) subtract(d *cube, out []cube) []cube {
	if _, meet := c.intersect(d); !meet {
		return append(out, *c)
	}
	rest := *c
	for i := len(d.mask) - 1; i >= 0; i-- {
		for extra := d.mask[i] &^ c.mask[i]; extra != 0; {
			bit := uint64(1) << (63 - bits.LeadingZeros64(extra))
			extra &^= bit
			rest.mask[i] |= bit
			rest.value[i] |= bit &^ d.value[i]
			out = append(out, rest)
			rest.value[i] ^= bit
		}
	}
	return out
}

// subtractAll is what the cubes of a have and none of b has. It gives up, with
// false, as soon as it would hold more than limit cubes.
func subtractAll(a, b []cube, limit int) ([]cube, bool) {
	var d difference
	return d.of(a, b, limit)
}

// difference is the room that subtractAll takes, to be used again.
type difference struct{ left, next []cube }

// of is subtractAll; what it gives lasts until the next time.
func (d *difference) of(a, b []cube, limit int) ([]cube, bool) {
	d.left = append(d.left[:0], a...)
	for i := range b {
		d.next = d.next[:0]
		for j := range d.left {
			d.next = d.left[j].subtract(&b[i], d.next)
			if len(d.next) > limit {
				return nil, false
			}
		}
		d.left, d.next = d.next, d.left
	}
	return d.left, true
}

// outside gives arguments that lie in c and in none of others, if there are any.
// It takes one from the budget for each cube that it looks at, and says no once that
// is used up.
func (c *cube) outside(others []cube, budget *int) (args [6]uint64, some bool) {
	if *budget--; *budget <= 0 {
		*budget = 0
		return args, false
	}
	for i := range others {
		if _, meet := c.intersect(&others[i]); !meet {
			continue
		}
		for _, left := range c.subtract(&others[i], nil) {
			if args, some = left.outside(others[i+1:], budget); some {
				break
			}
		}
		return args, some
	}
	return c.value, true
}

// intersectAll is what both unions have, with false above limit cubes.
func intersectAll(a, b []cube, limit int) ([]cube, bool) {
	out := make([]cube, 0, min(max(len(a), len(b)), limit))
	for i := range a {
		for j := range b {
			c, meet := a[i].intersect(&b[j])
			if !meet {
				continue
			}
			if out = append(out, c); len(out) > limit {
				return nil, false
			}
		}
	}
	return out, true
}

// everything is the union that leaves nothing out.
func everything() []cube { return []cube{{}} }

// covers says whether all of d lies in c.
func (c *cube) covers(d *cube) bool {
	for i := range c.mask {
		if c.mask[i]&^d.mask[i] != 0 || d.value[i]&c.mask[i] != c.value[i] {
			return false
		}
	}
	return true
}

// tidy leaves out, in place, cubes that lie in another, and puts those first
// that fix the most registers. The order is for libseccomp's sake: it merges
// each rule of a call into a tree, and takes seconds instead of microseconds
// where rules on several arguments follow dozens on one of them.
func tidy(cubes []cube) []cube {
	out := cubes[:0]
	for i, c := range cubes {
		if !within(&c, out, true) && !within(&c, cubes[i+1:], false) {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b cube) int { return b.registers() - a.registers() })
	return out
}

// within says whether c lies in one of others; equal says whether one that is
// the same counts.
func within(c *cube, others []cube, equal bool) bool {
	for i := range others {
		if others[i].covers(c) && (equal || others[i] != *c) {
			return true
		}
	}
	return false
}

// registers is how many registers have fixed bits.
func (c *cube) registers() (n int) {
	for _, m := range c.mask {
		if m != 0 {
			n++
		}
	}
	return n
}

// fixedBits is how many bits all the cubes fix.
func fixedBits(cubes []cube) (n int) {
	for i := range cubes {
		for _, m := range cubes[i].mask {
			n += bits.OnesCount64(m)
		}
	}
	return n
}

// corners calls f, until it says false, with the arguments in c that have the
// free bits all zero or all one, and with some that differ from arguments in c
// in a single fixed bit: every step-th, the first being number from.
func (c *cube) corners(from, step int, f func(*[6]uint64) bool) bool {
	bases := [3][6]uint64{c.value, c.value, c.value}
	for r, mask := range c.mask {
		bases[1][r] |= ^mask
		if mask == 0 {
			bases[2][r] = c.likely() // for a program that loads the wrong register
		}
	}
	for i := range bases {
		if !f(&bases[i]) {
			return false
		}
	}
	n := 0
	var args [6]uint64
	for r, mask := range c.mask {
		for ; mask != 0; mask &= mask - 1 {
			if n++; (n-1)%step != from {
				continue
			}
			args = bases[n%len(bases)]
			args[r] ^= mask & -mask
			if !f(&args) {
				return false
			}
		}
	}
	return true
}

// likely is a value of the first register with fixed bits.
func (c *cube) likely() uint64 {
	for r, mask := range c.mask {
		if mask != 0 {
			return c.value[r]
		}
	}
	return 0
}
