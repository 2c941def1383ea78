package compile

import (
	"math"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// ways follows programs along every way that calls of some numbers can take through them.
// Where calls part, at a comparison of the number or of an argument, both sides are
// followed, each with what is known of it by then: what is so at the ends of all ways is
// so for every call.
type ways struct {
	programs []paused // each where it stands
	audit    uint32
	end      func(*way, uint32) bool // gets each way's answer; false: no more of them

	way
	effort *int // that is left: see mostEffort
}

// way is the calls that take the same way, and perhaps some that do not.
type way struct {
	numbers span
	policy.Region
}

// mostEffort bounds the time that is taken for one number of compiled programs, and for all
// numbers of programs that are not known to be compiled, in comparisons of an instruction
// or a condition with what is known. It is several times what a number with as many
// conditions as are compiled takes, and some milliseconds.
const mostEffort = 1 << 22

// all follows every way. False: end said so, there are too many, or a program does what is
// not followed.
func (w *ways) all(numbers span) bool {
	w.way = way{numbers, policy.Region{Not: w.Not[:0]}}
	return w.before(len(w.programs), retAllow)
}

// before follows the programs before the i-th, the last first as strongest has them, given
// the answer of those from there on.
func (w *ways) before(i int, answer uint32) bool {
	for i--; i >= 0; i-- {
		p := &w.programs[i]
		if p.looks {
			return w.follow(i, p.at.pc, accumulator{value: p.at.a}, answer)
		}
		answer = stronger(p.answer, answer)
	}
	return w.end(&w.way, answer)
}

// accumulator is a program's: a value, or some bits of a word in which calls differ.
type accumulator struct {
	value uint32
	mask  uint32 // 0: it is the value
	word  uint32 // wordNr or an argument's
}

// follow goes on with the i-th program.
func (w *ways) follow(i, pc int, a accumulator, answer uint32) bool {
	p := &w.programs[i]
	for ; *w.effort > 0; pc++ {
		*w.effort--
		in := &p.machine[pc]
		if p.seen != nil {
			p.seen[pc] = true
		}
		switch in.op {
		case opLoad:
			if in.k > wordArch && in.k < wordArgs {
				return false
			}
			a = w.load(in.k)
		case opAluK:
			if in.alu != unix.BPF_AND {
				return false
			}
			a.value &= in.k
			a.mask &= in.k
		case opJump:
			pc += int(in.k)
		case opRetK:
			return w.before(i, stronger(in.k, answer))
		case opJeqK, opJgtK, opJgeK:
			t := test{in.op, in.k, a}
			if !t.followed() {
				return false
			}
			holds, fails := w.possible(&t)
			if holds && fails {
				both := w.way
				if w.take(&t, true) && !w.follow(i, pc+1+int(in.jt), a, answer) {
					return false
				}
				w.way = both
				if !w.take(&t, false) {
					return true
				}
				holds = false
			}
			pc += in.jump(holds)
		default:
			return false
		}
	}
	return false
}

// load is the accumulator with a word.
func (w *ways) load(word uint32) accumulator {
	switch word {
	case wordArch:
		return accumulator{value: w.audit}
	case wordNr:
		if w.numbers.first == w.numbers.last {
			return accumulator{value: w.numbers.first}
		}
		return accumulator{word: wordNr, mask: math.MaxUint32}
	}
	reg, shift := half(word)
	if mask := uint32(w.Mask[reg] >> shift); mask == math.MaxUint32 {
		return accumulator{value: uint32(w.Value[reg] >> shift)}
	}
	return accumulator{word: word, mask: math.MaxUint32}
}

// half is which half of which register an argument's word is: how far it is to be shifted.
func half(word uint32) (reg int, shift uint) {
	return int(word-wordArgs) / 2, uint(word-wordArgs) % 2 * 32
}

// test is a comparison of what a program has loaded with a constant.
type test struct {
	op op // opJeqK, opJgtK or opJgeK
	k  uint32
	accumulator
}

// followed says whether both sides can be told: equality of arguments, order of numbers.
func (t *test) followed() bool {
	switch {
	case t.mask == 0:
		return true
	case t.word == wordNr:
		return t.mask == math.MaxUint32
	}
	return t.op == opJeqK
}

// possible says whether the test holds for some of the calls, and whether it fails for
// some. It may say both though only one is so.
func (w *ways) possible(t *test) (holds, fails bool) {
	switch {
	case t.mask == 0:
		in, out := span{t.value, t.value}.divide(t)
		return !in.empty(), !out.empty()
	case t.word == wordNr:
		in, out := w.numbers.divide(t)
		return !in.empty(), !out.empty()
	}
	*w.effort -= len(w.Not)
	all, none := w.Where(t.comparison())
	return !none, !all
}

// take leaves only the calls for which a test holds, or only those for which it fails;
// false if it sees that there are none.
func (w *ways) take(t *test, holds bool) bool {
	*w.effort -= len(w.Not)
	switch {
	case t.word == wordNr && holds:
		w.numbers, _ = w.numbers.divide(t)
	case t.word == wordNr:
		_, w.numbers = w.numbers.divide(t)
	case holds:
		return w.Keep(t.comparison())
	default:
		return w.Leave(t.comparison())
	}
	return true
}

func (t *test) comparison() *policy.Comparison {
	reg, shift := half(t.word)
	return &policy.Comparison{Reg: reg, Mask: uint64(t.mask) << shift, Value: uint64(t.k) << shift}
}

var none = span{1, 0}

func (s span) empty() bool { return s.first > s.last }

// divide is the numbers for which a test of them holds, and those for which it fails: some
// more perhaps, where they would be two spans.
func (s span) divide(t *test) (holds, fails span) {
	k := t.k
	if t.op == opJgtK {
		if k == math.MaxUint32 {
			return none, s
		}
		k++ // as opJgeK has it
	}
	switch {
	case t.op == opJeqK && (k < s.first || k > s.last):
		return none, s
	case t.op == opJeqK:
		fails = s
		if s.first == s.last {
			fails = none
		} else if k == s.first {
			fails.first++
		} else if k == s.last {
			fails.last--
		}
		return span{k, k}, fails
	case k <= s.first:
		return s, none
	case k > s.last:
		return none, s
	}
	return span{k, s.last}, span{s.first, k - 1}
}

// numbersOf are the numbers of an ABI's calls, as abi.Of has them, whether its table has
// them or not, but for KillNr.
func numbersOf(arch abi.Arch) []span {
	switch arch {
	case abi.X32:
		return []span{{abi.X32Bit, math.MaxInt32}}
	case abi.X86_64:
		return []span{{0, KillNr - 1}, {KillNr + 1, abi.X32Bit - 1}, {math.MaxInt32 + 1, math.MaxUint32}}
	}
	return []span{{0, KillNr - 1}, {KillNr + 1, math.MaxUint32}}
}
