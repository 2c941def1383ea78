package policy

import (
	"slices"
	"strconv"

	"callgate/policy/abi"
)

// The keys of one rule, of which it has exactly one of the first six.
var (
	actionKeys = []string{"allow", "log", "ask", "deny", "skip", "kill"}
	ruleKeys   = append(slices.Clip(actionKeys), "args", "errno", "value", "reason", "quiet")
)

// maxRules is how many rules a policy may have, with all that it extends.
const maxRules = 10000

// rules reads the section `syscalls`.
func (r *reader) rules(n *node) {
	if n.kind != listNode {
		r.fail(n, "write `syscalls: []` for a section without rules", "expected a list of rules, found %s", n.describe())
		return
	}
	for i := range n.items {
		if r.led.full() {
			return
		}
		if rule := r.rule(&n.items[i]); rule != nil {
			r.part.rules = append(r.part.rules, rule)
		}
	}
}

// rule reads one rule; nil if it is so wrong that nothing can be made of it.
func (r *reader) rule(n *node) *Rule {
	if n.kind != mapNode {
		r.fail(n, "write for example `- allow: [read, write]`", "expected a rule, found %s", n.describe())
		return nil
	}
	rule := &Rule{Pos: r.pos(n)}
	before := len(r.led.list)
	var args, errno, value, quiet *field
	r.fields(n, "rule key", ruleKeys, func(key string, f *field) {
		switch key {
		case "args":
			args = f
		case "errno":
			errno = f
		case "value":
			value = f
		case "reason":
			rule.Reason = r.text(&f.value)
		case "quiet":
			quiet = f
		default:
			r.action(rule, key, f)
		}
	})
	if rule.Action == 0 {
		if len(r.led.list) == before { // else a key is probably an action misspelt
			r.fail(n, "", "the rule has no action; expected %s", oneOf(actionKeys))
		}
		return nil
	}
	r.answer(rule, errno, value)
	if quiet != nil {
		r.quiet(rule, quiet)
	}
	if args != nil {
		r.args(rule, &args.value)
	}
	return rule
}

// action reads "deny: NAMES".
func (r *reader) action(rule *Rule, key string, f *field) {
	if rule.Action != 0 {
		r.fail(&f.key, "write two rules", "the rule has two actions, %s and %s", rule.Action, key)
		return
	}
	rule.Action, _ = parseAction(key)
	rule.Pos = r.pos(&f.key)
	items := r.list(&f.value, "the name of a system call or @group")
	rule.Calls = make([]Name, 0, len(items))
	for i := range items {
		if r.led.full() {
			return
		}
		r.name(rule, &items[i])
	}
}

// name reads the name of a call or group. One that nobody knows is a mistake
// and is left out.
func (r *reader) name(rule *Rule, n *node) {
	switch {
	case n.kind != scalarNode || !n.isText():
		r.fail(n, "", "expected the name of a system call or @group, found %s", n.describe())
	case isGroup(n.text) && !knownGroup(n.text):
		r.fail(n, DidYouMean(n.text, groupNames()), "unknown group %s", quote(n.text))
	case !isGroup(n.text) && !abi.Known(n.text):
		r.fail(n, callHint(n.text), "unknown system call %s", quote(n.text))
	default:
		rule.Calls = append(rule.Calls, Name{r.pos(n), n.text})
	}
}

func callHint(name string) string {
	if knownGroup("@" + name) {
		return "did you mean the group " + strconv.Quote("@"+name) + "?"
	}
	return DidYouMean(name, abi.Names())
}

// answer reads what the call is to return or fail with.
func (r *reader) answer(rule *Rule, errno, value *field) {
	if errno != nil {
		rule.Errno = r.errno(&errno.value)
		if rule.Action != Deny && rule.Action != Ask {
			r.fail(&errno.key, "", "errno belongs to deny and ask rules; this one says %s", rule.word())
		}
	}
	if value != nil {
		rule.Value = r.value(&value.value)
		if rule.Action != Skip {
			r.fail(&value.key, "", "value belongs to skip rules; this one says %s", rule.Action)
		}
	}
}

// quiet reads whether the rule's denials are kept from the terminal. A death
// always is told, and what is permitted never is.
func (r *reader) quiet(rule *Rule, f *field) {
	rule.Quiet = r.truth(&f.value)
	switch {
	case rule.Action == Deny || rule.Action == Skip:
	case rule.Section == Syscalls:
		r.fail(&f.key, "", "quiet belongs to deny and skip rules; this one says %s", rule.word())
	default:
		r.fail(&f.key, "", "quiet belongs to deny rules; this one says %s", rule.word())
	}
}

// truth reads true or false.
func (r *reader) truth(n *node) bool {
	if n.kind != scalarNode || n.quoted || n.text != "true" && n.text != "false" {
		r.fail(n, "", "expected true or false, found %s", n.describe())
	}
	return n.text == "true"
}

// value reads what a skipped call returns. The kernel's ABI reads -4095 to -1
// as an errno, which is what deny is for.
func (r *reader) value(n *node) int64 {
	v, err := strconv.ParseInt(n.text, 0, 64)
	switch {
	case n.kind != scalarNode || n.quoted || err != nil:
		r.fail(n, "", "expected a whole number, found %s", n.describe())
	case v < 0 && v >= -maxErrno:
		r.fail(n, "write `deny` with `errno: "+ErrnoName(uint16(-v))+"`", "a return value of %d is an errno", v)
	}
	return v
}

// expand gives the calls that a name stands for: itself, or the group's.
func (n Name) expand() []string {
	if isGroup(n.Text) {
		return groupCalls(n.Text)
	}
	return []string{n.Text}
}

// namesAgainstKernel reports calls that this file names one by one although
// its own `kernel:` line says that they do not exist. Groups may hold such
// calls, and so may what the file extends: there they get the default.
func (r *reader) namesAgainstKernel() {
	if r.part.kernel == (abi.Version{}) {
		return
	}
	for _, rule := range r.part.rules {
		for _, name := range rule.Calls {
			s := exemplar(name.Text)
			if s != nil && r.part.kernel.Before(s.Since) {
				r.led.add(Mistake{Pos: name.Pos, Message: "the system call " + strconv.Quote(name.Text) + " is newer than `kernel: " + versionText(r.part.kernel) + "`",
					Hint: "Linux has it since " + versionText(s.Since)})
			}
		}
	}
}

func versionText(v abi.Version) string {
	return strconv.Itoa(int(v.Major)) + "." + strconv.Itoa(int(v.Minor))
}

// exemplar is a call's entry in the first ABI that has it, nil if none does.
func exemplar(name string) *abi.Syscall {
	for _, a := range abi.Arches() {
		if s, ok := a.ByName(name); ok {
			return s
		}
	}
	return nil
}
