package foreign

import (
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// seat is where an ABI's entry has a register's value: a parameter, or nothing that
// the kernel reads.
type seat struct {
	param *abi.Param // nil: not read, always taken as 0
	name  string     // as rules call it
}

// seatOf is false where no rule can speak of the register alone: it is half of a
// value, or shifted.
func seatOf(s *abi.Syscall, reg int) (seat, bool) {
	for i := range s.Params {
		p := &s.Params[i]
		switch {
		case int(p.Hi) == reg && p.Hi >= 0, int(p.Lo) == reg && (p.Hi >= 0 || p.Shift > 0):
			return seat{}, false
		case int(p.Lo) == reg:
			return seat{p, p.Name}, true
		}
	}
	if len(s.Params) > 0 {
		return seat{}, !s.Block // old mmap and select have a block instead
	}
	name := "arg" + strconv.Itoa(reg)
	p, ok := s.Param(name)
	return seat{p, name}, ok
}

// outcome is what a condition comes to on one parameter.
type outcome uint8

const (
	depends outcome = iota
	always
	never
)

// narrow gives a condition as a policy has it, on the values that the kernel takes:
// of so many bits, zero-extended. words asks for constants by their names, where they
// have some.
func (c *cond) narrow(p *abi.Param, words bool) (text string, not bool, is outcome) {
	if p == nil {
		return "", false, constant(c.holds(0))
	}
	ones := onesOf(p.Bits)
	x := c.extended(p.Bits)
	switch x.op {
	case equal, notEqual:
		if x.a > ones {
			return "", false, constant(x.op == notEqual)
		}
		return named(x.a, p, words), x.op == notEqual, depends
	case masked, notMasked:
		mask := x.a & ones
		if x.b&^mask != 0 || mask == 0 {
			return "", false, constant((x.op == masked) == (x.b&^mask == 0))
		}
		is := hex(x.b)
		if x.b != 0 {
			is = flags(x.b, p, words)
		}
		return "{mask: " + flags(mask, p, words) + ", is: " + is + "}", x.op == notMasked, depends
	}
	s := x.ranges()
	if len(s) == 0 || s[0].low > ones {
		return "", false, never
	}
	low, high := s[0].low, min(s[0].high, ones)
	if low == 0 && high == ones {
		return "", false, always
	}
	return between(low, high, p), false, depends
}

func constant(holds bool) outcome {
	if holds {
		return always
	}
	return never
}

// extended takes a value that is a negative number of the parameter's width, as 64
// bits have it, for that number: the kernel sees it so.
func (c *cond) extended(bits uint8) cond {
	x := *c
	if high := ^onesOf(bits) | 1<<(bits-1); bits < 64 && (x.op == equal || x.op == notEqual) && x.a&high == high {
		x.a &= onesOf(bits)
	}
	return x
}

// between is the range from low to high, taken as unsigned, for a parameter whose
// ranges may be signed.
func between(low, high uint64, p *abi.Param) string {
	half := onesOf(p.Bits) >> 1
	if !p.Signed || high <= half || low > half {
		return rangeText(low, high, p)
	}
	return rangeText(low, half, p) + ", " + rangeText(half+1, high, p)
}

func rangeText(low, high uint64, p *abi.Param) string {
	if low == high {
		return number(low, p)
	}
	least, most := uint64(0), onesOf(p.Bits)
	if p.Signed {
		least, most = most>>1+1, most>>1
	}
	switch {
	case low == least:
		return "{max: " + number(high, p) + "}"
	case high == most:
		return "{min: " + number(low, p) + "}"
	}
	return "{min: " + number(low, p) + ", max: " + number(high, p) + "}"
}

// number writes a value of a parameter, a negative one as such.
func number(v uint64, p *abi.Param) string {
	if p.Signed && v > onesOf(p.Bits)>>1 {
		return strconv.FormatInt(int64(v|^onesOf(p.Bits)), 10)
	}
	if v >= 1<<16 {
		return hex(v)
	}
	return strconv.FormatUint(v, 10)
}

// named writes a value by its constant's name, else as number does.
func named(v uint64, p *abi.Param, words bool) string {
	if words && p.Consts != nil && !p.Consts.Mixed {
		if text := p.Consts.Format(v, p.Bits); text[0] > '9' && !strings.Contains(text, "0x") {
			return text
		}
	}
	return number(v, p)
}

// flags writes bits by their constants' names if all of them have some.
func flags(v uint64, p *abi.Param, words bool) string {
	if words && p.Consts != nil && p.Consts.Flags {
		if text := p.Consts.Format(v, p.Bits); !strings.Contains(text, "0x") {
			return text
		}
	}
	return hex(v)
}

func hex(v uint64) string {
	if v == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(v, 16)
}

func onesOf(bits uint8) uint64 { return ^uint64(0) >> (64 - bits) }

// wide says whether the condition tells values apart by more than 32 bits, which
// libseccomp does not in ABIs of 32.
func (c *cond) wide() bool {
	const ones = 1<<32 - 1
	x := c.extended(32)
	if x.op == masked || x.op == notMasked {
		return x.b > ones
	}
	return x.a > ones
}

// phrase is a clause's conditions as `args` has them, by parameter.
type phrase struct {
	names []string
	terms map[string][]string // of each parameter, any of them; "!x" for one negated
}

// phrase makes the clause's conditions one for one entry; never if it cannot hold. ok is
// false where a register has no parameter of its own there, or several conditions on one
// do not go together.
func (c *clause) phrase(s *abi.Syscall, words bool) (p phrase, is outcome, ok bool) {
	p.terms = map[string][]string{}
	for reg := range 6 {
		var conds []cond
		for _, one := range c.conds {
			if one.reg == reg {
				conds = append(conds, one)
			}
		}
		if len(conds) == 0 {
			continue
		}
		at, found := seatOf(s, reg)
		if !found {
			return p, depends, false
		}
		terms, one, ok := narrowAll(conds, at.param, words)
		switch {
		case !ok:
			return p, depends, false
		case one == never:
			return p, never, true
		case one == depends:
			p.names = append(p.names, at.name)
			p.terms[at.name] = terms
		}
	}
	if len(p.names) == 0 {
		return p, always, true
	}
	return p, depends, true
}

// narrowAll is narrow of conditions on one parameter which all must hold.
func narrowAll(conds []cond, p *abi.Param, words bool) (terms []string, is outcome, ok bool) {
	is = always
	var left []cond
	var nots int
	for i := range conds {
		text, not, one := conds[i].narrow(p, words)
		switch {
		case one == never:
			return nil, never, true
		case one == always:
			continue
		case not:
			text = "!" + text
			nots++
		}
		is = depends
		terms, left = append(terms, text), append(left, conds[i])
	}
	if len(terms) < 2 || nots == len(terms) {
		return terms, is, true
	}
	spans := []span{{0, onesOf(p.Bits)}}
	for i := range left {
		if left[i].op >= masked {
			return nil, depends, false
		}
		x := left[i].extended(p.Bits)
		spans = meet(spans, x.ranges())
	}
	if len(spans) == 0 {
		return nil, never, true
	}
	terms = terms[:0]
	for _, s := range spans {
		terms = append(terms, between(s.low, s.high, p))
	}
	return terms, depends, true
}

// meet is what both lists of ranges have.
func meet(a, b []span) (list []span) {
	for _, x := range a {
		for _, y := range b {
			if low, high := max(x.low, y.low), min(x.high, y.high); low <= high {
				list = append(list, span{low, high})
			}
		}
	}
	return list
}

// String is the conditions between braces.
func (p *phrase) String() string {
	parts := make([]string, len(p.names))
	for i, name := range p.names {
		parts[i] = name + ": " + termText(p.terms[name])
	}
	return strings.Join(parts, ", ")
}

func termText(terms []string) string {
	not := terms[0][0] == '!'
	list := make([]string, len(terms))
	for i, t := range terms {
		list[i] = strings.TrimPrefix(t, "!")
	}
	text := strings.Join(list, ", ")
	if len(terms) > 1 || strings.Contains(text, "}, ") {
		text = "[" + text + "]"
	}
	if not {
		return "{not: " + text + "}"
	}
	return text
}
