package audit

import (
	"callgate/policy"
	"callgate/policy/abi"
)

// Facts are what is known of a decided call.
type Facts struct {
	Call    abi.Call       // as the kernel had it at entry
	Direct  abi.Call       // what it stands for; Call itself if it is direct
	Carrier string         // what carried Direct, "" if nothing did (decode.Direct)
	Entry   string         // "syscall", "int80"
	Code    string         // i386: "64-bit" or "32-bit", the code that made the call
	Args    []string       // Direct's, decoded (decode.Args)
	Object  string         // what a section other than syscalls decided on: a canonical path, an address
	Asked   *policy.Object // the same as rules see it; nil where the call is permitted
	Tier    string         // "traced", "filter"
	Reason  string         // why it is denied, where it is not by a rule
	Answer  string         // to the question that a rule put: yes, no, nobody
	Verdict policy.Verdict
	Barred  bool // it is denied whatever policies say
	Ignored bool // the verdict was not enforced: --permissive
	// The policies that decided; none is asked anew where they are left out.
	Set      policy.Set
	Sections *policy.Sections
}

// NewCall is the event's part for a decided call, with the least rule that
// would permit it.
func NewCall(f Facts) *CallInfo {
	entry, known := f.Direct.Arch.Lookup(f.Direct.Nr)
	if !known {
		entry = nil
	}
	c := &CallInfo{
		ABI:      f.Direct.Arch.String(),
		Entry:    f.Entry,
		Code:     f.Code,
		Nr:       int64(int32(f.Call.Nr)),
		Args:     f.Args,
		Of:       f.Carrier,
		Misread:  misread(f.Call, f.Code),
		Verdict:  f.Verdict.Action.String(),
		Rule:     ruleName(&f.Verdict),
		Tier:     f.Tier,
		Reason:   reason(&f),
		Answer:   f.Answer,
		Enforced: !f.Ignored,
	}
	if entry != nil {
		c.Syscall = entry.Name
	}
	if f.Verdict.Section != policy.Syscalls {
		c.Section, c.Object = f.Verdict.Section.String(), f.Object
	}
	if f.Verdict.Policy != nil {
		c.Policy = f.Verdict.Policy.Name
	}
	switch f.Verdict.Action {
	case policy.Deny:
		c.Errno = policy.ErrnoName(f.Verdict.Errno)
	case policy.Skip:
		value := f.Verdict.Value
		c.Value = &value
	}
	if !f.Verdict.Action.Permits() {
		c.Permit = permitting(&f)
	}
	return c
}

func reason(f *Facts) string {
	var said string
	if f.Verdict.Rule != nil {
		said = f.Verdict.Rule.Reason
	}
	more := f.Reason
	switch f.Answer {
	case "no":
		more = "the answer was no"
	case "nobody":
		more = "nobody could be asked"
	}
	if more == "" && f.Asked != nil {
		more = f.Asked.Reason()
	}
	if said != "" && more != "" {
		return said + "; " + more
	}
	return said + more
}

// misread is what the number of a call that 64-bit code made through int 0x80
// is in the table that such code is expected to use.
func misread(c abi.Call, code string) string {
	if c.Arch != abi.I386 || code != "64-bit" {
		return ""
	}
	if s, ok := abi.X86_64.Lookup(c.Nr); ok {
		return s.Name
	}
	return "no call"
}

// ruleName is where the deciding rule stands, or what decided without one.
func ruleName(v *policy.Verdict) string {
	if v.Rule != nil {
		return v.Rule.Pos.Place()
	}
	switch v.Cause {
	case policy.ByUnknown:
		return "unknown"
	case policy.ByCompat:
		return "compat"
	case policy.ByForeign:
		return "foreign"
	}
	return "default"
}
