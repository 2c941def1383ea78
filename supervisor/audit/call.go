package audit

import (
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Facts are what is known of a decided call.
type Facts struct {
	Call    abi.Call // as the kernel had it at entry
	Direct  abi.Call // what it stands for; Call itself if it is direct
	Carrier string   // what carried Direct, "" if nothing did (decode.Direct)
	Entry   string   // "syscall", "int80"
	Code    string   // i386: "64-bit" or "32-bit", the code that made the call
	Args    []string // Direct's, decoded (decode.Args)
	Tier    string   // "traced", "filter"
	Reason  string   // what is to be said beside the rule's own reason
	Verdict policy.Verdict
	Ignored bool // the verdict was not enforced: --permissive
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
		Verdict:  verdictName(f.Verdict.Action),
		Rule:     ruleName(&f.Verdict),
		Tier:     f.Tier,
		Reason:   reason(&f),
		Enforced: !f.Ignored,
	}
	if entry != nil {
		c.Syscall = entry.Name
	}
	if f.Verdict.Policy != nil {
		c.Policy = f.Verdict.Policy.Name
	}
	switch f.Verdict.Action {
	case policy.Deny:
		c.Errno = errnoName(f.Verdict.Errno)
	case policy.Skip:
		value := f.Verdict.Value
		c.Value = &value
	}
	if f.Verdict.Action > policy.Log {
		c.Permit = Permit(f.Direct, entry, f.Verdict, f.Args)
	}
	return c
}

func reason(f *Facts) string {
	var said string
	if f.Verdict.Rule != nil {
		said = f.Verdict.Rule.Reason
	}
	if said != "" && f.Reason != "" {
		return said + "; " + f.Reason
	}
	return said + f.Reason
}

// misread is what the number of a call that 64-bit code made through int 0x80
// is in the table that such code is expected to use.
func misread(c abi.Call, code string) string {
	if c.Arch != abi.I386 || code == "32-bit" {
		return ""
	}
	if s, ok := abi.X86_64.Lookup(c.Nr); ok {
		return s.Name
	}
	return "no call"
}

func verdictName(a policy.Action) string {
	switch a {
	case policy.Allow:
		return "allow"
	case policy.Log:
		return "log"
	case policy.Skip:
		return "skip"
	case policy.Deny:
		return "deny"
	}
	return "kill"
}

func errnoName(n uint16) string {
	if name := unix.ErrnoName(unix.Errno(n)); name != "" {
		return name
	}
	return strconv.Itoa(int(n))
}

// ruleName is where the deciding rule stands, or what decided without one.
func ruleName(v *policy.Verdict) string {
	if v.Rule != nil {
		return v.Rule.Pos.File + ":" + strconv.Itoa(v.Rule.Pos.Line)
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

// guard is the policy that keeps the ways around a traced filter closed. It is
// no part of what a user decides.
const guard = "builtin:guard"

// Permit is the least rule, on one line of a policy's syntax, that would
// permit c, which v does not: args are c's, decoded. s is c's entry in its
// ABI's table, nil if it has none. Where there is no such rule the text says
// so; it then starts with "never" or "no rule".
func Permit(c abi.Call, s *abi.Syscall, v policy.Verdict, args []string) string {
	switch {
	case v.Policy != nil && v.Policy.Name == guard:
		return "never permitted: it would lead around the policy"
	case v.Cause == policy.ByForeign:
		return "no rule can name the calls of this ABI"
	case v.Cause == policy.ByCompat:
		return "compat: {" + c.Arch.String() + ": same}"
	case s == nil:
		return "no rule can name call number " + strconv.FormatInt(int64(int32(c.Nr)), 10)
	case v.Cause == policy.ByUnknown:
		return "no rule applies: the call is newer than the policy's `kernel:` line"
	}
	if conds := conditions(c, s, v); conds != "" {
		return "- {allow: " + s.Canonical + ", args: {" + conds + "}}"
	}
	return "- allow: " + s.Canonical
}

// permits says whether Permit's text is a rule.
func permits(text string) bool {
	return strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "compat: ")
}

// conditions are c's values of the parameters that v's policy makes a
// difference by.
func conditions(c abi.Call, s *abi.Syscall, v policy.Verdict) string {
	return ""
}
