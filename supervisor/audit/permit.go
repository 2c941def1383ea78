package audit

import (
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// Permit is the least rule, on one line of a policy's syntax, that would
// permit c, which v does not. s is c's entry in its ABI's table, nil if it has
// none. Where no rule can permit it the text says so; it then starts with
// "never" or "no rule".
//
// The rule has conditions where v's policy has some for this call: c's values
// of the parameters that they ask about. It belongs above the rule that
// decided, if one did.
func Permit(c abi.Call, s *abi.Syscall, v policy.Verdict) string {
	switch {
	case v.Policy != nil && policy.IsGuard(v.Policy.Name): // no part of what a user decides
		return never
	case v.Cause == policy.ByForeign:
		return "no rule can name the calls of this ABI"
	case v.Cause == policy.ByCompat:
		return "compat: {" + c.Arch.String() + ": same}"
	case s == nil:
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

// PermitObject is Permit for what a section has decided on.
func PermitObject(o *policy.Object) string {
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
			list = append(list, param.Name+": "+literal(param, &c.Args))
		}
	}
	return strings.Join(list, ", ")
}

// literal is a parameter's value as a policy has it.
func literal(p *abi.Param, args *[6]uint64) string {
	v, bits := p.Value(args), p.Bits
	if p.Hi >= 0 || p.Shift > 0 {
		bits = 64
	}
	if p.Consts != nil {
		if s := p.Consts.Format(v, bits); p.Consts.Flags || s[0] < '0' || s[0] > '9' {
			return s
		}
	}
	switch {
	case p.Kind == abi.Mode && v > 0:
		return "0o" + strconv.FormatUint(v, 8)
	case p.Signed && v>>(bits-1)&1 == 1:
		return strconv.FormatInt(int64(v<<(64-bits))>>(64-bits), 10)
	case v >= 1<<12 && !p.Signed:
		return "0x" + strconv.FormatUint(v, 16)
	}
	return strconv.FormatUint(v, 10)
}
