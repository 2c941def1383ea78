package compile

import (
	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Tier is who decides a call.
type Tier uint8

const (
	Filter Tier = iota + 1 // the kernel, by the filter, without a stop
	Traced                 // the supervisor, at a stop
)

// String is the tier's name as explain and events have it.
func (t Tier) String() string {
	switch t {
	case Filter:
		return "filter"
	case Traced:
		return "traced"
	}
	return "unknown"
}

// inexact is a call that is traced, for all or some arguments, though its
// verdict would not need it.
type inexact struct {
	arch abi.Arch
	nr   uint32
	why  string
}

// Answer is what the kernel answers to a call under the plan's filters: a
// SECCOMP_RET_* with its data.
func (p *Plan) Answer(c abi.Call) (action uint32) {
	d := seccompData(c.Arch.Audit(), c.Nr, &c.Args)
	return strongest(p.machines, &d)
}

// strongest runs all programs and gives the answer that the kernel would act
// on (seccomp_run_filters: the most restrictive; of equal ones the one of the
// filter that was installed last).
func strongest(machines []machine, d *words) uint32 {
	action := uint32(retAllow)
	for i := len(machines) - 1; i >= 0; i-- {
		a, _ := machines[i].run(d, nil)
		action = stronger(a, action)
	}
	return action
}

// stronger is the one of two answers that the kernel acts on, b where they restrict alike.
func stronger(a, b uint32) uint32 {
	if restricts(a, b) {
		return a
	}
	return b
}

// Tier says who decides a call, and if it is traced why the filter could not.
func (p *Plan) Tier(c abi.Call) (tier Tier, why string) {
	if p.Answer(c) != retTrace {
		return Filter, ""
	}
	v := p.Set.Decide(c)
	answer := kernelAnswer(v, p.opts)
	if s, listed := c.Arch.Lookup(c.Nr); listed && !compatDecides(p.Set, c.Arch) {
		if own := exceptionsOf(s, &p.opts); own.stopsAt(&c.Args, answer) {
			return Traced, own.reason(s, &c.Args)
		}
	}
	if answer == retTrace {
		return Traced, verdictReason(v)
	}
	if i, marked := p.marked(c.Arch, c.Nr); marked {
		return Traced, i.why
	}
	return Traced, "the filter does not decide it"
}

// verdictReason is why a verdict needs a stop.
func verdictReason(v policy.Verdict) string {
	switch v.Action {
	case policy.Log:
		return "a logged call is recorded by the supervisor"
	case policy.Ask:
		return "the supervisor holds the call while somebody is asked"
	case policy.Deny:
		if v.Errno > maxErrno {
			return "libseccomp makes no filter that answers errno 4095"
		}
	case policy.Skip:
		if v.Value > 0 || v.Value < -maxErrno {
			return "the filter can return no value other than 0"
		}
		return "a skipped call is reported by the supervisor"
	case policy.Kill:
		return "the supervisor reports the call before the kernel kills for it"
	}
	return "a denied call is reported by the supervisor"
}

// marked is the note on a call that the filter traces without need.
func (p *Plan) marked(arch abi.Arch, nr uint32) (*inexact, bool) {
	for i := range p.inexact {
		if e := &p.inexact[i]; e.arch == arch && e.nr == nr {
			return e, true
		}
	}
	return nil, false
}

// actionName is an answer in seccomp(2)'s words.
func actionName(a uint32) string {
	switch a & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return "ALLOW"
	case unix.SECCOMP_RET_TRACE:
		return "TRACE"
	case unix.SECCOMP_RET_ERRNO:
		return "ERRNO " + policy.ErrnoName(uint16(a&unix.SECCOMP_RET_DATA))
	case unix.SECCOMP_RET_KILL_PROCESS:
		return "KILL_PROCESS"
	}
	return "an action that no plan uses"
}
