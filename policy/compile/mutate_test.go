package compile

import (
	"slices"
	"testing"

	"callgate/policy/abi"
)

// TestProofExecutesEveryInstruction: the probes reach all that libseccomp and
// we wrote, but for code that no call can reach.
func TestProofExecutesEveryInstruction(t *testing.T) {
	for _, name := range shipped {
		for _, report := range []bool{true, false} {
			plan, groups, err := build(builtin(t, name), Options{Report: report})
			if err != nil {
				t.Fatal(err)
			}
			seen := make([][]bool, len(plan.machines))
			for f, m := range plan.machines {
				seen[f] = make([]bool, len(m))
			}
			if err := prove(plan, groups, probesPerCall, seen); err != nil {
				t.Fatal(err)
			}
			for f := range seen {
				for i, was := range seen[f] {
					if !was {
						t.Errorf("%s, report %v: filter %d: instruction %d %+v was not executed", name, report, f, i, plan.Filters[f][i])
					}
				}
			}
		}
	}
}

// mutate damages one instruction in a way that still decodes.
func (g *generator) mutate(plan *Plan) (machines []machine, what string) {
	for {
		f := g.IntN(len(plan.Filters))
		i := g.IntN(len(plan.Filters[f]))
		p := slices.Clone(plan.Filters[f])
		switch in := &p[i]; g.IntN(6) {
		case 0:
			in.K ^= 1 << g.IntN(32)
		case 1:
			in.K++
		case 2:
			in.Jt, in.Jf = in.Jf, in.Jt
		case 3:
			in.Jt++
		case 4:
			in.Jf++
		default:
			*in = ret(retAllow)
		}
		m, err := decode(p)
		if err != nil || m[i] == plan.machines[f][i] || !m[i].conditional() && m[i].k == plan.machines[f][i].k && m[i].op == plan.machines[f][i].op {
			continue // refused by the kernel, or no change at all
		}
		machines = slices.Clone(plan.machines)
		machines[f] = m
		return machines, actionOrCode(plan, f, i)
	}
}

func (in *inst) conditional() bool { return in.op >= opJeqK && in.op <= opJsetX }

func actionOrCode(plan *Plan, f, i int) string {
	if in := plan.machines[f][i]; in.op == opRetK {
		return actionName(in.k)
	}
	return "code"
}

// TestProofNoticesDamage corrupts one instruction at a time. What the proof
// lets pass must be no damage: on thousands of other calls the filters still
// answer as they should. So must the proof of ready programs, for which no call is
// worked out and no arguments are tried.
func TestProofNoticesDamage(t *testing.T) {
	for name, ready := range map[string]bool{"compiled": false, "ready": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := damage{newGenerator(21), 0, 0}
			for range 60 {
				d.set(t, ready)
			}
			t.Logf("%d damaged programs noticed, %d as good as before", d.noticed, d.harmless)
			if d.noticed < 5*d.harmless {
				t.Errorf("only %d of %d damaged programs were noticed", d.noticed, d.noticed+d.harmless)
			}
		})
	}
}

type damage struct {
	*generator
	noticed, harmless int
}

// set damages the programs of one set of policies.
func (d *damage) set(t *testing.T, ready bool) {
	set := d.generator.set(t)
	opts := Options{Report: d.IntN(2) == 0, Holders: d.holders()}
	plan, groups, err := build(set, opts)
	if err != nil {
		t.Fatal(err)
	}
	depth := probesPerCall
	if ready {
		if groups = hostGroups(); len(plan.inexact) > 0 {
			return // such programs are never used
		}
		if one, ok := plan.welded(groups); ok {
			plan = one
		}
		if depth = 0; prove(plan, groups, depth, nil) != nil {
			return // what following does not show is compiled anew
		}
	}
	calls := d.calls(plan, 2000)
	for range 12 {
		damaged := *plan
		var what string
		damaged.machines, what = d.mutate(plan)
		if err := prove(&damaged, groups, depth, nil); err != nil {
			d.noticed++
			continue
		}
		d.harmless++
		compare(t, &damaged, calls, what, ready)
	}
}

// compare asks a plan that was damaged. A ready one may stop calls with conditions without need.
func compare(t *testing.T, plan *Plan, calls []rawCall, what string, ready bool) {
	for i := range calls {
		c := &calls[i]
		arch, _ := abi.Of(c.audit(), uint64(c.nr))
		call := abi.Call{Arch: arch, Nr: c.nr, Args: c.args}
		got, want := plan.Answer(call), Expect(plan.Set, plan.opts, c.audit(), call)
		_, loose := plan.marked(arch, c.nr)
		if ready && arch != 0 {
			e := expectation{opts: plan.opts}
			entry, _ := arch.Lookup(c.nr)
			e.take(plan.Set, arch, c.nr, entry, compatDecides(plan.Set, arch))
			loose = e.divides()
		}
		if got != want && !(loose && got == retTrace) {
			t.Errorf("damage (%s) passed the proof, yet %+v gets %s, not %s\n%s", what, call, actionName(got), actionName(want), texts(plan.Set))
			return
		}
	}
}
