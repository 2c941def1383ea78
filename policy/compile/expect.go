package compile

import (
	"slices"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// What a filter can answer. Each is a return value of seccomp(2), its data
// included.
const (
	retKill  = unix.SECCOMP_RET_KILL_PROCESS
	retTrace = unix.SECCOMP_RET_TRACE | TraceData
	retAllow = unix.SECCOMP_RET_ALLOW
)

// maxErrno is the greatest errno that libseccomp takes (sys_chk_seccomp_action in
// its src/system.c, 2.5 and 2.6). The kernel has one more, its MAX_ERRNO, above
// which SECCOMP_RET_ERRNO's data is cut off: what fails with that is traced.
const maxErrno = 4094

// cloneFlags is the register of clone's flags, in every ABI that callgate has.
const cloneFlags = 0

// Expect is what the kernel shall answer to a call with this audit arch: the
// reference for every filter. RET_TRACE means that the supervisor decides, by
// policy.Set.Decide.
func Expect(set policy.Set, opts Options, audit uint32, c abi.Call) uint32 {
	arch, known := abi.Of(audit, uint64(c.Nr))
	if c.Nr == KillNr || !known || !slices.Contains(abi.OfHost(), arch) {
		return retKill
	}
	c.Arch = arch
	entry, _ := arch.Lookup(c.Nr)
	e := expectation{opts: opts}
	e.take(set, arch, c.Nr, entry, compatDecides(set, arch))
	return e.answer(&c.Args)
}

// expectation is Expect for one number of an ABI of the host.
type expectation struct {
	opts   Options
	number policy.Number
	own    exceptions

	// The last answer, and what decided it.
	asked bool // there was one
	by    int
	rule  *policy.Rule
	given uint32

	verdicts []policy.Verdict // room
	doubt    [6]uint64        // arguments for which the answer may be another than was asked for
	effort   *int             // that is left for is: see mostEffort
}

// take makes it that of a number, given its entry in the table, nil if it has
// none, and whether compat rules the ABI.
func (e *expectation) take(set policy.Set, arch abi.Arch, nr uint32, entry *abi.Syscall, ruled bool) {
	e.number = set.On(arch, nr, e.number)
	e.own, e.asked = exceptions{}, false
	if entry != nil && !ruled {
		e.own = exceptionsOf(entry, &e.opts)
	}
}

func (e *expectation) answer(args *[6]uint64) uint32 {
	if by, rule := e.number.Find(args); !e.asked || by != e.by || rule != e.rule {
		e.asked, e.by, e.rule = true, by, rule
		e.given = kernelAnswer(e.number.Verdict(by, rule), e.opts)
	}
	return e.own.answer(args, e.given)
}

// is says whether the answer to all calls with arguments of a region is this one. It
// divides the region further so many times to see that. Where it is not, or that cannot be
// seen, doubt is arguments to try.
func (e *expectation) is(answer uint32, r *policy.Region, divisions *int) bool {
	if *e.effort -= e.number.Comparisons() * (1 + len(r.Not)); *e.effort < 0 {
		return false
	}
	verdicts, hinge := e.number.Over(r, e.verdicts)
	e.verdicts = verdicts
	first := kernelAnswer(verdicts[0], e.opts)
	given, own := e.own.over(r, first)
	for _, v := range verdicts[1:] {
		other := kernelAnswer(v, e.opts)
		if other == first {
			continue
		}
		if also, open := e.own.over(r, other); also != given || open != own {
			return e.divided(answer, r, &hinge, divisions)
		}
	}
	if own.Mask != 0 {
		return e.divided(answer, r, &own, divisions)
	}
	return answer == given || e.empty(r)
}

// divided is is for the two parts of a region that a comparison tells apart.
func (e *expectation) divided(answer uint32, r *policy.Region, hinge *policy.Comparison, divisions *int) bool {
	if *divisions--; *divisions < 0 || hinge.Mask == 0 {
		return e.empty(r)
	}
	in, out := *r, *r
	return (!in.Keep(hinge) || e.is(answer, &in, divisions)) && (!out.Leave(hinge) || e.is(answer, &out, divisions))
}

// empty says whether nothing is in a region, and else what may be.
func (e *expectation) empty(r *policy.Region) bool {
	each := 1 + len(r.Not)
	most := min(mostTried, max(0, *e.effort)/each)
	budget := most
	args, some := r.Some(&budget)
	*e.effort -= (most - budget) * each
	if some {
		e.doubt = args
	}
	return !some
}

// mostTried bounds the search for arguments in a region.
const mostTried = 1000

// divides says whether the answer depends on arguments.
func (e *expectation) divides() bool { return e.own.divide() || e.number.Divides() }

// kernelAnswer is how the filter gives a verdict, or has the supervisor give it.
func kernelAnswer(v policy.Verdict, opts Options) uint32 {
	switch {
	case v.Action == policy.Allow:
		return retAllow
	case v.Action == policy.Log || v.Action == policy.Ask || opts.Report:
		return retTrace
	case v.Action == policy.Deny && v.Errno <= maxErrno:
		return unix.SECCOMP_RET_ERRNO | uint32(v.Errno)
	case v.Action == policy.Skip && v.Value <= 0 && v.Value >= -maxErrno:
		return unix.SECCOMP_RET_ERRNO | uint32(-v.Value)
	case v.Action == policy.Kill:
		return retKill
	}
	return retTrace
}

// alwaysTraced is why the supervisor must see every call of this number
// whatever its verdict, "" if it need not.
func alwaysTraced(s *abi.Syscall) string {
	switch {
	case s.Name == "execve" || s.Name == "execveat":
		return "the supervisor follows every program that is started"
	case s.Multiplexer:
		return "it carries other calls, which only the tracee's memory tells"
	case s.Block:
		return "its arguments lie in the tracee's memory"
	case s.Name == "sched_getaffinity" || s.Name == "sched_setaffinity":
		return "the supervisor borrows the affinity of a task that stops often, and gives it back first"
	}
	return ""
}

// compatDecides says whether some policy's `compat` line rules an ABI's every
// call, so that no call of it is ever executed.
func compatDecides(set policy.Set, arch abi.Arch) bool {
	for _, p := range set {
		if arch == abi.I386 && p.Compat.I386 > policy.CompatSame || arch == abi.X32 && p.Compat.X32 > policy.CompatSame {
			return true
		}
	}
	return false
}

// blanketed says whether compat answers an ABI's every call alike: all policies
// rule it, or one kills, which nothing outdoes.
func blanketed(set policy.Set, arch abi.Arch) bool {
	if !compatDecides(set, arch) {
		return false
	}
	all := true
	for _, p := range set {
		one := policy.Set{p}
		if compatDecides(one, arch) && p.DefaultFor(arch, unknownNr(arch)).Action == policy.Kill {
			return true
		}
		all = all && compatDecides(one, arch)
	}
	return all
}
