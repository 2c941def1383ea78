package policy

import (
	"errors"
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// arg is one line of a rule's `args`: what it asks of one parameter, before it
// is bound to a parameter of one ABI.
type arg struct {
	pos    Position
	name   string // the parameter's, as written
	negate bool   // {not: …}
	asks   []ask  // any of them
}

// ask is one test as written. For equality only a is set; for a mask a is the
// mask and b what the masked value is; for a range a and b are its ends, of
// which one may be nil.
type ask struct {
	form askForm
	a, b *operand
}

type askForm uint8

const (
	isEqual askForm = iota
	isMasked
	isBetween
)

// operand is one number, or several words or-ed together. Constants keep
// their names: their numbers differ between ABIs.
type operand struct {
	pos   Position
	terms []term
}

type term struct {
	text   string // as written
	name   string // of a constant, "" for a number
	number uint64 // two's complement if negative
	minus  bool
}

// askKeys are the keys of the maps that a condition may be.
var askKeys = []string{"not", "min", "max", "mask", "is"}

// args reads a rule's conditions and checks them against the parameters of
// every call that the rule names.
func (r *reader) args(rule *Rule, n *node) {
	if n.kind == mapNode && len(n.fields) == 0 {
		r.fail(n, "leave args out", "args names no parameter")
		return
	}
	r.fields(n, "parameter", nil, func(key string, f *field) {
		a := &arg{pos: r.pos(&f.key), name: key}
		if r.ask(a, &f.value) {
			rule.args = append(rule.args, a)
		}
	})
	r.fitAll(rule)
}

// ask reads a condition in any of its forms. It is false where a mistake was
// found.
func (r *reader) ask(a *arg, n *node) bool {
	if n.kind == mapNode && len(n.fields) > 0 && n.fields[0].key.text == "not" {
		return r.askNot(a, n)
	}
	if n.kind != listNode {
		return r.askOne(a, n)
	}
	ok := len(n.items) > 0
	if !ok {
		r.fail(n, "", "the list is empty, so that no value can match")
	}
	for i := range n.items {
		ok = r.askOne(a, &n.items[i]) && ok
	}
	return ok
}

func (r *reader) askNot(a *arg, n *node) bool {
	ok := true
	a.negate = true
	r.fields(n, "condition key", askKeys, func(key string, f *field) {
		if key != "not" {
			r.fail(&f.key, "", "not and %s cannot stand together", key)
			ok = false
			return
		}
		if v := &f.value; v.kind == mapNode && len(v.fields) > 0 && v.fields[0].key.text == "not" {
			r.fail(v, "", "not inside not")
			ok = false
			return
		}
		ok = r.ask(a, &f.value) && ok
	})
	return ok
}

// askOne reads one test: a number or constant, a range or a mask.
func (r *reader) askOne(a *arg, n *node) bool {
	switch n.kind {
	case scalarNode:
		if v := r.operand(n); v != nil {
			a.asks = append(a.asks, ask{isEqual, v, nil})
			return true
		}
		return false
	case listNode:
		r.fail(n, "", "a list inside a list")
		return false
	}
	return r.askMap(a, n)
}

// askMap reads {min:, max:} or {mask:, is:}.
func (r *reader) askMap(a *arg, n *node) bool {
	at := map[string]*field{}
	count := len(r.led.list)
	r.fields(n, "condition key", askKeys, func(key string, f *field) { at[key] = f })
	min, max, mask, is := at["min"], at["max"], at["mask"], at["is"]
	switch {
	case at["not"] != nil:
		r.fail(&at["not"].key, "write {not: [a, b]} for neither", "not must hold the whole condition")
	case len(r.led.list) > count:
	case (min != nil || max != nil) && mask == nil && is == nil:
		a.asks = append(a.asks, ask{isBetween, r.end(min), r.end(max)})
	case mask != nil && is != nil && min == nil && max == nil:
		r.askMask(a, &mask.value, &is.value)
	case mask != nil && is == nil && min == nil && max == nil:
		r.fail(n, "", "mask needs `is`: the value of the masked bits")
	case is != nil && mask == nil && min == nil && max == nil:
		r.fail(n, "", "is needs `mask`: the bits to look at")
	default:
		r.fail(n, "", "expected a condition: a value, a list, {not: }, {min: , max: } or {mask: , is: }")
	}
	return len(r.led.list) == count
}

func (r *reader) end(f *field) *operand {
	if f == nil {
		return nil
	}
	return r.operand(&f.value)
}

func (r *reader) askMask(a *arg, mask, is *node) {
	m := r.operand(mask)
	items := r.list(is, "a number or constant")
	for i := range items {
		if v := r.operand(&items[i]); m != nil && v != nil {
			a.asks = append(a.asks, ask{isMasked, m, v})
		}
	}
}

// operand reads a number, a constant, or several with | between them; nil if
// it is neither.
func (r *reader) operand(n *node) *operand {
	if n.kind != scalarNode || n.empty() || n.text == "" {
		r.fail(n, "", "expected a number or a constant, found %s", n.describe())
		return nil
	}
	o := &operand{pos: r.pos(n)}
	words := strings.Split(n.text, "|")
	for _, word := range words {
		t, why, hint := parseTerm(strings.TrimSpace(word))
		if why == "" && t.minus && len(words) > 1 {
			why = "a negative number cannot be or-ed"
		}
		if why != "" {
			r.fail(n, hint, "%s", why)
			return nil
		}
		o.terms = append(o.terms, t)
	}
	return o
}

// parseTerm reads a constant's name or a whole number: decimal, 0x, 0o or 0b,
// with a minus if need be. A why that is not empty says what is wrong.
func parseTerm(s string) (t term, why, hint string) {
	digits, minus := strings.CutPrefix(s, "-")
	switch {
	case s == "":
		return t, "expected a number or a constant, found nothing", ""
	case isBool(s):
		return t, "expected a number or a constant, found the truth value " + s, ""
	case isWord(s):
		return term{text: s, name: s}, "", ""
	case len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "01234567") == "":
		return t, "the number " + quote(s) + " could be octal or decimal", "write 0o" + strings.TrimLeft(digits, "0") + " or leave the zero out"
	}
	v, err := strconv.ParseUint(digits, 0, 64)
	if errors.Is(err, strconv.ErrRange) {
		return t, "the number " + quote(s) + " has more than 64 bits", ""
	}
	if err != nil || strings.Contains(s, "_") {
		return t, "expected a whole number or a constant, found " + quote(s), ""
	}
	if minus && v > 1<<63 || minus && v == 0 {
		return t, "the number " + s + " is no negative number of 64 bits", ""
	}
	if minus {
		v = -v
	}
	return term{text: s, number: v, minus: minus}, "", ""
}

// isWord says whether s has the form of a C constant's name.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// value computes the operand for one parameter: its constants are those of
// the parameter's ABI. unknown is the first name that the parameter lacks.
func (o *operand) value(p *abi.Param) (v uint64, minus bool, unknown string) {
	for _, t := range o.terms {
		if t.name != "" {
			c, ok := constant(p, t.name)
			if !ok {
				return 0, false, t.name
			}
			v |= c
			continue
		}
		v |= t.number
		minus = minus || t.minus
	}
	// A negative constant, such as AT_FDCWD, is listed with 64 bits.
	minus = minus || len(o.terms) == 1 && o.terms[0].name != "" && int64(v) < 0
	return v, minus, ""
}

func constant(p *abi.Param, name string) (uint64, bool) {
	if p.Consts == nil {
		return 0, false
	}
	return p.Consts.Value(name)
}
