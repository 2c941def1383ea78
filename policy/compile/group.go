package compile

import (
	"slices"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// group is the ABIs that share an audit arch. The first group of a plan is the
// host's own.
type group struct {
	audit uint32
	parts []*part
}

// part is what the kernel shall answer in one ABI.
type part struct {
	arch    abi.Arch
	calls   []call // by number; none where compat answers all of them
	unknown uint32 // the answer to numbers that the table lacks
	blanket bool   // all numbers get the same answer, unknown
}

// call is what the kernel shall answer to one number.
type call struct {
	nr    uint32
	name  string
	whole uint32      // the answer whatever the arguments, if sets is empty
	sets  []actionSet // which arguments get which answer; ALLOW is what remains
	why   string      // why the call is traced where its verdict would not need it
}

// actionSet is the arguments that get one answer: as the cubes that have it,
// and as those that have not. At most one of the two is nil, because it would
// have needed too many cubes.
type actionSet struct {
	action  uint32
	in, out []cube
}

// shorter is the side of the set that takes fewer cubes.
func (s *actionSet) shorter() []cube {
	if len(s.in) == 0 || len(s.out) > 0 && len(s.out) < len(s.in) {
		return s.out
	}
	return s.in
}

// cubes are the shorter sides of all sets.
func (c *call) cubes() (list []cube) {
	for i := range c.sets {
		list = append(list, c.sets[i].shorter()...)
	}
	return list
}

// answered is a partition by kernel answers.
type answered struct {
	pieces []answeredPiece
	rest   uint32
}

type answeredPiece struct {
	cube   cube
	action uint32
}

// groupsOf works out what the kernel shall answer to each call of each ABI of
// the host.
func groupsOf(set policy.Set, opts Options) []*group {
	groups := hostGroups()
	for _, g := range groups {
		for _, p := range g.parts {
			p.workOut(set, opts)
		}
	}
	return groups
}

// hostGroups are the host's ABIs by audit arch, nothing in which is worked out.
func hostGroups() []*group {
	var groups []*group
	for _, a := range abi.OfHost() {
		if n := len(groups); n == 0 || groups[n-1].audit != a.Audit() {
			groups = append(groups, &group{audit: a.Audit()})
		}
		g := groups[len(groups)-1]
		g.parts = append(g.parts, &part{arch: a})
	}
	return groups
}

// coarsen traces all calls that have conditions.
func (g *group) coarsen() {
	for _, p := range g.parts {
		for i := range p.calls {
			if c := &p.calls[i]; len(c.sets) > 0 {
				c.trace(tooMany)
			}
		}
	}
}

// trace has the supervisor decide the call whatever its arguments.
func (c *call) trace(why string) { c.sets, c.whole, c.why = nil, retTrace, why }

// unknownNr is a number that no table will have, to ask for the verdict on
// unknown ones.
func unknownNr(a abi.Arch) uint32 {
	if a == abi.X32 {
		return abi.X32Bit | 0x3ffffffe
	}
	return 0x3ffffffe
}

func (p *part) workOut(set policy.Set, opts Options) {
	p.blanket = true
	p.unknown = Expect(set, opts, p.arch.Audit(), abi.Call{Nr: unknownNr(p.arch)})
	if blanketed(set, p.arch) {
		return
	}
	p.calls = make([]call, 0, 512)
	ruled := compatDecides(set, p.arch)
	var room difference
	for s := range p.arch.All() {
		c := callOf(set, opts, s, ruled, &room)
		p.blanket = p.blanket && len(c.sets) == 0 && c.whole == p.unknown
		p.calls = append(p.calls, c)
	}
}

// callOf works out one number. Where compat rules the ABI, nothing is traced
// but for its verdict.
func callOf(set policy.Set, opts Options, s *abi.Syscall, ruled bool, room *difference) call {
	c := call{nr: s.Nr, name: s.Name, whole: retTrace}
	var own exceptions
	if !ruled {
		own = exceptionsOf(s, &opts)
	}
	if own.always != "" {
		return c
	}
	if v, ok := plainVerdict(set, s.Arch, s.Nr); ok && !own.divide() {
		c.whole = kernelAnswer(v, opts)
		if c.whole == retAllow && own.why != "" {
			c.whole = retTrace
		}
		return c
	}
	p, ok := partitionOf(set, s.Arch, s.Nr)
	if !ok {
		c.why = tooMany
		return c
	}
	a := p.answers(opts)
	if !own.apply(&a) {
		c.why = tooMany
		return c
	}
	c.divide(&a, room)
	return c
}

const (
	tooMany = "its conditions take too many comparisons for the filter"
	wrong   = "libseccomp compiles its conditions wrongly"
)

// plainVerdict is the verdict on a number without conditions, the quick way
// through; false if some policy has conditions on it.
func plainVerdict(set policy.Set, arch abi.Arch, nr uint32) (all policy.Verdict, ok bool) {
	for i, p := range set {
		var one policy.Verdict
		switch clauses := p.Clauses(arch, nr); {
		case len(clauses) == 0:
			one = p.DefaultFor(arch, nr)
		case len(clauses[0].Conds) == 0:
			one = clauseVerdict(&clauses[0])
		default:
			return all, false
		}
		if i > 0 {
			one = stricter(all, one)
		}
		all = one
	}
	return all, true
}

// partitionOf is the verdicts of all policies on one number.
func partitionOf(set policy.Set, arch abi.Arch, nr uint32) (partition, bool) {
	var all partition
	for i, p := range set {
		one, ok := divide(p.Clauses(arch, nr), p.DefaultFor(arch, nr))
		if ok && i > 0 {
			one, ok = combine(&all, &one)
		}
		if !ok {
			return all, false
		}
		all = one
	}
	return all, true
}

// answers turns verdicts to kernel answers, leaving out the pieces that are
// answered as the rest.
func (p *partition) answers(opts Options) answered {
	a := answered{rest: kernelAnswer(p.rest, opts), pieces: make([]answeredPiece, 0, len(p.pieces))}
	for i := range p.pieces {
		if k := kernelAnswer(p.pieces[i].verdict, opts); k != a.rest {
			a.pieces = append(a.pieces, answeredPiece{p.pieces[i].cube, k})
		}
	}
	return a
}

// divide fills the call's sets from the answers to its arguments.
func (c *call) divide(a *answered, room *difference) {
	c.sets = nil
	if len(a.pieces) == 0 {
		c.whole = a.rest
		return
	}
	for _, action := range a.actions() {
		c.sets = append(c.sets, a.set(action, room))
	}
	c.narrow()
}

// narrow leaves out, of the arguments that are not traced, those that get
// another answer: the kernel prefers each of them to TRACE, so that a filter may
// say that too.
func (c *call) narrow() {
	last := len(c.sets) - 1
	traced := &c.sets[last]
	if traced.action != retTrace {
		return
	}
	var left []cube
	for _, out := range traced.out {
		if !slices.ContainsFunc(c.sets[:last], func(s actionSet) bool { return s.holds(&out) }) {
			left = append(left, out)
		}
	}
	if len(left) > 0 {
		traced.out = left
	}
}

// holds says whether all of c gets the answer, as far as that is easily seen.
func (s *actionSet) holds(c *cube) bool {
	if len(s.out) == 0 {
		return within(c, s.in, true)
	}
	for i := range s.out {
		if _, meet := s.out[i].intersect(c); meet {
			return false
		}
	}
	return true
}

// actions is the answers other than ALLOW, the most restrictive first.
func (a *answered) actions() []uint32 {
	var out []uint32
	add := func(k uint32) {
		for i, o := range out {
			if o == k {
				return
			}
			if restricts(k, o) {
				out = append(out[:i], append([]uint32{k}, out[i:]...)...)
				return
			}
		}
		if k != retAllow {
			out = append(out, k)
		}
	}
	for _, p := range a.pieces {
		add(p.action)
	}
	add(a.rest)
	return out
}

// restricts says whether the kernel prefers answer a to b: the order of
// actions in seccomp(2), which is that of the action as a signed number.
func restricts(a, b uint32) bool {
	return int32(a&unix.SECCOMP_RET_ACTION_FULL) < int32(b&unix.SECCOMP_RET_ACTION_FULL)
}

// set is the arguments that get an answer, both ways round. The side that the
// pieces tell costs nothing; the other is worked out only where it may be
// shorter.
func (a *answered) set(action uint32, room *difference) actionSet {
	s := actionSet{action: action}
	told := make([]cube, 0, len(a.pieces))
	for _, p := range a.pieces {
		if a.rest == action || p.action == action {
			told = append(told, p.cube)
		}
	}
	const short = 2
	told = tidy(told)
	var other []cube
	if len(told) > short {
		other, _ = room.of(everything(), told, maxCubes)
		other = slices.Clone(tidy(other))
	}
	if a.rest == action {
		s.in, s.out = other, told
	} else {
		s.in, s.out = told, other
	}
	return s
}
