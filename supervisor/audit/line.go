package audit

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"callgate/policy"
)

// appendDenial writes a call that was not permitted:
//
//	denied openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = EPERM in cat[123] by ci.yaml:14: secrets; permit with: - allow: openat
func appendDenial(dst []byte, e *Event) []byte {
	c := e.CallInfo
	dst = appendVerdict(dst, c)
	dst = appendCall(dst, c, c.Args)
	dst = appendCarrier(dst, c)
	dst = appendObject(dst, c)
	dst = appendResult(dst, c)
	dst = appendTask(append(dst, " in "...), e)
	dst = appendRule(append(dst, " by "...), c)
	if c.Reason != "" {
		dst = append(append(dst, ": "...), c.Reason...)
	}
	return appendPermit(dst, c)
}

// Question is what somebody is asked of a call, in one line of what is printable:
//
//	cat[123] asks for openat(AT_FDCWD, "/etc/shadow", O_RDONLY) by ci.yaml:14: secrets
func Question(e *Event) string {
	c := e.CallInfo
	dst := append(appendTask(nil, e), " asks for "...)
	dst = appendCall(dst, c, c.Args)
	dst = appendCarrier(dst, c)
	dst = appendObject(dst, c)
	dst = appendRule(append(dst, " by "...), c)
	if c.Reason != "" {
		dst = append(append(dst, ": "...), c.Reason...)
	}
	return string(policy.AppendPrintable(nil, dst))
}

// appendKind writes what the denials of one kind have in common:
//
//	denied socket(AF_INET, ...) in curl by ci.yaml:14
func appendKind(dst []byte, e *Event) []byte {
	c := e.CallInfo
	dst = appendVerdict(dst, c)
	dst = appendCall(dst, c, shape(c.Args))
	dst = append(append(dst, " in "...), program(e.Exe)...)
	return appendRule(append(dst, " by "...), c)
}

func appendVerdict(dst []byte, c *CallInfo) []byte {
	done, would := "denied ", "would deny "
	switch c.Verdict {
	case "ask":
		done, would = "asked about ", "would ask about "
	case "kill":
		done, would = "killed ", "would kill "
	case "skip":
		done, would = "skipped ", "would skip "
	}
	if c.Enforced {
		return append(dst, done...)
	}
	return append(dst, would...)
}

// appendCall writes the call. What did not come through the 64-bit entry of
// its machine says how it came.
func appendCall(dst []byte, c *CallInfo, args []string) []byte {
	switch {
	case c.Entry == "int80" && c.Code != "32-bit":
		dst = append(dst, "int80 "...)
	case c.ABI == "i386", c.ABI == "x32":
		dst = append(append(dst, c.ABI...), ' ')
	}
	if c.Syscall == "" {
		dst = strconv.AppendInt(append(dst, "syscall "...), c.Nr, 10)
	}
	dst = append(append(dst, c.Syscall...), '(')
	for i, a := range args {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendArg(dst, a)
	}
	return append(dst, ')')
}

// argBytes is how much of one argument a line shows.
const argBytes = 256

func appendArg(dst []byte, arg string) []byte {
	if len(arg) <= argBytes {
		return append(dst, arg...)
	}
	n := argBytes
	for n > 0 && !utf8.RuneStart(arg[n]) {
		n--
	}
	return append(append(dst, arg[:n]...), "..."...)
}

// appendCarrier says what the call was made through, and as what its number
// would be taken by someone who looks at the number alone.
func appendCarrier(dst []byte, c *CallInfo) []byte {
	if c.Of != "" {
		dst = append(append(dst, " through "...), c.Of...)
	}
	if c.Misread != "" {
		dst = strconv.AppendInt(append(dst, " (nr "...), c.Nr, 10)
		dst = append(append(dst, ", which is "...), c.Misread...)
		dst = append(dst, " in the x86_64 table)"...)
	}
	return dst
}

// appendObject writes what was decided on, where the arguments as they are shown do not say it.
func appendObject(dst []byte, c *CallInfo) []byte {
	if c.Object == "" {
		return dst
	}
	quoted := strconv.Quote(c.Object)
	for _, a := range c.Args {
		if a == quoted && len(a) <= argBytes {
			return dst
		}
	}
	return append(append(dst, " on "...), quoted[1:len(quoted)-1]...)
}

func appendResult(dst []byte, c *CallInfo) []byte {
	switch {
	case c.Verdict == "deny" && c.Errno != "":
		return append(append(dst, " = "...), c.Errno...)
	case c.Verdict == "skip" && c.Value != nil:
		return strconv.AppendInt(append(dst, " = "...), *c.Value, 10)
	}
	return dst
}

// appendTask writes PROGRAM[PID], or PROGRAM[PID/TID] of a thread that is not
// the first.
func appendTask(dst []byte, e *Event) []byte {
	dst = append(append(dst, program(e.Exe)...), '[')
	dst = strconv.AppendInt(dst, int64(e.PID), 10)
	if e.TID != e.PID && e.TID != 0 {
		dst = strconv.AppendInt(append(dst, '/'), int64(e.TID), 10)
	}
	return append(dst, ']')
}

// program is a program's name, in quotes where it could be read as more than that.
func program(exe string) string {
	name := exe[strings.LastIndexByte(exe, '/')+1:]
	switch {
	case name == "":
		return "?"
	case strings.ContainsAny(name, " (\""):
		return strconv.Quote(name)
	}
	return name
}

// appendRule writes the rule's place, or the policy and what of it decided.
func appendRule(dst []byte, c *CallInfo) []byte {
	if c.Policy == "" || strings.HasPrefix(c.Rule, c.Policy+":") || byRule(c) {
		return append(dst, c.Rule...)
	}
	dst = append(append(dst, c.Policy...), " ("...)
	return append(append(dst, c.Rule...), ')')
}

// byRule says whether a rule decided, of a policy (FILE:LINE) or of a flag, and not what
// stands where no rule does.
func byRule(c *CallInfo) bool {
	return strings.ContainsRune(c.Rule, ':') || strings.HasPrefix(c.Rule, "--")
}

func appendPermit(dst []byte, c *CallInfo) []byte {
	if c.Permit == "" {
		return dst
	}
	return append(append(dst, "; "...), Advice(c.Permit, byRule(c))...)
}

// Advice is what a person is told of a call's Permit; byRule says whether a rule
// decided, above which others are tried.
func Advice(permit string, byRule bool) string {
	switch {
	case !permits(permit):
		return permit
	case byRule:
		return "permit, above that rule, with: " + permit
	}
	return "permit with: " + permit
}

// shape is args without what differs from one call to the next: symbols stay,
// the rest is "...".
func shape(args []string) []string {
	var s []string
	for _, a := range args {
		a = symbolic(a)
		if a == "..." && len(s) > 0 && s[len(s)-1] == "..." {
			continue
		}
		s = append(s, a)
	}
	return s
}

func symbolic(arg string) string {
	if rest, ok := strings.CutPrefix(arg, "{sa_family="); ok {
		if i := strings.IndexAny(rest, ",}"); i >= 0 {
			return "{sa_family=" + rest[:i] + "}"
		}
	}
	if arg == "" || arg == "NULL" || arg[0] < 'A' || arg[0] > 'Z' {
		return "..."
	}
	return arg
}

// appendLimit writes a limit that was reached:
//
//	limit: wall-time 10s, used 10.02s, by ci.yaml:4: SIGTERM
func appendLimit(dst []byte, l *LimitInfo) []byte {
	most, used := l.Most, l.Used
	r, _ := policy.ParseResource(l.Limit)
	if r <= policy.CPUTime {
		most, used = most*float64(time.Second), used*float64(time.Second)
	}
	dst = append(append(dst, "limit: "...), l.Limit...)
	dst = append(append(dst, ' '), r.Text(int64(most))...)
	dst = append(append(dst, ", used "...), r.Rounded(int64(used))...)
	return append(append(append(append(dst, ", by "...), l.By...), ": "...), l.End...)
}
