package compile

import (
	"slices"

	"callgate/policy"
)

// maxCubes bounds what one call may cost: the cubes held while its conditions
// are worked out, and the rules that one action of it may take in a filter.
// Beyond it the call is traced.
const maxCubes = 128

// partition is a call's arguments divided by verdict: the pieces, which
// overlap only where their verdicts are the same, and what is in none of them.
type partition struct {
	pieces []piece
	rest   policy.Verdict
}

type piece struct {
	cube    cube
	verdict policy.Verdict
}

// divide is the partition that trying clauses in order gives, rest being the
// verdict where none applies; false if it needs more than maxCubes cubes.
func divide(clauses []policy.Clause, rest policy.Verdict) (partition, bool) {
	p := partition{rest: rest}
	for i := range clauses {
		c := &clauses[i]
		v := clauseVerdict(c)
		if len(c.Conds) == 0 {
			p.rest = v
			return p, true
		}
		if len(c.Conds) == 1 && c.Conds[0].Negate && i == len(clauses)-1 {
			return p.allBut(&c.Conds[0], v)
		}
		cubes, ok := clauseCubes(c, maxCubes)
		if !ok {
			return p, false
		}
		if cubes, ok = subtractAll(cubes, p.where(func(w *policy.Verdict) bool { return !same(w, &v) }), maxCubes); !ok {
			return p, false
		}
		p.pieces = slices.Grow(p.pieces, len(cubes))
		for _, cu := range cubes {
			p.pieces = append(p.pieces, piece{cu, v})
		}
		if len(p.pieces) > maxCubes {
			return p, false
		}
	}
	return p, true
}

// allBut gives v to what is in no piece and not excluded: what is excluded
// becomes pieces with the verdict that was the rest's, since one value takes a
// single cube, and all others one for each of its bits.
func (p *partition) allBut(excluded *policy.Cond, v policy.Verdict) (partition, bool) {
	told := *excluded
	told.Negate = false
	cubes, ok := condCubes(&told, maxCubes)
	if ok {
		cubes, ok = subtractAll(cubes, p.where(func(w *policy.Verdict) bool { return !same(w, &p.rest) }), maxCubes)
	}
	out := partition{rest: v, pieces: slices.Grow(p.pieces, len(cubes))}
	for _, c := range cubes {
		out.pieces = append(out.pieces, piece{c, p.rest})
	}
	return out, ok && len(out.pieces) <= maxCubes
}

// clauseVerdict is what a clause says, as far as the filter is concerned.
func clauseVerdict(c *policy.Clause) policy.Verdict {
	return policy.Verdict{Action: c.Rule.Action, Errno: c.Rule.Errno, Value: c.Rule.Value, Rule: c.Rule}
}

// where is the cubes of the pieces whose verdict passes.
func (p *partition) where(passes func(*policy.Verdict) bool) []cube {
	out := make([]cube, 0, len(p.pieces))
	for i := range p.pieces {
		if passes(&p.pieces[i].verdict) {
			out = append(out, p.pieces[i].cube)
		}
	}
	return out
}

// combine is the partition by the more restrictive of two verdicts, the first's
// where they restrict alike.
func combine(p, q *partition) (partition, bool) {
	if len(p.pieces) == 0 && len(q.pieces) == 0 {
		return partition{rest: stricter(p.rest, q.rest)}, true
	}
	out := partition{rest: stricter(p.rest, q.rest)}
	out.pieces = make([]piece, 0, len(p.pieces)+len(q.pieces))
	for i := range p.pieces {
		for j := range q.pieces {
			if c, meet := p.pieces[i].cube.intersect(&q.pieces[j].cube); meet {
				out.pieces = append(out.pieces, piece{c, stricter(p.pieces[i].verdict, q.pieces[j].verdict)})
			}
		}
		if len(out.pieces) > maxCubes {
			return out, false
		}
	}
	ok := out.addOutside(p, q, func(v policy.Verdict) policy.Verdict { return stricter(v, q.rest) }) &&
		out.addOutside(q, p, func(v policy.Verdict) policy.Verdict { return stricter(p.rest, v) })
	return out, ok
}

// addOutside adds what of p's pieces lies in none of q's.
func (out *partition) addOutside(p, q *partition, verdict func(policy.Verdict) policy.Verdict) bool {
	others := q.where(func(*policy.Verdict) bool { return true })
	var d difference
	one := make([]cube, 1)
	for i := range p.pieces {
		one[0] = p.pieces[i].cube
		left, ok := d.of(one, others, maxCubes)
		if !ok {
			return false
		}
		for _, c := range left {
			out.pieces = append(out.pieces, piece{c, verdict(p.pieces[i].verdict)})
		}
		if len(out.pieces) > maxCubes {
			return false
		}
	}
	return true
}

// stricter is the rule of policy.Set.Decide for two verdicts.
func stricter(a, b policy.Verdict) policy.Verdict {
	if b.Action > a.Action {
		return b
	}
	return a
}

// same says whether two verdicts do the same to a call, whoever gave them.
func same(a, b *policy.Verdict) bool {
	return a.Action == b.Action && a.Errno == b.Errno && a.Value == b.Value
}
