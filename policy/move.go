package policy

// MayMove says whether a folder may be renamed: that for every name beneath,
// each access permitted at `to` is permitted at `from`, by files, exec and, for
// unix sockets, network; and that what may be written at `from` may be written at
// `to`, or it would be made there without leave. It is false where that cannot be
// proven from the patterns. Both are absolute, clean and canonical.
//
// It may allocate, and costs as much as there are patterns beneath the two.
func (b *Sections) MayMove(from, to string) bool {
	if from == "" || to == "" || from[0] != '/' || to[0] != '/' {
		return false
	}
	for _, w := range b.files {
		m := newMove(w.tree, from, to)
		read := m.may(classRead, w.action(Read)) && m.may(classRead, w.action(Look))
		if !read || !m.may(classWrite, w.action(Write)) {
			return false
		}
		if back := newMove(w.tree, to, from); !back.may(classWrite, w.made(to)) {
			return false
		}
	}
	for _, w := range b.exec {
		m := newMove(w.tree, from, to)
		if !m.may(classRead, w.action(Read)) {
			return false
		}
	}
	for _, w := range b.network {
		m := newMove(w.unix, from, to)
		m.settle(w)
		if !m.may(classConnect, w.action) || !m.may(classBind, w.action) {
			return false
		}
	}
	return true
}

// action is what the section says of an access where a rule decides, or noRule.
func (w *pathRules) action(a Access) func(order) Action {
	return func(i order) Action { return w.verdict(i, a).Action }
}

// made is action for what a move makes beneath `to`: who is asked about the folder is asked
// about all that is in it.
func (w *pathRules) made(to string) func(order) Action {
	action := w.action(Write)
	if w.verdict(w.find(to, classWrite), Write).Action != Ask {
		return action
	}
	return func(i order) Action {
		if a := action(i); a != Ask {
			return a
		}
		return Allow
	}
}

func (w *networkRules) action(i order) Action {
	return w.policy.sectionVerdict(Network, w.rules, i).Action
}

// settle takes account of rules on all unix sockets, which stand beside the
// tree.
func (m *move) settle(w *networkRules) {
	for i := range w.others {
		b := &w.others[i]
		for c := range m.from.best {
			if b.form == isFamily && b.family == afUnix && w.rules[b.rule].verb.speaks[c] {
				m.from.best[c] = min(m.from.best[c], b.rule)
				m.to.best[c] = min(m.to.best[c], b.rule)
			}
		}
	}
}

// reached is what a path comes to in a tree: the rules that match it, and so
// all beneath, and the branches on which rules go on that match only some
// names beneath.
type reached struct {
	best   [classes]order
	onward map[*branch]bool
}

func (t *pathTree) reach(path string) *reached {
	r := &reached{best: [classes]order{noRule, noRule}, onward: map[*branch]bool{}}
	now := map[*branch]bool{&t.root: true}
	r.enter(now)
	for rest := path[1:]; rest != ""; {
		var name string
		name, rest = cutName(rest)
		next := map[*branch]bool{}
		for b := range now {
			step(next, b, name)
		}
		for d := range r.onward { // a `**` goes on for ever
			step(next, d, name)
		}
		now = next
		r.enter(now)
	}
	for b := range now {
		r.onward[b] = true
	}
	return r
}

// step goes from a branch over one name.
func step(next map[*branch]bool, b *branch, name string) {
	if to := b.child(name); to != nil {
		next[to] = true
	}
	for _, g := range b.globs {
		if globMatch(g.name, name) {
			next[g.to] = true
		}
	}
}

// enter takes account of what ends on branches, and of `**` that begin there.
func (r *reached) enter(now map[*branch]bool) {
	for b := range now {
		for c := range r.best {
			r.best[c] = min(r.best[c], b.ends[c])
		}
		if b.deep != nil {
			r.onward[b.deep] = true
		}
	}
}

// move compares what may decide beneath two paths. Beneath `from` the first of
// three rules decides: from.best; the first on the branches that both reached,
// which is the same on both sides, since the names beneath are; and the first
// on the branches of its own. Likewise beneath `to`.
type move struct {
	from, to             *reached
	common, left, joined map[*branch]bool
}

func newMove(t *pathTree, from, to string) *move {
	m := &move{from: t.reach(from), to: t.reach(to)}
	m.common, m.left, m.joined = map[*branch]bool{}, map[*branch]bool{}, map[*branch]bool{}
	for b := range m.from.onward {
		if m.to.onward[b] {
			m.common[b] = true
		} else {
			m.left[b] = true
		}
	}
	for b := range m.to.onward {
		if !m.common[b] {
			m.joined[b] = true
		}
	}
	return m
}

// may says whether no choice of the three rules on both sides has `to` permit
// what `from` does not. A rule that asks counts as both: what was asked about under one
// is not to be had under another.
func (m *move) may(c class, action func(order) Action) bool {
	from, to := m.from.best[c], m.to.best[c]
	common, left, joined := beneath(m.common, c), beneath(m.left, c), beneath(m.joined, c)
	permits := func(i order) bool { return action(i).Permits() }
	denies := func(i order) bool { return action(i).Restricts() }
	// The first rule of the branches that only `to` has which permits, and of
	// those that only `from` has which denies, before the settled one.
	gain := least(joined, to, permits)
	loss := least(left, from, denies)
	switch {
	case from != to && denies(from) && permits(to),
		// One side's own rule against what the other settles on.
		gain < to && denies(from),
		loss < from && permits(to),
		gain < to && loss < from:
		return false
	}
	for i := range common {
		switch {
		case permits(i) && i < to && (i > from && denies(from) || loss < from && loss < i):
			return false
		case denies(i) && i < from && (i > to && permits(to) || gain < to && gain < i):
			return false
		}
	}
	return true
}

// beneath gives the rules of a class that end beneath some branches.
func beneath(branches map[*branch]bool, c class) map[order]bool {
	ends := map[order]bool{}
	for b := range branches {
		b.gather(ends, c)
	}
	return ends
}

func (b *branch) gather(ends map[order]bool, c class) {
	for _, kids := range [][]twig{b.few, b.globs} {
		for _, t := range kids {
			t.to.gatherAll(ends, c)
		}
	}
	for _, to := range b.many {
		to.gatherAll(ends, c)
	}
	if b.deep != nil {
		b.deep.gatherAll(ends, c)
	}
}

func (b *branch) gatherAll(ends map[order]bool, c class) {
	if b.least[c] == noRule {
		return
	}
	if b.ends[c] != noRule {
		ends[b.ends[c]] = true
	}
	b.gather(ends, c)
}

// least is the first rule before a limit that is as asked, noRule if none is.
func least(rules map[order]bool, limit order, asked func(order) bool) order {
	first := noRule
	for i := range rules {
		if i < limit && i < first && asked(i) {
			first = i
		}
	}
	return first
}
