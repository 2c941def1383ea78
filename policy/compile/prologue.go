package compile

import (
	"math"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// A program is a prologue of ours, then the body that libseccomp compiled; the
// body begins by loading the audit arch and relies on nothing before it.
//
// The prologue answers by audit arch and number alone, in a few comparisons,
// what libseccomp cannot say or says at a price: audit archs and numbers that
// no table knows (they are infinite, and would otherwise fix the body's
// default action, which is best chosen so that it leaves the fewest rules),
// KillNr on a foreign arch (libseccomp takes only names there), and an ABI
// whose every call gets the same answer.
type prologue []unix.SockFilter

// frontOf is the prologue of the host's own group: it speaks of all archs.
func frontOf(groups []*group, own *layer) prologue {
	p := prologue{load(wordArch)}
	for _, g := range groups[1:] {
		p.otherArch(g)
	}
	host := groups[0]
	p = append(p, when(unix.BPF_JEQ, host.audit, 1), ret(retKill), load(wordNr))
	p.answer(KillNr, retKill)
	parts := host.parts
	if len(parts) == 2 && parts[1].arch == abi.X32 {
		x32 := sectionOf(parts[1], own)
		if !parts[1].blanket {
			past := len(sectionOf(parts[0], own))
			x32 = append(x32, jump(past))
		}
		p.x32(x32, parts[0].unknown)
		parts = parts[:1]
	}
	return append(p, sectionOf(parts[0], own)...)
}

// otherArch answers the calls of another audit arch: all of them alike, or
// ALLOW where that arch has a filter of its own.
func (p *prologue) otherArch(g *group) {
	all := uint32(retAllow)
	if g.allBlanket() {
		all = g.parts[0].unknown
	}
	*p = append(*p,
		unless(unix.BPF_JEQ, g.audit, 4),
		load(wordNr),
		unless(unix.BPF_JEQ, KillNr, 1),
		ret(retKill),
		ret(all))
}

// x32 sends x32's numbers to their section. A number with the sign bit is no
// x32 call (do_syscall_x32 in arch/x86/entry/common.c), nor one of x86_64's.
func (p *prologue) x32(section prologue, unknown uint32) {
	*p = append(*p,
		unless(unix.BPF_JGE, 1<<31, 1),
		ret(unknown),
		when(unix.BPF_JGE, abi.X32Bit, 1),
		jump(len(section)))
	*p = append(*p, section...)
}

// answer gives one number its answer.
func (p *prologue) answer(nr, action uint32) {
	*p = append(*p, unless(unix.BPF_JEQ, nr, 1), ret(action))
}

// sectionOf answers what of an ABI is not left to the body of its first layer.
func sectionOf(part *part, first *layer) prologue {
	if part.blanket {
		return prologue{ret(part.unknown)}
	}
	var p prologue
	for _, d := range first.direct {
		p.answer(d.nr, d.action)
	}
	if part.unknown != first.def {
		for _, g := range part.gaps() {
			p.gap(g, part.unknown)
		}
	}
	return p
}

// span is numbers from first to last, both inclusive.
type span struct{ first, last uint32 }

// gap answers a run of numbers.
func (p *prologue) gap(g span, action uint32) {
	switch {
	case g.first == g.last:
		p.answer(g.first, action)
	case g.last == math.MaxUint32:
		*p = append(*p, unless(unix.BPF_JGE, g.first, 1), ret(action))
	default:
		*p = append(*p, unless(unix.BPF_JGE, g.first, 2), when(unix.BPF_JGT, g.last, 1), ret(action))
	}
}

// gaps are the numbers below, between and above those of the ABI's table, the
// last first: it is the one that numbers are compared with in vain.
func (p *part) gaps() []span {
	next, last := uint32(0), uint32(math.MaxUint32)
	if p.arch == abi.X32 {
		next = abi.X32Bit
	}
	var out []span
	for s := range p.arch.All() {
		if s.Nr > next {
			out = append(out, span{next, s.Nr - 1})
		}
		next = s.Nr + 1
	}
	return append(out, span{next, last})
}

// unlisted are the numbers of the ABI that its table lacks, but for KillNr.
func (p *part) unlisted() []span {
	var out []span
	for _, s := range numbersOf(p.arch) {
		for _, g := range p.gaps() {
			if both := (span{max(s.first, g.first), min(s.last, g.last)}); !both.empty() {
				out = append(out, both)
			}
		}
	}
	return out
}

// frontOfOther is the prologue of another group's first layer.
func frontOfOther(l *layer) prologue {
	p := prologue{load(wordArch), when(unix.BPF_JEQ, l.group.audit, 1), ret(retAllow), load(wordNr)}
	return append(p, sectionOf(l.group.parts[0], l)...)
}

// selector is the prologue of a layer that speaks of some calls only.
func selector(l *layer) prologue {
	p := prologue{load(wordArch), when(unix.BPF_JEQ, l.group.audit, 1), ret(retAllow), load(wordNr)}
	for i, r := range l.rules {
		behind := 2*(len(l.rules)-1-i) + 1 // the tests still to come, and the return
		p = append(p, unless(unix.BPF_JEQ, r.nr, 1), jump(behind))
	}
	return append(p, ret(retAllow))
}
