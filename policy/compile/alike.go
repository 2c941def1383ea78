package compile

import (
	"math"

	"callgate/policy/abi"
)

// numbersOf are the numbers of an ABI's calls, whether its table has them or not, but for
// KillNr.
func numbersOf(arch abi.Arch) []span {
	if arch == abi.X32 {
		return []span{{abi.X32Bit, math.MaxInt32}} // as abi.Of has them
	}
	return []span{{0, KillNr - 1}, {KillNr + 1, math.MaxUint32}}
}

// alike is what the kernel answers to every call of an audit arch with a number of the
// span, if that is the same, and each program finds its answer without a look at
// arguments. seen is as for prove.
func alike(machines []machine, seen [][]bool, audit uint32, s span) (answer uint32, ok bool) {
	answer = retAllow
	for i := len(machines) - 1; i >= 0; i-- { // as strongest has them
		var executed []bool
		if seen != nil {
			executed = seen[i]
		}
		one, ok := machines[i].alike(audit, s, executed)
		if !ok {
			return 0, false
		}
		if restricts(one, answer) {
			answer = one
		}
	}
	return answer, true
}

// fork is where a program can be with some of the numbers: at an instruction, with the
// number or something known in its accumulator.
type fork struct {
	pc     int
	number bool
	a      uint32 // unless it is the number
	span          // of the numbers: some more than lead there perhaps, never fewer
}

var none = span{1, 0}

func (s span) empty() bool { return s.first > s.last }

// divide is the fork where a comparison holds, and where it does not.
func (f *fork) divide(in *inst) (holds, not fork) {
	holds, not = *f, *f
	holds.pc += int(in.jt)
	not.pc += int(in.jf)
	k := in.k
	switch {
	case !f.number:
		if (in.op == opJeqK && f.a == k) || (in.op == opJgtK && f.a > k) || (in.op == opJgeK && f.a >= k) {
			not.span = none
		} else {
			holds.span = none
		}
	case in.op == opJeqK && (k < f.first || k > f.last), in.op == opJgtK && k >= f.last, in.op == opJgeK && k > f.last:
		holds.span = none
	case in.op == opJeqK:
		holds.span = span{k, k}
		if k == f.first {
			not.first++ // past the last it is empty; past the last of all it wraps to more than is needed
		} else if k == f.last {
			not.last--
		}
	case in.op == opJgtK:
		holds.first, not.last = max(f.first, k+1), k
	case k == 0:
		not.span = none
	default:
		holds.first, not.last = max(f.first, k), k-1
	}
	return holds, not
}

// alike is the same for one program, which goes every way that some number of the span may
// take.
func (m machine) alike(audit uint32, s span, seen []bool) (answer uint32, ok bool) {
	answered := false
	ways := append(make([]fork, 0, 16), fork{span: s})
	for steps := 0; len(ways) > 0; steps++ {
		if steps == mostSteps {
			return 0, false
		}
		at := &ways[len(ways)-1]
		in := &m[at.pc]
		if seen != nil {
			seen[at.pc] = true
		}
		at.pc++
		switch in.op {
		case opLoad:
			if at.number, at.a = in.k == wordNr, audit; in.k > wordArch {
				return 0, false
			}
		case opRetK:
			if answered && answer != in.k {
				return 0, false
			}
			answer, answered = in.k, true
			ways = ways[:len(ways)-1]
		case opJump:
			at.pc += int(in.k)
		case opJeqK, opJgtK, opJgeK:
			holds, not := at.divide(in)
			ways = ways[:len(ways)-1]
			if !holds.empty() {
				ways = append(ways, holds)
			}
			if !not.empty() {
				ways = append(ways, not)
			}
		default:
			return 0, false
		}
	}
	return answer, answered
}

// mostSteps are more than a few comparisons take, and no time.
const mostSteps = 100
