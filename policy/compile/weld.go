package compile

import "slices"

// weld is the programs of layers as one, in which each goes on with the next where it alone would say
// ALLOW. So it answers as the kernel does with all of them (strongest), if the first of two
// that say something else to a call is the one that restricts it more. One is installed in
// less time than several, and what they have in common the kernel looks at once.
func weld(layers []*layer) Program {
	var one Program
	for i, l := range layers {
		from := len(one)
		one = append(one, l.program...)
		if i == len(layers)-1 {
			break
		}
		for at := from; at < len(one); at++ {
			if one[at] == ret(retAllow) {
				one[at] = jump(len(one) - at - 1)
			}
		}
	}
	return one
}

// weldable puts layers into the order in which their programs can be welded, as far as
// there is one.
func weldable(layers []*layer) []*layer {
	layers = slices.Clone(layers)
	for at := range layers {
		rest := layers[at:]
		first := slices.IndexFunc(rest, func(l *layer) bool {
			return !slices.ContainsFunc(rest, func(m *layer) bool { return m.outdoes(l) })
		})
		if first > 0 {
			next := rest[first]
			copy(rest[1:first+1], rest[:first])
			rest[0] = next
		}
	}
	return layers
}

// outdoes says whether the layer restricts a call more than another that speaks of it too.
func (l *layer) outdoes(m *layer) bool {
	return l.group == m.group && slices.ContainsFunc(l.rules, func(r rule) bool {
		return slices.ContainsFunc(m.rules, func(q rule) bool { return q.nr == r.nr && restricts(l.says(&r), m.says(&q)) })
	})
}

// says is a layer's answer to a call beside ALLOW.
func (l *layer) says(r *rule) uint32 {
	if r.action == retAllow {
		return l.def
	}
	return r.action
}

// welded is the plan with one filter; false if that answers otherwise, or is too long.
func (p *Plan) welded(groups []*group) (*Plan, bool) {
	if len(p.Filters) < 2 {
		return nil, false
	}
	w := &Plan{Set: p.Set, Filters: []Program{p.one}, opts: p.opts, inexact: p.inexact}
	if w.decode() != nil || prove(w, groups, probesPerCall, nil) != nil {
		return nil, false
	}
	return w, true
}
