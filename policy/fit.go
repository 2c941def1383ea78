package policy

import (
	"fmt"
	"strings"

	"callgate/policy/abi"
)

// fitAll checks that each condition of a rule makes sense for each of its
// calls. Of each condition only the first call that it does not fit is
// reported.
func (r *reader) fitAll(rule *Rule) {
	for i, a := range rule.args {
		if m := r.fitArg(rule, a, rule.args[:i]); m != nil {
			r.led.add(*m)
		}
	}
}

func (r *reader) fitArg(rule *Rule, a *arg, before []*arg) *Mistake {
	for _, name := range rule.Calls {
		for _, call := range name.expand() {
			if m := a.fit(call, before); m != nil {
				if m.Pos.File = r.file; m.Pos.Line == 0 {
					m.Pos = a.pos
				}
				return m
			}
		}
	}
	return nil
}

// fit checks a condition against one call: it must make sense in one of the
// ABIs that have it. Where it makes sense in none, the first that has the
// parameter says why.
func (a *arg) fit(call string, before []*arg) *Mistake {
	var lacking, wrong *Mistake
	for _, arch := range abi.Arches() {
		s, ok := arch.ByName(call)
		if !ok {
			continue
		}
		p, ok := paramOf(s, a.name)
		if !ok {
			if lacking == nil {
				lacking = a.lacking(s)
			}
			continue
		}
		m := a.fitParam(s, p, before)
		if m == nil {
			return nil
		}
		if wrong == nil {
			wrong = m
		}
	}
	if wrong != nil {
		return wrong
	}
	return lacking
}

func (a *arg) lacking(s *abi.Syscall) *Mistake {
	names := make([]string, len(s.Params))
	for i := range s.Params {
		names[i] = s.Params[i].Name
	}
	return &Mistake{Pos: a.pos, Message: fmt.Sprintf("%s has no parameter %s", s.Name, quote(a.name)), Hint: DidYouMean(a.name, names)}
}

func (a *arg) fitParam(s *abi.Syscall, p *abi.Param, before []*arg) *Mistake {
	for _, b := range before {
		if q, ok := paramOf(s, b.name); ok && p == q {
			return &Mistake{Pos: a.pos, Message: fmt.Sprintf("%s and %s are the same parameter of %s", quote(b.name), quote(a.name), s.Name), Hint: "write one condition"}
		}
	}
	for i := range a.asks {
		if m := a.asks[i].fit(s, p, a.name); m != nil {
			return m
		}
	}
	return nil
}

// fit checks one test: its constants, its width, and that a value can pass it.
func (k *ask) fit(s *abi.Syscall, p *abi.Param, name string) *Mistake {
	for _, o := range [...]*operand{k.a, k.b} {
		if o == nil {
			continue
		}
		if m := o.fit(s, p, name, k.form == isBetween); m != nil {
			return m
		}
	}
	switch k.form {
	case isMasked:
		return k.fitMask(p)
	case isBetween:
		if low, high, _ := k.ends(p); high.less(low) {
			return &Mistake{Pos: k.b.orElse(k.a), Message: fmt.Sprintf("no value is at least %s and at most %s", low, high)}
		}
	}
	return nil
}

func (o *operand) orElse(other *operand) Position {
	if o != nil {
		return o.pos
	}
	return other.pos
}

func (k *ask) fitMask(p *abi.Param) *Mistake {
	mask, _, _ := k.a.value(p)
	is, minus, _ := k.b.value(p)
	if is, _ = fits(is, minus, width(p)); is&^mask != 0 {
		return &Mistake{Pos: k.b.pos, Message: fmt.Sprintf("%s has bits outside the mask %s (0x%x), so that no value can match", k.b, k.a, is&^mask)}
	}
	if mask == 0 {
		return &Mistake{Pos: k.a.pos, Message: "a mask of 0 looks at nothing"}
	}
	return nil
}

// fit checks that the parameter has the operand's constants and can hold its
// value.
func (o *operand) fit(s *abi.Syscall, p *abi.Param, name string, ordered bool) *Mistake {
	v, minus, unknown := o.value(p)
	if unknown != "" {
		return &Mistake{Pos: o.pos, Message: unknownConstant(s, p, name, unknown), Hint: constantHint(p, unknown)}
	}
	_, ok := fits(v, minus, width(p))
	if ordered && p.Signed && !minus && v > ones(width(p))>>1 {
		ok = false
	}
	if ordered && !p.Signed && minus {
		ok = false
	}
	if !ok {
		sign := "an unsigned"
		if p.Signed {
			sign = "a signed"
		}
		return &Mistake{Pos: o.pos, Message: fmt.Sprintf("%s does not fit %s of %s, %s number of %d bits", o, quote(name), s.Name, sign, width(p))}
	}
	return nil
}

func unknownConstant(s *abi.Syscall, p *abi.Param, param, name string) string {
	if p.Consts == nil {
		return fmt.Sprintf("%s of %s has no symbolic constants such as %s", quote(param), s.Name, quote(name))
	}
	return fmt.Sprintf("unknown constant %s for %s of %s", quote(name), quote(param), s.Name)
}

func constantHint(p *abi.Param, name string) string {
	if p.Consts == nil {
		switch p.Kind {
		case abi.Path, abi.String, abi.Buffer, abi.Sockaddr, abi.Argv:
			return "it points to memory, which rules on system calls do not look at"
		}
		return "write a number"
	}
	return DidYouMean(name, p.Consts.Names())
}

// String is the operand as a policy has it.
func (o *operand) String() string {
	words := make([]string, len(o.terms))
	for i, t := range o.terms {
		words[i] = t.text
	}
	return strings.Join(words, "|")
}
