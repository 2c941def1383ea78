package policy

import (
	"strconv"
	"strings"

	"callgate/policy/abi"
)

func ones(bits uint8) uint64 { return ^uint64(0) >> (64 - bits) }

// signExtend makes a value of so many bits one of 64.
func signExtend(v uint64, bits uint8) int64 { return int64(v<<(64-bits)) >> (64 - bits) }

// fits gives the value as so many bits hold it, if they do. A negative one
// fits as two's complement whether or not the parameter is signed: -1 is how
// setresuid(2) spells "leave unchanged".
func fits(v uint64, minus bool, bits uint8) (uint64, bool) {
	if minus {
		return v & ones(bits), int64(v) >= -1<<(bits-1)
	}
	return v, v <= ones(bits)
}

// paramOf finds the parameter that a rule calls by that name. arg0 to arg5
// count parameters, so that they mean the same in every ABI and compare at the
// kernel's width; a call whose parameters the tables do not list has whole
// registers there. The man page's own name comes first: prctl(2) and keyctl(2)
// call their second parameter arg2.
func paramOf(s *abi.Syscall, name string) (*abi.Param, bool) {
	p, ok := s.Param(name)
	n, numbered := argNumber(name)
	switch {
	case !numbered || len(s.Params) == 0 || s.Declares(p):
		return p, ok
	case s.Arch == abi.I386 && s.Block && (s.Name == "mmap" || s.Name == "select"):
		return nil, false
	case n < len(s.Params):
		return &s.Params[n], true
	}
	return nil, false
}

func argNumber(name string) (int, bool) {
	if len(name) == 4 && strings.HasPrefix(name, "arg") && name[3] >= '0' && name[3] <= '5' {
		return int(name[3] - '0'), true
	}
	return 0, false
}

// outcome is what a condition comes to on one entry.
type outcome uint8

const (
	depends outcome = iota // on the value
	always
	never
	unclear // the entry lacks the parameter or a constant
)

// clause binds the rule to one entry. It is false where the rule can match no
// call there. A condition that cannot be told there fails closed: it never
// holds for a rule that permits, and always for one that does not.
func (rule *Rule) clause(s *abi.Syscall) (Clause, bool) {
	c := Clause{Rule: rule}
	for _, a := range rule.args {
		cond, is := a.bind(s)
		if is == never || is == unclear && !rule.Action.Restricts() {
			return Clause{}, false
		}
		if is == depends {
			c.Conds = append(c.Conds, cond)
		}
	}
	return c, true
}

func (a *arg) bind(s *abi.Syscall) (Cond, outcome) {
	p, ok := paramOf(s, a.name)
	if !ok {
		return Cond{}, unclear
	}
	cond := Cond{Param: p, Negate: a.negate, Tests: make([]Test, 0, len(a.asks))}
	any := never
	for i := range a.asks {
		t, is := a.asks[i].bind(p)
		switch is {
		case unclear:
			return Cond{}, unclear
		case always:
			any = always
		case depends:
			cond.Tests = append(cond.Tests, t)
		}
	}
	switch {
	case any == never && len(cond.Tests) > 0:
		return cond, depends
	case (any == always) != a.negate:
		return Cond{}, always
	}
	return Cond{}, never
}

// bind makes one test for one parameter. What its width cannot hold matches
// nothing; the ends of a range are cut to it.
func (k *ask) bind(p *abi.Param) (Test, outcome) {
	switch k.form {
	case isMasked:
		return k.bindMask(p)
	case isBetween:
		return k.bindRange(p)
	}
	v, minus, unknown := k.a.value(p)
	if unknown != "" {
		return Test{}, unclear
	}
	v, ok := fits(v, minus, width(p))
	if !ok {
		return Test{}, never
	}
	return Test{Masked, ones(width(p)), v}, depends
}

func (k *ask) bindMask(p *abi.Param) (Test, outcome) {
	mask, _, unknown := k.a.value(p)
	is, minus, unknown2 := k.b.value(p)
	if unknown != "" || unknown2 != "" {
		return Test{}, unclear
	}
	mask &= ones(width(p))
	is, ok := fits(is, minus, width(p))
	switch {
	case !ok || is&^mask != 0:
		return Test{}, never
	case mask == 0:
		return Test{}, always
	}
	return Test{Masked, mask, is}, depends
}

func (k *ask) bindRange(p *abi.Param) (Test, outcome) {
	w := width(p)
	low, high, unknown := k.ends(p)
	if unknown != "" {
		return Test{}, unclear
	}
	least, most := limits(p)
	if low.less(least) {
		low = least
	}
	if most.less(high) {
		high = most
	}
	switch {
	case high.less(low):
		return Test{}, never
	case low == least && high == most:
		return Test{}, always
	}
	return Test{Range, low.bits & ones(w), high.bits & ones(w)}, depends
}

// whole is an integer from -2^63 to 2^64-1.
type whole struct {
	bits  uint64
	minus bool
}

func (a whole) less(b whole) bool {
	if a.minus != b.minus {
		return a.minus
	}
	return a.bits < b.bits
}

func (a whole) String() string {
	if a.minus {
		return strconv.FormatInt(int64(a.bits), 10)
	}
	return strconv.FormatUint(a.bits, 10)
}

// limits are the least and greatest value of a parameter.
func limits(p *abi.Param) (least, most whole) {
	w := width(p)
	if p.Signed {
		return whole{^(ones(w) >> 1), true}, whole{ones(w) >> 1, false}
	}
	return whole{}, whole{ones(w), false}
}

// ends are the ends of the range as written, the parameter's own limits where
// one is left out.
func (k *ask) ends(p *abi.Param) (low, high whole, unknown string) {
	low, high = limits(p)
	if k.a != nil {
		low.bits, low.minus, unknown = k.a.value(p)
	}
	if k.b != nil && unknown == "" {
		high.bits, high.minus, unknown = k.b.value(p)
	}
	return low, high, unknown
}
