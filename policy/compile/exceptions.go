package compile

import (
	"slices"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// exceptions are what the supervisor asks of the filter for one number beside
// the policies' verdicts.
type exceptions struct {
	always  string // why every call stops whatever the verdict
	traced  []cube // these do
	refused []cube // these do where the policies do not permit them
	why     string // why what the numbers permit stops
	unless  []cube // but for these
}

func exceptionsOf(s *abi.Syscall, opts *Options) exceptions {
	e := exceptions{always: alwaysTraced(s)}
	if e.always == "" {
		e.always = opts.Holders.standIn(s)
	}
	if e.always == "" && opts.Births && s.Births() {
		e.always = "tasks are counted for the limit on processes"
	}
	if s.Name == "clone" {
		var c cube
		c.mask[cloneFlags], c.value[cloneFlags] = unix.CLONE_UNTRACED, unix.CLONE_UNTRACED // which the supervisor takes out
		e.traced = append(e.traced, c)
	}
	e.pinning(s, opts.Holders)
	if c, some := opts.Holders.filtering(s); some {
		e.traced = append(e.traced, c)
	}
	if e.why = opts.Holders.stop(s, opts.Report); e.why == "" {
		return e
	}
	if c, some := opts.Holders.unless(s, opts.Report); some {
		e.unless = append(e.unless, c)
	}
	return e
}

// divide says whether the arguments matter.
func (e *exceptions) divide() bool { return len(e.traced)+len(e.refused)+len(e.unless) > 0 }

// stopsAt says whether the call stops where the verdict alone would get the answer given.
func (e *exceptions) stopsAt(args *[6]uint64, given uint32) bool {
	switch {
	case e.always != "", anyContains(e.traced, args):
		return true
	case given != retAllow:
		return anyContains(e.refused, args)
	}
	return e.why != "" && !anyContains(e.unless, args)
}

// answer is the filter's where the verdict alone would get the one given.
func (e *exceptions) answer(args *[6]uint64, given uint32) uint32 {
	if e.stopsAt(args, given) {
		return retTrace
	}
	return given
}

// over is answer for all arguments of a region. Where it is not known to be the same for
// them, hinge is a comparison that may tell them apart, with a mask then alone.
func (e *exceptions) over(r *policy.Region, given uint32) (answer uint32, hinge policy.Comparison) {
	if e.always != "" || given == retTrace {
		return retTrace, hinge
	}
	all, hinge := anyOver(e.traced, r)
	if !all && hinge.Mask == 0 && given != retAllow {
		all, hinge = anyOver(e.refused, r)
	}
	switch {
	case all:
		return retTrace, policy.Comparison{}
	case hinge.Mask != 0 || given != retAllow || e.why == "":
		return given, hinge
	}
	if all, hinge = anyOver(e.unless, r); all || hinge.Mask != 0 {
		return retAllow, hinge
	}
	return retTrace, hinge
}

// reason is why a call with these arguments stops.
func (e *exceptions) reason(s *abi.Syscall, args *[6]uint64) string {
	switch {
	case e.always != "":
		return e.always
	case anyContains(e.refused, args):
		return "the supervisor has each program call it, whatever the policies say"
	case !anyContains(e.traced, args):
		return e.why
	case s.Name == "clone":
		return "CLONE_UNTRACED is set, which the supervisor takes out"
	case s.Name == "prctl":
		return ownFilter
	}
	return "the address is where the supervisor keeps what verdicts rest on"
}

func anyContains(cubes []cube, args *[6]uint64) bool {
	for i := range cubes {
		if cubes[i].contains(args) {
			return true
		}
	}
	return false
}

// anyOver says whether some cube contains all of a region; else hinge is a comparison of one
// that may contain some of it, with a mask then alone.
func anyOver(cubes []cube, r *policy.Region) (all bool, hinge policy.Comparison) {
	for i := range cubes {
		switch in, at := cubes[i].over(r); {
		case in:
			return true, policy.Comparison{}
		case hinge.Mask == 0:
			hinge = at
		}
	}
	return false, hinge
}

// bounds adds where the exceptions begin and end.
func (e *exceptions) bounds(b *bounds) {
	for _, list := range [...][]cube{e.traced, e.refused, e.unless} {
		for i := range list {
			for reg, mask := range list[i].mask {
				if mask == 0 {
					continue
				}
				v := list[i].value[reg]
				b.add(reg, v, v-1, v+1, v<<1, v<<32, v|1<<63, ^v, v|^mask)
			}
		}
	}
}

// apply puts the exceptions over the policies' answers; false if that takes too
// many cubes.
func (e *exceptions) apply(a *answered) bool {
	if e.why != "" && !a.stop(e.unless) {
		return false
	}
	for i := range e.traced {
		if !a.override(&e.traced[i], retTrace) {
			return false
		}
	}
	for i := range e.refused {
		if !a.stopRefused(&e.refused[i]) {
			return false
		}
	}
	return true
}

// stop traces what is allowed, but for the arguments in unless.
func (a *answered) stop(unless []cube) bool {
	out := answered{rest: a.rest}
	spared := unless
	for _, p := range a.pieces {
		if p.action != retAllow {
			out.pieces = append(out.pieces, p)
			continue
		}
		inside, ok := intersectAll([]cube{p.cube}, unless, maxCubes)
		outside, ok2 := subtractAll([]cube{p.cube}, unless, maxCubes)
		if !ok || !ok2 {
			return false
		}
		for _, c := range inside {
			out.pieces = append(out.pieces, answeredPiece{c, retAllow})
		}
		for _, c := range outside {
			out.pieces = append(out.pieces, answeredPiece{c, retTrace})
		}
	}
	if a.rest == retAllow {
		out.rest = retTrace
		for _, p := range a.pieces {
			left, ok := subtractAll(spared, []cube{p.cube}, maxCubes)
			if !ok {
				return false
			}
			spared = slices.Clone(left)
		}
		for _, c := range spared {
			out.pieces = append(out.pieces, answeredPiece{c, retAllow})
		}
	}
	*a = out.without(out.rest)
	return len(a.pieces) <= maxCubes
}

// override answers with action, before all else, for the arguments in c; false
// if that takes too many cubes.
func (a *answered) override(c *cube, action uint32) bool {
	out := answered{rest: a.rest}
	for _, p := range a.pieces {
		for _, left := range p.cube.subtract(c, nil) {
			out.pieces = append(out.pieces, answeredPiece{left, p.action})
		}
	}
	if action != a.rest {
		out.pieces = append(out.pieces, answeredPiece{*c, action})
	}
	*a = out
	return len(a.pieces) <= maxCubes
}

// stopRefused traces what is in c and not allowed; false if that takes too many cubes.
func (a *answered) stopRefused(c *cube) bool {
	out := answered{rest: a.rest}
	others := []cube{*c} // of c, what no piece has
	for _, p := range a.pieces {
		var ok bool
		if others, ok = subtractAll(others, []cube{p.cube}, maxCubes); !ok {
			return false
		}
		others = slices.Clone(others)
		in, meet := p.cube.intersect(c)
		if !meet || p.action == retAllow {
			out.pieces = append(out.pieces, p)
			continue
		}
		for _, left := range p.cube.subtract(c, nil) {
			out.pieces = append(out.pieces, answeredPiece{left, p.action})
		}
		out.pieces = append(out.pieces, answeredPiece{in, retTrace})
	}
	if a.rest != retAllow {
		for _, left := range others {
			out.pieces = append(out.pieces, answeredPiece{left, retTrace})
		}
	}
	*a = out.without(out.rest)
	return len(a.pieces) <= maxCubes
}

// without leaves out the pieces that are answered as the rest.
func (a *answered) without(rest uint32) answered {
	out := answered{rest: rest}
	for _, p := range a.pieces {
		if p.action != rest {
			out.pieces = append(out.pieces, p)
		}
	}
	return out
}
