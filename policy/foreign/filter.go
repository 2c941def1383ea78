package foreign

import (
	"slices"

	"callgate/policy"
	"callgate/policy/abi"
)

// filter is another tool's policy in words that all of them share: what becomes of
// each call by its exact name, whatever the ABI, by whole argument registers.
type filter struct {
	format      Format
	description string
	rest        answer // what no name speaks of
	calls       map[string]*treatment
	compat      policy.Compat
	groups      []string // names of groups that the source has, for the output to have too
}

// answer is what becomes of a call.
type answer struct {
	action policy.Action
	errno  uint16 // of Deny
	value  int64  // of Skip
}

// treatment is what becomes of the calls of one name: what the first clause that
// holds says, else rest.
type treatment struct {
	clauses []clause
	rest    answer
	pos     policy.Position // of its first mention
	comment string
}

// clause holds where all its conditions do.
type clause struct {
	conds  []cond
	answer answer
	pos    policy.Position
}

// cond compares one whole register, unsigned.
type cond struct {
	reg  int
	op   op
	a, b uint64 // for masked: the mask, and what the masked bits are
}

type op uint8

const (
	equal op = iota + 1
	notEqual
	less
	lessEqual
	greaterEqual
	greater
	masked    // v&a == b
	notMasked // v&a != b
)

// holds says whether a register's value is one that the condition asks for.
func (c *cond) holds(v uint64) bool {
	switch c.op {
	case equal:
		return v == c.a
	case notEqual:
		return v != c.a
	case less:
		return v < c.a
	case lessEqual:
		return v <= c.a
	case greaterEqual:
		return v >= c.a
	case greater:
		return v > c.a
	case masked:
		return v&c.a == c.b
	}
	return v&c.a != c.b
}

// equal says whether both do the same to every call.
func (t *treatment) equal(u *treatment) bool {
	return t.rest == u.rest && slices.EqualFunc(t.clauses, u.clauses, func(a, b clause) bool {
		return a.answer == b.answer && slices.Equal(a.conds, b.conds)
	})
}

// of is the treatment of a name, that of no clause and f.rest for one that nothing
// speaks of.
func (f *filter) of(name string) *treatment {
	if t := f.calls[name]; t != nil {
		return t
	}
	return &treatment{rest: f.rest}
}

// arches are the ABIs whose calls are decided by their names: target and, on its
// kernel, those that are not refused as a whole.
func (f *filter) arches(target abi.Arch) []abi.Arch {
	list := []abi.Arch{target}
	if target == abi.X86_64 && f.compat.I386 == policy.CompatSame {
		list = append(list, abi.I386)
	}
	if target == abi.X86_64 && f.compat.X32 == policy.CompatSame {
		list = append(list, abi.X32)
	}
	return list
}

// overlap says whether some registers may meet both clauses. It may be wrong only by
// saying yes.
func (c *clause) overlap(d *clause) bool {
	for _, x := range c.conds {
		for _, y := range d.conds {
			if x.reg == y.reg && apart(x, y) {
				return false
			}
		}
	}
	return true
}

// apart says whether surely no value meets both.
func apart(x, y cond) bool {
	xm, xv, xmasks := x.bits()
	ym, yv, ymasks := y.bits()
	if xmasks && ymasks {
		return (xv^yv)&xm&ym != 0
	}
	if x.op == notMasked && ymasks {
		x, y, ym, yv = y, x, xm, xv
	} else if y.op != notMasked || !xmasks {
		return disjoint(x.ranges(), y.ranges())
	}
	return x.op == equal && x.a&y.a == y.b || x.op == masked && x.a == y.a && x.b == y.b
}

// bits is the condition as bits that a value must have, false if it is none.
func (c *cond) bits() (mask, is uint64, ok bool) {
	switch c.op {
	case equal:
		return ^uint64(0), c.a, true
	case masked:
		return c.a, c.b, true
	}
	return 0, 0, false
}

// span is a range of values, both ends included.
type span struct{ low, high uint64 }

// ranges are the values that the condition asks for, or more.
func (c *cond) ranges() []span {
	const most = ^uint64(0)
	switch c.op {
	case equal:
		return []span{{c.a, c.a}}
	case notEqual:
		return outside(span{c.a, c.a})
	case less:
		return outside(span{c.a, most})
	case lessEqual:
		return []span{{0, c.a}}
	case greaterEqual:
		return []span{{c.a, most}}
	case greater:
		return outside(span{0, c.a})
	}
	return []span{{0, most}}
}

// outside is all values but those of a span.
func outside(s span) (list []span) {
	if s.low > 0 {
		list = append(list, span{0, s.low - 1})
	}
	if s.high < ^uint64(0) {
		list = append(list, span{s.high + 1, ^uint64(0)})
	}
	return list
}

func disjoint(a, b []span) bool {
	for _, x := range a {
		for _, y := range b {
			if x.low <= y.high && y.low <= x.high {
				return false
			}
		}
	}
	return true
}
