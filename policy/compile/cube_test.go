package compile

import (
	"math/rand/v2"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

// smallCube is a random cube over two registers of three bits.
func smallCube(r *rand.Rand) cube {
	var c cube
	for i := range 2 {
		c.mask[i] = r.Uint64() & 7
		c.value[i] = r.Uint64() & c.mask[i]
	}
	return c
}

func smallUnion(r *rand.Rand) []cube {
	out := make([]cube, r.IntN(4))
	for i := range out {
		out[i] = smallCube(r)
	}
	return out
}

func in(cubes []cube, args *[6]uint64) (n int) {
	for i := range cubes {
		if cubes[i].contains(args) {
			n++
		}
	}
	return n
}

// eachSmall calls f with every content of the two registers.
func eachSmall(f func(*[6]uint64)) {
	for i := range uint64(64) {
		f(&[6]uint64{i & 7, i >> 3})
	}
}

func TestCubeAlgebraIsSetAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		a, b := smallUnion(r), smallUnion(r)
		minus, ok := subtractAll(a, b, 1000)
		both, ok2 := intersectAll(a, b, 1000)
		if !ok || !ok2 {
			t.Fatal("gave up")
		}
		eachSmall(func(args *[6]uint64) {
			inA, inB := in(a, args) > 0, in(b, args) > 0
			if got := in(minus, args) > 0; got != (inA && !inB) {
				t.Fatalf("%v minus %v: %v is in the difference: %v", a, b, args, got)
			}
			if got := in(both, args) > 0; got != (inA && inB) {
				t.Fatalf("%v and %v: %v is in the intersection: %v", a, b, args, got)
			}
		})
	}
}

func TestSubtractGivesDisjointCubes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		a, b := smallCube(r), smallCube(r)
		out := a.subtract(&b, nil)
		eachSmall(func(args *[6]uint64) {
			if n := in(out, args); n > 1 {
				t.Fatalf("%v minus %v: %v is in %d cubes", a, b, args, n)
			}
		})
	}
}

func TestSubtractAllGivesUpAtTheLimit(t *testing.T) {
	points := make([]cube, 8)
	for i := range points {
		points[i].mask[0], points[i].value[0] = ^uint64(0), uint64(i*i*977)
	}
	if _, ok := subtractAll(everything(), points, 16); ok {
		t.Error("eight points leave more than 16 cubes, yet it did not give up")
	}
}

func TestRangesAreCoveredExactly(t *testing.T) {
	for width := 1; width <= 5; width++ {
		most := uint64(1)<<width - 1
		for lo := uint64(0); lo <= most; lo++ {
			for hi := lo; hi <= most; hi++ {
				sets := rangeSets(lo, hi, width)
				if len(sets) > max(1, 2*width-2) {
					t.Fatalf("%d..%d of %d bits takes %d sets", lo, hi, width, len(sets))
				}
				for v := range most + 1 {
					if got := inSets(sets, v); got != (lo <= v && v <= hi) {
						t.Fatalf("%d..%d of %d bits: %d in it: %v", lo, hi, width, v, got)
					}
				}
			}
		}
	}
}

func TestSignedRanges(t *testing.T) {
	const width = 4
	for lo := int64(-10); lo <= 10; lo++ {
		for hi := int64(-10); hi <= 10; hi++ {
			sets := signedRange(lo, hi, width)
			for v := int64(-8); v <= 7; v++ {
				if got := inSets(sets, uint64(v)&15); got != (lo <= v && v <= hi) {
					t.Fatalf("%d..%d: %d in it: %v", lo, hi, v, got)
				}
			}
		}
	}
}

func TestRangesOf64Bits(t *testing.T) {
	for _, r := range [][2]uint64{{0, ^uint64(0)}, {1, ^uint64(0)}, {0, 0}, {^uint64(0), ^uint64(0)}, {1 << 32, 1 << 63}, {5, 1<<63 + 5}} {
		sets := rangeSets(r[0], r[1], 64)
		for _, v := range []uint64{0, 1, 4, 5, 6, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<63 + 5, 1<<63 + 6, ^uint64(0) - 1, ^uint64(0)} {
			if got := inSets(sets, v); got != (r[0] <= v && v <= r[1]) {
				t.Errorf("%#x..%#x: %#x in it: %v", r[0], r[1], v, got)
			}
		}
	}
}

func inSets(sets []bitSet, v uint64) bool {
	for _, s := range sets {
		if v&s.mask == s.value {
			return true
		}
	}
	return false
}

// views are the ways in which a kernel takes a parameter from registers.
var views = []abi.Param{
	{Name: "whole", Lo: 0, Hi: -1, Bits: 64},
	{Name: "whole signed", Lo: 1, Hi: -1, Bits: 64, Signed: true},
	{Name: "int", Lo: 0, Hi: -1, Bits: 32, Signed: true},
	{Name: "unsigned int", Lo: 2, Hi: -1, Bits: 32},
	{Name: "umode_t", Lo: 1, Hi: -1, Bits: 16},
	{Name: "i386 loff_t", Lo: 2, Hi: 3, Bits: 64, Signed: true},
	{Name: "i386 u64", Lo: 4, Hi: 5, Bits: 64},
	{Name: "i386 mmap2 offset", Lo: 5, Hi: -1, Bits: 32, Shift: 12},
}

func TestConditionsOnEveryViewBecomeCubes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 4000 {
		p := &views[r.IntN(len(views))]
		c := randomCond(r, p)
		cubes, ok := condCubes(&c, 1<<14)
		if !ok {
			t.Fatalf("%+v takes too many cubes", c)
		}
		b := &bounds{}
		b.cond(&c)
		b.each(200, func(args *[6]uint64) bool {
			if got, want := in(cubes, args) > 0, c.Holds(args); got != want {
				t.Fatalf("%s: %+v: %#x: cubes say %v, the condition %v", p.Name, c, args, got, want)
			}
			return true
		})
	}
}

// randomCond is a condition with small and extreme constants.
func randomCond(r *rand.Rand, p *abi.Param) policy.Cond {
	c := policy.Cond{Param: p, Negate: r.IntN(3) == 0}
	for range 1 + r.IntN(2) {
		ones := ^uint64(0) >> (64 - valueWidth(p))
		a, b := interesting(r)&ones, interesting(r)&ones
		switch r.IntN(3) {
		case 0:
			c.Tests = append(c.Tests, policy.Test{Op: policy.Masked, A: ones, B: a})
		case 1:
			c.Tests = append(c.Tests, policy.Test{Op: policy.Masked, A: a, B: b & a})
		default:
			if less(p, b, a) {
				a, b = b, a
			}
			c.Tests = append(c.Tests, policy.Test{Op: policy.Range, A: a, B: b})
		}
	}
	return c
}

func interesting(r *rand.Rand) uint64 {
	v := uint64(r.IntN(20))
	switch r.IntN(6) {
	case 0:
		return -v
	case 1:
		return v << 32
	case 2:
		return 1<<31 - v
	case 3:
		return 1<<63 - v
	case 4:
		return uint64(r.Uint32())
	}
	return v
}

func less(p *abi.Param, a, b uint64) bool {
	if p.Signed {
		return signExtend(a, valueWidth(p)) < signExtend(b, valueWidth(p))
	}
	return a < b
}
