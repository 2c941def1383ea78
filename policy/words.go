package policy

import "strconv"

var actionWords = [...]string{Allow: "allow", Log: "log", Ask: "ask", Skip: "skip", Deny: "deny", Kill: "kill"}

// String is the word that a policy has for the action.
func (a Action) String() string {
	if a >= Allow && a <= Kill {
		return actionWords[a]
	}
	return "action " + strconv.Itoa(int(a))
}

// Permits says whether a call with this verdict is executed, if only by somebody's leave.
func (a Action) Permits() bool { return a >= Allow && a <= Ask }

// Restricts says whether a call with this verdict is not simply executed.
func (a Action) Restricts() bool { return a >= Ask }

func parseAction(s string) (Action, bool) {
	for a := Allow; a <= Kill; a++ {
		if actionWords[a] == s {
			return a, true
		}
	}
	return 0, false
}

var compatWords = [...]string{CompatSame: "same", CompatDeny: "deny", CompatKill: "kill"}

// String is the word that a policy has for it.
func (c CompatAction) String() string {
	if c >= CompatSame && c <= CompatKill {
		return compatWords[c]
	}
	return "compat action " + strconv.Itoa(int(c))
}

func parseCompat(s string) (CompatAction, bool) {
	for c := CompatSame; c <= CompatKill; c++ {
		if compatWords[c] == s {
			return c, true
		}
	}
	return 0, false
}

var causeWords = [...]string{ByRule: "rule", ByDefault: "default", ByUnknown: "unknown call", ByCompat: "compat", ByForeign: "foreign ABI"}

// String says in a word or two what decided.
func (c Cause) String() string {
	if int(c) < len(causeWords) {
		return causeWords[c]
	}
	return "cause " + strconv.Itoa(int(c))
}

// String is the verdict as "deny EPERM (ci.yaml:14:5)" or
// "deny ENOSYS (unknown call)".
func (v Verdict) String() string {
	s := v.Action.String()
	switch v.Action {
	case Deny:
		s += " " + ErrnoName(v.Errno)
	case Skip:
		s += " " + strconv.FormatInt(v.Value, 10)
	}
	if v.Rule != nil {
		return s + " (" + v.Rule.Pos.String() + ")"
	}
	return s + " (" + v.Cause.String() + ")"
}
