package foreign

import (
	"fmt"
	"slices"

	"callgate/policy"
	"callgate/policy/abi"
)

// prove loads the output and asks it and the filter about every call of every ABI, at
// and around all values that either names.
func (r *reader) prove(f *filter, text []byte) error {
	p, err := (&policy.Loader{}).Parse(r.name+" converted", text)
	if err != nil {
		return err
	}
	for _, arch := range f.arches(r.opts.Arch) {
		for s := range arch.All() {
			if err := r.proveCall(f, p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) proveCall(f *filter, p *policy.Policy, s *abi.Syscall) error {
	for args := range samples(f.of(s.Name), p.Clauses(s.Arch, s.Nr), s) {
		v := p.Decide(abi.Call{Arch: s.Arch, Nr: s.Nr, Args: args})
		have, want := answer{v.Action, v.Errno, v.Value}, f.at(s, &args)
		if have == want || r.opts.Approximate && !have.action.Permits() {
			continue
		}
		return fmt.Errorf("%v %s%#x: %v, not %v", s.Arch, s.Name, args, have, want)
	}
	return nil
}

// at is what the filter says of a call whose registers the kernel reads as the entry has
// it. What socketcall and ipc carry is decided instead of them.
func (f *filter) at(s *abi.Syscall, args *[6]uint64) answer {
	t := f.of(s.Name)
	for i := range t.clauses {
		c := &t.clauses[i]
		if !slices.ContainsFunc(c.conds, func(c cond) bool { return !c.at(s, args) }) {
			return c.answer
		}
	}
	if s.Multiplexer && t.rest == f.rest {
		return answer{action: policy.Allow}
	}
	return t.rest
}

func (c *cond) at(s *abi.Syscall, args *[6]uint64) bool {
	at, ok := seatOf(s, c.reg)
	if !ok || at.param == nil {
		return c.holds(0)
	}
	x := c.extended(at.param.Bits)
	return x.holds(at.param.Value(args))
}

// samples goes through registers at and around the values that conditions name.
func samples(t *treatment, clauses []policy.Clause, s *abi.Syscall) func(func([6]uint64) bool) {
	var values [6][]uint64
	add := func(reg int, v uint64) {
		if reg >= 0 && len(values[reg]) < 400 {
			values[reg] = append(values[reg], v-1, v, v+1, v^1<<32, v^1<<31, v^1<<63)
		}
	}
	for _, c := range t.clauses {
		for _, k := range c.conds {
			add(k.reg, k.a)
			add(k.reg, k.b)
			add(k.reg, k.a&-k.a)
		}
	}
	for _, c := range clauses {
		for _, k := range c.Conds {
			for _, test := range k.Tests {
				add(int(k.Param.Lo), test.A)
				add(int(k.Param.Lo), test.B)
				add(int(k.Param.Hi), test.B>>32)
			}
		}
	}
	return func(yield func([6]uint64) bool) { combine(values, yield) }
}

// combine gives each value of a register beside some of the others', all combinations
// where they are few.
func combine(values [6][]uint64, yield func([6]uint64) bool) {
	const most = 1 << 12
	n, longest := 1, 1
	for reg := range values {
		values[reg] = append(values[reg], 0, ^uint64(0))
		slices.Sort(values[reg])
		values[reg] = slices.Compact(values[reg])
		if len(values[reg]) == 2 {
			values[reg] = values[reg][:1] // no condition looks at it
		}
		n, longest = min(n*len(values[reg]), most+1), max(longest, len(values[reg]))
	}
	all := n <= most
	if !all {
		n = max(most, 4*longest)
	}
	for i := range n {
		var args [6]uint64
		at := i
		for reg, list := range values {
			args[reg] = list[at%len(list)]
			if at /= len(list); !all {
				at = i + (reg+1)*(i/longest) // every value, beside ever others
			}
		}
		if !yield(args) {
			return
		}
	}
}
