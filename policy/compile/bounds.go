package compile

import (
	"slices"

	"callgate/policy"
	"callgate/policy/abi"
)

// bounds is the values at which the verdict on one call may change: for each
// register that a condition looks at, the constants of the conditions and
// their neighbours.
type bounds struct {
	regs   []int       // in the order of first mention
	values [6][]uint64 // by register
}

// collect gathers them, in place of what there was, from all policies'
// conditions on a number and from its exceptions; false if there are none.
func (b *bounds) collect(number policy.Number, own *exceptions) bool {
	b.regs = b.regs[:0]
	for r := range b.values {
		b.values[r] = b.values[r][:0]
	}
	for _, ruling := range number {
		clauses := ruling.Clauses
		for i := range clauses {
			for j := range clauses[i].Conds {
				b.cond(&clauses[i].Conds[j])
			}
		}
	}
	own.bounds(b)
	for _, r := range b.regs {
		slices.Sort(b.values[r])
		b.values[r] = slices.Compact(b.values[r])
	}
	return len(b.regs) > 0
}

func (b *bounds) cond(c *policy.Cond) {
	for _, t := range c.Tests {
		if t.Op == policy.Masked {
			b.around(c.Param, t.B)
			b.value(c.Param, t.B|^t.A)
			for mask := t.A; mask != 0 && mask != ^uint64(0); mask &= mask - 1 {
				b.value(c.Param, t.B^mask&-mask) // the edge of the mask, one bit at a time
			}
			continue
		}
		b.around(c.Param, t.A)
		b.around(c.Param, t.B)
	}
}

// around adds a value of a parameter, its neighbours, and what differs from it
// only where the kernel may not look: in the high half and the sign.
func (b *bounds) around(p *abi.Param, v uint64) {
	for _, near := range [...]uint64{v - 1, v, v + 1} {
		b.value(p, near)
	}
	b.value(p, v^1<<31)
	b.value(p, v^1<<63)
	b.value(p, v^1<<32)
	b.value(p, v|0xffffffff<<32)
	b.value(p, ^v)
}

// value adds the registers that give a parameter this value, and for one whose
// upper register bits the kernel ignores, some with those set.
func (b *bounds) value(p *abi.Param, v uint64) {
	if p.Hi >= 0 {
		b.add(int(p.Lo), v&0xffffffff)
		b.add(int(p.Hi), v>>32)
		return
	}
	b.add(int(p.Lo), v>>p.Shift)
	if p.Shift > 0 {
		b.add(int(p.Lo), v>>p.Shift+1)
	}
}

func (b *bounds) add(reg int, values ...uint64) {
	if len(b.values[reg]) == 0 {
		b.regs = append(b.regs, reg)
		b.values[reg] = append(b.values[reg], 0, ^uint64(0))
	}
	b.values[reg] = append(b.values[reg], values...)
}

// each calls f with combinations of the values until f says false: all of them
// if they are at most depth, else so many that every value comes up, beside
// ever other values of the other registers. Registers that no condition looks
// at are all zeros and all ones in turn. The arguments are f's until it returns.
func (b *bounds) each(depth int, f func(*[6]uint64) bool) {
	const ones = ^uint64(0) // on i386 too: the kernel gives whole registers at int $0x80
	if len(b.regs) == 0 {
		f(&[6]uint64{ones, ones, ones, ones, ones, ones})
		return
	}
	n, all := b.count(depth)
	var args [6]uint64
	var at [6]int // of each register's values the next
	for i := 0; i < n; i++ {
		for r := range args {
			args[r] = ones * uint64(i&1)
		}
		for _, r := range b.regs {
			args[r] = b.values[r][at[r]]
		}
		if !f(&args) {
			return
		}
		b.step(&at, i+1, all)
	}
}

// step goes to the combination that has number i: to the next of all there
// are, or to the next value of every register, where each run through the values
// of the k-th begins k values on from the last.
func (b *bounds) step(at *[6]int, i int, all bool) {
	for k, r := range b.regs {
		n := len(b.values[r])
		if at[r]++; at[r] == n {
			at[r] = 0
		}
		switch {
		case all && at[r] > 0:
			return
		case !all && i%n == 0:
			at[r] = (at[r] + k) % n
		}
	}
}

// count is how many combinations to try, and whether that is all there are.
func (b *bounds) count(depth int) (n int, all bool) {
	n, longest := 1, 0
	for _, r := range b.regs {
		n = min(n*len(b.values[r]), 1<<30)
		longest = max(longest, len(b.values[r]))
	}
	if n <= depth || n == longest {
		return n, true
	}
	return max(depth, longest), false
}
