package foreign

import (
	"encoding/json"
	"fmt"
	"slices"

	"callgate/policy"
	"callgate/policy/abi"
)

// The profile's text.
type (
	ociProfile struct {
		DefaultAction   string      `json:"defaultAction"`
		DefaultErrnoRet *uint16     `json:"defaultErrnoRet,omitempty"`
		Architectures   []string    `json:"architectures"`
		Syscalls        []*ociEntry `json:"syscalls"`
	}
	ociEntry struct {
		Names    []string `json:"names"`
		Action   string   `json:"action"`
		ErrnoRet *uint16  `json:"errnoRet,omitempty"`
		Args     []ociArg `json:"args,omitempty"`
		Comment  string   `json:"comment,omitempty"`
	}
	ociArg struct {
		Index    int    `json:"index"`
		Value    uint64 `json:"value"`
		ValueTwo uint64 `json:"valueTwo"`
		Op       string `json:"op"`
	}
)

// profile is an OCI profile's text.
func (e *exporter) profile(def policy.Verdict, calls map[string][]policy.Piece) []byte {
	e.answerable("what no rule names", &def)
	e.clashes(calls)
	for name, pieces := range calls {
		for i := range pieces {
			e.answerable(name, &pieces[i].Verdict)
		}
	}
	rules := e.proven(def, calls)
	out := ociProfile{Syscalls: []*ociEntry{}}
	out.DefaultAction, out.DefaultErrnoRet = action(def)
	for _, arch := range e.arches() {
		out.Architectures = append(out.Architectures, ociArches[arch])
	}
	for i := range rules {
		e.entry(&rules[i])
	}
	out.Syscalls = append(out.Syscalls, e.given...)
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		e.fail(e.whole, "", "a bug in callgate: %v", err)
	}
	return append(text, '\n')
}

// rule is one of a profile's, on one name.
type rule struct {
	name  string
	piece policy.Piece
}

// proven are the rules in their order, those with the most conditions first: libseccomp
// takes long for others. What it then answers wrongly is given up.
func (e *exporter) proven(def policy.Verdict, calls map[string][]policy.Piece) []rule {
	for {
		var rules []rule
		var names []string
		var pieces []policy.Piece
		for _, name := range abi.Names() {
			for _, p := range calls[name] {
				rules = append(rules, rule{name, p})
			}
		}
		slices.SortStableFunc(rules, func(a, b rule) int { return b.conditions() - a.conditions() })
		for _, r := range rules {
			names, pieces = append(names, r.name), append(pieces, r.piece)
		}
		wrong, err := e.divide.Misread(def, e.arches(), names, pieces)
		if err != nil {
			e.fail(e.whole, "", "the profile cannot be proven: %v", err)
		}
		if len(wrong) == 0 || err != nil {
			return rules
		}
		for _, name := range wrong {
			if !conditional(calls[name]) {
				e.fail(e.whole, "", "libseccomp compiles the rule on %s wrongly, though it has no conditions", name)
				return rules
			}
			e.refuse(calls, name, "libseccomp compiles the conditions on "+name+" wrongly")
		}
	}
}

func (r *rule) conditions() (n int) {
	for _, mask := range r.piece.Mask {
		if mask != 0 {
			n++
		}
	}
	return n
}

// refuse has all calls of a name fail.
func (e *exporter) refuse(calls map[string][]policy.Piece, name, why string) {
	pos := e.whole
	if v := calls[name][0].Verdict; v.Rule != nil {
		pos = v.Rule.Pos
	}
	e.stricter(pos, why, name+" fails with EPERM")
	calls[name] = []policy.Piece{{Verdict: policy.Verdict{Action: policy.Deny, Errno: 1}}}
}

// clashes refuses what libseccomp is known to compile wrongly.
func (e *exporter) clashes(calls map[string][]policy.Piece) {
	var names []string
	for _, name := range abi.Names() {
		if conditional(calls[name]) {
			names = append(names, name)
		}
	}
	for i, a := range names {
		for _, b := range names[:i] {
			if slices.ContainsFunc(e.arches(), func(arch abi.Arch) bool { return e.divide.Clash(arch.Audit(), calls[a], calls[b]) }) {
				e.refuse(calls, a, fmt.Sprintf("libseccomp, up to 2.6.1 at least, compiles the conditions on %s and %s wrongly where one profile has both", b, a))
				break
			}
		}
	}
}

// answerable makes a verdict one that a profile can give.
func (e *exporter) answerable(name string, v *policy.Verdict) {
	pos, why := e.whole, ""
	if v.Rule != nil {
		pos = v.Rule.Pos
	}
	switch {
	case v.Action == policy.Skip && v.Value != 0:
		why = fmt.Sprintf("a profile cannot return %d for a call that is not executed", v.Value)
	case v.Action == policy.Deny && v.Errno > 4094:
		why = "libseccomp takes errnos up to 4094"
	default:
		return
	}
	e.stricter(pos, why, name+" fails with EPERM")
	v.Action, v.Errno, v.Value = policy.Deny, 1, 0
}

// action is a verdict in the profile's words.
func action(v policy.Verdict) (string, *uint16) {
	switch v.Action {
	case policy.Allow:
		return "SCMP_ACT_ALLOW", nil
	case policy.Log:
		return "SCMP_ACT_LOG", nil
	case policy.Kill:
		return "SCMP_ACT_KILL_PROCESS", nil
	}
	return "SCMP_ACT_ERRNO", &v.Errno
}

// entry adds a rule's name to the entry that says the same.
func (e *exporter) entry(r *rule) {
	one := &ociEntry{Names: []string{r.name}}
	if r.piece.Verdict.Rule != nil {
		one.Comment = r.piece.Verdict.Rule.Reason
	}
	one.Action, one.ErrnoRet = action(r.piece.Verdict)
	for i, mask := range r.piece.Mask {
		if mask != 0 {
			one.Args = append(one.Args, ociArg{i, mask, r.piece.Value[i], "SCMP_CMP_MASKED_EQ"})
		}
	}
	for _, had := range e.given {
		if len(one.Args) == 0 && len(had.Args) == 0 && had.Action == one.Action && had.Comment == one.Comment &&
			(one.ErrnoRet == nil || *had.ErrnoRet == *one.ErrnoRet) {
			had.Names = append(had.Names, r.name)
			return
		}
	}
	e.given = append(e.given, one)
}
