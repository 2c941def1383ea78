package policy

import (
	"cmp"
	"math/bits"
	"slices"

	"callgate/policy/abi"
)

// Region is a set of a call's arguments: of those in which the registers' masked bits
// are the value's, all for which none of the comparisons in Not holds. Value has no bit
// outside Mask. The zero Region is all arguments.
type Region struct {
	Mask, Value [6]uint64
	Not         []Comparison
}

// Comparison asks the masked bits of one register to be the value's.
type Comparison struct {
	Reg         int
	Mask, Value uint64
}

// Where says whether a comparison holds for all of a region or for none of it. It may
// say neither of what is so all the same, never what is not.
func (r *Region) Where(c *Comparison) (all, none bool) {
	if c.fails(r) {
		return false, true
	}
	if c.Mask&^r.Mask[c.Reg] == 0 {
		return true, false
	}
	mask, value := r.Mask[c.Reg]|c.Mask, r.Value[c.Reg]|c.Value
	for i := range r.Not {
		if n := &r.Not[i]; n.Reg == c.Reg && n.Mask&^mask == 0 && value&n.Mask == n.Value {
			return false, true
		}
	}
	return false, false
}

// Keep takes from a region all for which the comparison does not hold; false if nothing is
// left, as far as it sees that.
func (r *Region) Keep(c *Comparison) bool {
	if c.fails(r) {
		return false
	}
	r.Mask[c.Reg] |= c.Mask
	r.Value[c.Reg] |= c.Value
	return r.settle(c.Reg)
}

// Leave takes from a region all for which the comparison holds; false if nothing is left,
// as far as it sees that.
func (r *Region) Leave(c *Comparison) bool {
	r.Not = append(r.Not, *c)
	return r.settle(c.Reg)
}

// settle makes known the bits of a register that are the last which can keep a comparison
// in Not from holding.
func (r *Region) settle(reg int) bool {
	for again := true; again; {
		again = false
		for i := range r.Not {
			n := &r.Not[i]
			if n.Reg != reg || n.fails(r) {
				continue
			}
			open := n.Mask &^ r.Mask[reg]
			if open == 0 {
				return false
			}
			if open&(open-1) == 0 {
				r.Mask[reg] |= open
				r.Value[reg] |= open &^ n.Value
				again = true
			}
		}
	}
	return true
}

// Some gives arguments in a region; false if there are none. It takes one from the budget
// for each bit that it tries: once that is used up, the arguments may be others.
func (r *Region) Some(budget *int) (args [6]uint64, some bool) {
	for i := range r.Not {
		n := &r.Not[i]
		if n.fails(r) || *budget <= 0 {
			continue
		}
		*budget--
		open := n.Mask &^ r.Mask[n.Reg]
		bit := open & -open
		for _, value := range [...]uint64{bit &^ n.Value, bit & n.Value} {
			one := *r
			if one.Keep(&Comparison{n.Reg, bit, value}) {
				if args, some = one.Some(budget); some {
					return args, true
				}
			}
		}
		return args, false
	}
	return r.Value, true
}

// fails says whether the bits that are known keep a comparison from holding.
func (c *Comparison) fails(r *Region) bool {
	return (c.Value^r.Value[c.Reg])&c.Mask&r.Mask[c.Reg] != 0 || c.Value&^c.Mask != 0
}

// Over is every verdict that the set gives for some arguments of a region, and perhaps
// others; where there is more than one, hinge is a comparison that may tell them apart,
// with no mask if none is known. It uses room, if that is large enough.
func (n Number) Over(r *Region, room []Verdict) (verdicts []Verdict, hinge Comparison) {
	if len(n) == 0 {
		return append(room[:0], n.Decide(&r.Value)), hinge
	}
	o := over{Region: r, verdicts: room[:0]}
	for i := range n {
		before := len(o.verdicts)
		o.ruling(&n[i])
		o.verdicts = outdone(o.verdicts, before)
	}
	return o.verdicts, o.hinge
}

// over is what Over has found.
type over struct {
	*Region
	verdicts []Verdict
	hinge    Comparison
}

// outdone leaves out of verdicts, those of some policies and from next on those of one
// more, what is never that of all of them together: the most restrictive of one of each,
// and of equally restrictive ones the first.
func outdone(all []Verdict, next int) []Verdict {
	if next == 0 {
		return all
	}
	least := func(list []Verdict) Action {
		return slices.MinFunc(list, func(v, w Verdict) int { return cmp.Compare(v.Action, w.Action) }).Action
	}
	before, after := least(all[:next]), least(all[next:])
	kept := all[:0]
	for i, v := range all {
		if i < next && v.Action >= after || i >= next && v.Action > before {
			kept = append(kept, v)
		}
	}
	return kept
}

// ruling adds every verdict of one policy.
func (o *over) ruling(r *Ruling) {
	for i := range r.Clauses {
		c := &r.Clauses[i]
		all, none := o.clause(c)
		if !none {
			o.verdicts = append(o.verdicts, r.policy.ruleVerdict(c.Rule))
		}
		if all {
			return
		}
	}
	o.verdicts = append(o.verdicts, r.rest)
}

func (o *over) clause(c *Clause) (all, none bool) {
	all = true
	for i := range c.Conds {
		each, never := o.cond(&c.Conds[i])
		if never {
			return false, true
		}
		all = all && each
	}
	return all, false
}

func (o *over) cond(c *Cond) (all, none bool) {
	// Each bit of a value is a bit of a register or always zero (abi.Param.Value), so
	// that what is known of it comes from what is known of the registers.
	every := [6]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
	v := valueOver{o, c.Param, c.Param.Value(&o.Mask) | ^c.Param.Value(&every), c.Param.Value(&o.Value)}
	none = true
	for i := range c.Tests {
		each, never := v.test(&c.Tests[i])
		if each {
			return !c.Negate, c.Negate
		}
		none = none && never
	}
	if c.Negate {
		return none, false
	}
	return false, none
}

// valueOver is a parameter's value over a region.
type valueOver struct {
	*over
	param       *abi.Param
	mask, value uint64 // of the bits that are known
}

func (v *valueOver) test(t *Test) (all, none bool) {
	if t.Op == Masked {
		return v.masked(t.A, t.B)
	}
	if !v.param.Signed {
		return v.between(t.A, t.B)
	}
	w := width(v.param)
	a, b, ones := signExtend(t.A, w), signExtend(t.B, w), ^uint64(0)>>(64-w)
	switch {
	case a > b:
		return false, true
	case a < 0 && b >= 0:
		below, notBelow := v.between(uint64(a)&ones, ones)
		above, notAbove := v.between(0, uint64(b))
		return below || above, notBelow && notAbove
	}
	return v.between(uint64(a)&ones, uint64(b)&ones)
}

func (v *valueOver) masked(mask, value uint64) (all, none bool) {
	switch {
	case (v.value^value)&v.mask&mask != 0 || value&^mask != 0:
		return false, true
	case mask&^v.mask == 0:
		return true, false
	}
	for i := range v.Not {
		if v.against(mask, value, &v.Not[i]) {
			return false, true
		}
	}
	if v.hinge.Mask == 0 {
		v.hinge = v.comparison(mask, value)
	}
	return false, false
}

// comparison is of a register that the masked bits come from, some of which are not known.
func (v *valueOver) comparison(mask, value uint64) Comparison {
	p := v.param
	c := Comparison{int(p.Lo), mask >> p.Shift, value >> p.Shift}
	if p.Hi >= 0 {
		if c.Mask, c.Value = mask&0xffffffff, value&0xffffffff; c.Mask&^v.Mask[p.Lo] == 0 {
			c = Comparison{int(p.Hi), mask >> 32, value >> 32}
		}
	} else if p.Bits < 64 {
		c.Mask &= 1<<p.Bits - 1
		c.Value &= 1<<p.Bits - 1
	}
	return c
}

// between is for values from a to b, both inclusive, unsigned. None is where none is in
// any of the aligned blocks of powers of two that make them up.
func (v *valueOver) between(a, b uint64) (all, none bool) {
	if a <= v.value && v.value|^v.mask <= b {
		return true, false
	}
	for a <= b {
		free := uint64(1)<<bits.TrailingZeros64(a) - 1 // all, of 0
		for a|free > b {
			free >>= 1
		}
		if _, never := v.masked(^free, a); !never {
			return false, false
		}
		if a |= free; a == ^uint64(0) {
			break
		}
		a++
	}
	return false, true
}

// against says whether a comparison that holds for none of the region holds wherever in
// it the value's masked bits are these, which is therefore nowhere.
func (v *valueOver) against(mask, value uint64, n *Comparison) bool {
	if n.Reg != int(v.param.Lo) && n.Reg != int(v.param.Hi) {
		return false
	}
	var open, wanted [6]uint64
	open[n.Reg] = n.Mask &^ v.Mask[n.Reg]
	wanted[n.Reg] = n.Value & open[n.Reg]
	told := v.param.Value(&open)
	return (n.Value^v.Value[n.Reg])&n.Mask&v.Mask[n.Reg] == 0 && // what is known does not contradict it,
		bits.OnesCount64(told) == bits.OnesCount64(open[n.Reg]) && told&^mask == 0 && // these bits tell all the rest,
		value&told == v.param.Value(&wanted) // and the same
}
