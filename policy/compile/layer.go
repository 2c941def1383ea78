package compile

// layer is one filter before libseccomp has compiled it. Filters stack and the
// kernel takes the most restrictive answer, so each layer may say ALLOW to
// whatever it does not care for. In one layer a call has one action only.
//
// The first layer of a group speaks of every call of the ABIs in it. The
// others speak of some calls' arguments: those with default ALLOW name the
// arguments that get their action; those with another default say it to the
// calls they select, but for the arguments that they allow.
type layer struct {
	group  *group
	first  bool
	def    uint32
	rules  []rule
	direct []rule // answered by the prologue, without libseccomp
	tests  int
	behind []follower // of all rules

	program Program // once it is compiled
}

// rule is one call's action in a layer: for the arguments in cubes, or for all
// where there are none.
type rule struct {
	nr     uint32
	token  token
	action uint32
	cubes  []cube
}

const (
	// maxLayers is how many filters may be stacked for one group; an action
	// that needs more is traced.
	maxLayers = 6
	// maxLayerTests keeps a program below the kernel's 4096 instructions, and
	// maxCallTests a start below some milliseconds, in comparisons of a register:
	// each takes up to six instructions, more where libseccomp repeats some.
	maxLayerTests = 256
	maxCallTests  = 128
	// layerCost is what a filter more costs, in comparisons that take as long.
	layerCost = 8
)

// stack is the layers of one group, nil if the prologue of the host's own group
// answers for it.
func (g *group) stack() []*layer {
	if g.allBlanket() {
		return nil
	}
	b := &builder{group: g}
	b.layers = []*layer{{group: g, first: true, def: g.commonest()}}
	for _, p := range g.parts {
		if p.blanket {
			continue
		}
		for i := range p.calls {
			b.add(&p.calls[i])
		}
	}
	return b.layers
}

func (g *group) allBlanket() bool {
	for _, p := range g.parts {
		if !p.blanket {
			return false
		}
	}
	return true
}

// commonest is the default action that leaves the fewest rules to the first
// layer. Numbers that no table knows do not come into it: the prologue answers
// them.
func (g *group) commonest() uint32 {
	count := map[uint32]int{}
	for _, p := range g.parts {
		if p.blanket {
			continue
		}
		for i := range p.calls {
			c := &p.calls[i]
			if len(c.sets) == 0 {
				count[c.whole]++
			} else {
				count[retAllow]++
			}
		}
	}
	best := uint32(retAllow)
	for action, n := range count {
		if n > count[best] || n == count[best] && action > best {
			best = action
		}
	}
	return best
}

type builder struct {
	group  *group
	layers []*layer
}

// add places a call's answers.
func (b *builder) add(c *call) {
	t, ok := tokenOf(b.group.audit, c)
	if !ok {
		b.direct(c)
		return
	}
	if len(c.sets) == 0 {
		b.whole(c, t)
		return
	}
	for i := 0; i < len(c.sets); i++ {
		if !b.place(c, t, &c.sets[i]) {
			c.giveUp(i)
			i--
		}
	}
	if first := b.layers[0]; first.def != retAllow && !first.names(c.nr) {
		first.rules = append(first.rules, rule{nr: c.nr, token: t, action: retAllow})
	}
}

// whole gives a call the same answer whatever its arguments.
func (b *builder) whole(c *call, t token) {
	if c.whole != b.layers[0].def {
		b.layers[0].rules = append(b.layers[0].rules, rule{nr: c.nr, token: t, action: c.whole})
	}
}

// direct has the prologue answer a call that libseccomp has no rule for.
func (b *builder) direct(c *call) {
	if len(c.sets) > 0 {
		c.trace("libseccomp cannot name the call in this ABI, so that its arguments cannot be told apart in the filter")
	}
	if c.whole != b.layers[0].def {
		b.layers[0].direct = append(b.layers[0].direct, rule{nr: c.nr, action: c.whole})
	}
}

// place puts one answer of a call where it takes the fewest tests, and says
// whether it found a place. Tracing always finds one: it may trace more of the
// call than is meant.
func (b *builder) place(c *call, t token, s *actionSet) bool {
	if b.put(c, t, s, maxLayers) {
		return true
	}
	if s.action != retTrace {
		return false
	}
	c.why = tooMany
	s.in, s.out = everything(), nil
	return b.put(c, t, s, 1<<30)
}

// put tries every layer that there is, and a new one unless there are too many.
func (b *builder) put(c *call, t token, s *actionSet, most int) bool {
	best, cost := -1, 0
	var bestRule rule
	try := func(at, room, extra int, action uint32, cubes []cube) {
		n := tests(cubes)
		if len(cubes) == 0 || n > min(room, maxCallTests) || best >= 0 && n+extra >= cost || b.clash(at, cubes) {
			return
		}
		best, cost = at, n+extra
		bestRule = rule{nr: c.nr, token: t, action: action, cubes: cubes}
	}
	for i, l := range b.layers {
		if l.names(c.nr) {
			continue
		}
		switch l.def {
		case retAllow:
			try(i, maxLayerTests-l.tests, 0, s.action, s.in)
		case s.action:
			try(i, maxLayerTests-l.tests, 0, retAllow, s.out)
		}
	}
	if len(b.layers) < most {
		try(len(b.layers), maxLayerTests, layerCost, s.action, s.in)
		try(len(b.layers), maxLayerTests, layerCost, retAllow, s.out)
	}
	if best < 0 {
		return false
	}
	if best == len(b.layers) {
		def := uint32(retAllow)
		if bestRule.action == retAllow {
			def = s.action
		}
		b.layers = append(b.layers, &layer{group: b.group, def: def})
	}
	l := b.layers[best]
	l.rules = append(l.rules, bestRule)
	l.tests += tests(bestRule.cubes)
	l.behind = append(l.behind, followersOf(bestRule.cubes, wide(b.group.audit))...)
	return true
}

// clash says whether a rule on these cubes would spoil a layer, or be spoilt by it.
func (b *builder) clash(at int, cubes []cube) bool {
	return at < len(b.layers) && len(cubes) > 1 && clash(b.layers[at].behind, followersOf(cubes, wide(b.group.audit)))
}

// tests is how many registers a union of cubes compares.
func tests(cubes []cube) (n int) {
	for i := range cubes {
		n += cubes[i].registers()
	}
	return n
}

// giveUp gives up the i-th answer of a call, which found no place: its
// arguments are traced.
func (c *call) giveUp(i int) {
	s := &c.sets[i]
	c.why = tooMany
	last := &c.sets[len(c.sets)-1]
	if last.action != retTrace {
		s.action = retTrace
		c.sets = append(append(c.sets[:i:i], c.sets[i+1:]...), *s)
		return
	}
	last.merge(s)
	c.sets = append(c.sets[:i:i], c.sets[i+1:]...)
}

// merge adds what s answers to t.
func (t *actionSet) merge(s *actionSet) {
	if t.in != nil && s.in != nil {
		t.in = append(t.in[:len(t.in):len(t.in)], s.in...)
	} else {
		t.in = nil
	}
	if s.out == nil {
		t.out = nil
	}
	t.out, _ = intersectAll(t.out, s.out, maxCubes)
	if len(t.in) == 0 && len(t.out) == 0 {
		t.in = everything() // more than is meant, which tracing may be
	}
}

func (l *layer) names(nr uint32) bool {
	// Calls are added in the order of their numbers, so that only the last
	// rule can be this call's.
	return len(l.rules) > 0 && l.rules[len(l.rules)-1].nr == nr
}

// selects says whether a layer's default is meant for some calls only.
func (l *layer) selects() bool {
	return !l.first && l.def != retAllow
}
