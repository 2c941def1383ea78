package audit

import (
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// permitting is what would permit a call that was not: the least rule of each
// policy that refuses it, the deciding one's first. Where no rule can the text says
// so; it then starts with "never" or "no rule".
func permitting(f *Facts) string {
	switch {
	case f.Barred:
		return never
	case f.Asked != nil:
		return PermitObject(f.Sections, f.Asked, f.Verdict)
	case f.Verdict.Policy != nil && policy.IsGuard(f.Verdict.Policy.Name):
		return never
	case f.Reason != "":
		return "no rule can be named for this"
	}
	return joined(f.refusals(), &f.Verdict)
}

// PermitObject is the same of what a section has decided on.
func PermitObject(b *policy.Sections, o *policy.Object, v policy.Verdict) string {
	text := objectRule(o)
	list := []refusal{{v, text}}
	if b != nil {
		for _, also := range b.Refusals(o) {
			list = append(list, refusal{also, text})
		}
	}
	return joined(list, &v)
}

// refusal is the verdict of one policy that does not permit a call, and the rule that
// would.
type refusal struct {
	verdict policy.Verdict
	permit  string
}

// refusals are those of the call, and of what it is made through: who may not make
// that has nothing of leave for the call.
func (f *Facts) refusals() (list []refusal) {
	add := func(c abi.Call, v policy.Verdict) { list = append(list, refusal{v, Permit(c, v)}) }
	calls := []abi.Call{f.Call, f.Direct}
	if f.Direct == f.Call {
		calls = calls[:1]
	}
	for _, c := range calls {
		for _, v := range f.Set.Refusals(c) {
			add(c, v)
		}
	}
	if len(list) == 0 {
		add(f.Direct, f.Verdict)
	}
	return list
}

// joined is all the rules that it takes, that of the verdict that decided first.
func joined(list []refusal, decided *policy.Verdict) string {
	rank := func(v *policy.Verdict) int {
		switch {
		case v.Policy != decided.Policy:
			return 2
		case v.Rule != decided.Rule:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b refusal) int { return rank(&a.verdict) - rank(&b.verdict) })
	for _, r := range list {
		switch {
		case r.verdict.Policy != nil && policy.IsGuard(r.verdict.Policy.Name): // no part of what a user decides
			return never
		case !permits(r.permit):
			return r.permit
		}
	}
	text := list[0].permit
	for i, r := range list[1:] {
		if !slices.ContainsFunc(list[:i+1], func(have refusal) bool { return have.permit == r.permit && have.verdict.Policy == r.verdict.Policy }) {
			text += "; and " + where(&r.verdict) + ": " + r.permit
		}
	}
	return text
}

// where is the place for a rule that permits what v does not.
func where(v *policy.Verdict) string {
	if v.Rule == nil {
		return "in " + v.Policy.Name
	}
	return "above " + ruleName(v)
}

// Permit is the least rule, on one line of a policy's syntax, by which v's policy
// would permit c, which it does not. Where no rule can it is a text as of permitting.
//
// The rule has conditions where the policy has some for this call: c's values of the
// parameters that they ask about. It belongs above the rule that decided, if one did.
func Permit(c abi.Call, v policy.Verdict) string {
	s, known := c.Arch.Lookup(c.Nr)
	switch {
	case v.Policy != nil && policy.IsGuard(v.Policy.Name):
		return never
	case known && s.Canonical == "ptrace":
		return traced
	case v.Cause == policy.ByForeign:
		return "no rule can name the calls of this ABI"
	case v.Cause == policy.ByCompat:
		return "compat: {" + c.Arch.String() + ": same}"
	case !known:
		return "no rule can name call number " + strconv.FormatInt(int64(int32(c.Nr)), 10)
	case v.Cause == policy.ByUnknown:
		return "no rule applies: the call is newer than the policy's `kernel:` line"
	}
	if conds := conditions(c, v.Policy); conds != "" {
		return "- {allow: " + s.Canonical + ", args: {" + conds + "}}"
	}
	return "- allow: " + s.Canonical
}

const never = "never permitted: it would lead around the policy"

// A rule may permit ptrace, and the kernel still refuses it: a task has one tracer
// (ptrace(2), EPERM), and those outside are out of the reach of the Landlock domain.
const traced = "no rule can permit it: callgate traces every task, and a task has one tracer"

// objectRule is the rule on an object, or why there is none.
func objectRule(o *policy.Object) string {
	rule, why := o.Rule()
	switch {
	case rule == "":
		return why
	case why != "":
		why = " # " + why
	}
	return o.Section.String() + ": - " + rule + why
}

// permits says whether Permit's text is a rule.
func permits(text string) bool {
	for _, begin := range [...]string{"- ", "compat: ", "files: ", "exec: ", "network: "} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return false
}

// conditions are c's values of the parameters that p makes a difference by.
func conditions(c abi.Call, p *policy.Policy) string {
	if p == nil {
		return ""
	}
	var list, seen []string
	clauses := p.Clauses(c.Arch, c.Nr)
	for i := range clauses {
		for j := range clauses[i].Conds {
			param := clauses[i].Conds[j].Param
			if slices.Contains(seen, param.Name) {
				continue
			}
			seen = append(seen, param.Name)
			list = append(list, param.Name+": "+policy.Literal(param, &c.Args))
		}
	}
	return strings.Join(list, ", ")
}
