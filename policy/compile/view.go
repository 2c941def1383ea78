package compile

import (
	"math/bits"

	"callgate/policy"
	"callgate/policy/abi"
)

// bitSet is a set of 64-bit values with some bits fixed, as cube is for six
// registers.
type bitSet struct{ mask, value uint64 }

// condCubes is the arguments for which a condition holds, as a union of cubes;
// false if that takes more than limit of them.
func condCubes(c *policy.Cond, limit int) ([]cube, bool) {
	var out []cube
	for i := range c.Tests {
		for _, s := range testSets(c.Param, &c.Tests[i]) {
			if r, some := onRegisters(c.Param, s); some {
				out = append(out, r)
			}
		}
	}
	if c.Negate {
		return subtractAll(everything(), out, limit)
	}
	return out, len(out) <= limit
}

// clauseCubes is the arguments for which all conditions of a clause hold.
func clauseCubes(c *policy.Clause, limit int) ([]cube, bool) {
	out := everything()
	for i := range c.Conds {
		one, ok := condCubes(&c.Conds[i], limit)
		if !ok {
			return nil, false
		}
		if out, ok = intersectAll(out, one, limit); !ok {
			return nil, false
		}
	}
	return out, true
}

// testSets is the values that pass a test.
func testSets(p *abi.Param, t *policy.Test) []bitSet {
	if t.Op == policy.Masked {
		if t.B&^t.A != 0 {
			return nil // value&A can have no bit that A lacks
		}
		return []bitSet{{t.A, t.B}}
	}
	width := valueWidth(p)
	ones := ^uint64(0) >> (64 - width)
	if !p.Signed {
		if t.A > ones {
			return nil
		}
		return rangeSets(t.A, min(t.B, ones), width)
	}
	return signedRange(signExtend(t.A, width), signExtend(t.B, width), width)
}

func signExtend(v uint64, width int) int64 {
	shift := 64 - width
	return int64(v<<shift) >> shift
}

// signedRange is lo..hi for two's complement values of width bits. With the
// sign bit flipped their order is that of unsigned numbers.
func signedRange(lo, hi int64, width int) []bitSet {
	sign := uint64(1) << (width - 1)
	ones := ^uint64(0) >> (64 - width)
	least, most := int64(-1)<<(width-1), int64(sign-1)
	if lo > most || hi < least || lo > hi {
		return nil
	}
	from := uint64(max(lo, least)) & ones
	to := uint64(min(hi, most)) & ones
	sets := rangeSets(from^sign, to^sign, width)
	for i := range sets {
		sets[i].value ^= sets[i].mask & sign
	}
	return sets
}

// valueWidth is the number of bits that comparisons of p's value look at.
func valueWidth(p *abi.Param) int {
	if p.Hi >= 0 || p.Shift > 0 || p.Bits == 0 || p.Bits > 64 {
		return 64
	}
	return int(p.Bits)
}

// rangeSets covers lo..hi, both inclusive, by the fewest aligned blocks of
// powers of two: at most 2*width-2 of them. All bits above width are fixed to
// zero.
func rangeSets(lo, hi uint64, width int) []bitSet {
	ones := ^uint64(0) >> (64 - width)
	var out []bitSet
	for lo <= hi {
		size := bits.TrailingZeros64(lo | 1<<(width-1))
		if lo == 0 {
			size = width
		}
		for size > 0 && lo|lowBits(size) > hi {
			size--
		}
		out = append(out, bitSet{^lowBits(size), lo})
		if lo|lowBits(size) == ones {
			break
		}
		lo += 1 << size
	}
	return out
}

func lowBits(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// onRegisters turns a set of a parameter's values into the registers that give
// them, the inverse of abi.Param.Value; false if none does.
func onRegisters(p *abi.Param, s bitSet) (cube, bool) {
	var c cube
	if p.Hi >= 0 {
		c.mask[p.Lo], c.value[p.Lo] = s.mask&0xffffffff, s.value&0xffffffff
		c.mask[p.Hi], c.value[p.Hi] = s.mask>>32, s.value>>32
		return c, true
	}
	real := ^uint64(0)
	if p.Bits < 64 {
		real = 1<<p.Bits - 1
	}
	real <<= p.Shift
	if s.value&^real != 0 {
		return cube{}, false // asks for a one where the kernel sees always zero
	}
	c.mask[p.Lo], c.value[p.Lo] = s.mask&real>>p.Shift, s.value>>p.Shift
	return c, true
}
