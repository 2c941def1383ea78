package policy

import "slices"

// sections are a policy's rules on files, exec and network.
type sections [Network + 1]section

// section is one of them. Without rules its default decides everything.
type section struct {
	has   bool
	rules []*Rule
}

// Section gives a section's rules in the order of trial; false if the policy
// does not have the section, so that it restricts nothing there.
func (p *Policy) Section(sec Section) ([]*Rule, bool) {
	if sec == Syscalls {
		return p.Rules, !p.Open
	}
	return p.sections[sec].rules, p.sections[sec].has
}

func (s *sections) any() bool { return s[Files].has || s[Exec].has || s[Network].has }

// The keys of one rule, of which it has exactly one of the section's verbs.
var (
	fileRuleKeys    = []string{"read", "write", "ask", "deny", "log", "kill", "errno", "reason", "quiet"}
	execRuleKeys    = []string{"allow", "ask", "deny", "log", "kill", "errno", "reason", "quiet"}
	networkRuleKeys = []string{"connect", "bind", "ask", "deny", "log", "kill", "errno", "reason", "quiet"}
)

func (s Section) ruleKeys() []string {
	switch s {
	case Files:
		return fileRuleKeys
	case Exec:
		return execRuleKeys
	}
	return networkRuleKeys
}

// verbWords are the keys of which a rule has one, in the order of ruleKeys.
func (s Section) verbWords() []string {
	keys := s.ruleKeys()
	return keys[:slices.Index(keys, "errno")]
}

// section reads the rules of files, exec or network.
func (r *reader) section(sec Section, n *node) {
	s := &r.part.sections[sec]
	s.has = true
	if n.kind != listNode {
		r.fail(n, "write `"+sec.String()+": []` for a section without rules", "expected a list of rules, found %s", n.describe())
		return
	}
	for i := range n.items {
		if r.led.full() {
			return
		}
		if rule := r.sectionRule(sec, &n.items[i]); rule != nil {
			s.rules = append(s.rules, rule)
		}
	}
}

var ruleExamples = [...]string{Files: "`- read: /usr`", Exec: "`- allow: /usr/bin`", Network: "`- connect: 127.0.0.1:8080`"}

// sectionRule reads one rule; nil if it is so wrong that nothing can be made
// of it.
func (r *reader) sectionRule(sec Section, n *node) *Rule {
	if n.kind != mapNode {
		r.fail(n, "write for example "+ruleExamples[sec], "expected a rule, found %s", n.describe())
		return nil
	}
	rule := &Rule{Pos: r.pos(n), Section: sec}
	before := len(r.led.list)
	var errno, quiet *field
	r.fields(n, "rule key", sec.ruleKeys(), func(key string, f *field) {
		switch key {
		case "errno":
			errno = f
		case "reason":
			rule.Reason = r.text(&f.value)
		case "quiet":
			quiet = f
		default:
			r.verb(rule, key, f)
		}
	})
	if rule.Action == 0 {
		if len(r.led.list) == before { // else a key is probably a verb misspelt
			r.fail(n, "", "the rule does nothing; expected %s", oneOf(sec.verbWords()))
		}
		return nil
	}
	r.answer(rule, errno, nil)
	if quiet != nil {
		r.quiet(rule, quiet)
	}
	return rule
}

// verb reads "read: PATHS" or "connect: ADDRESSES".
func (r *reader) verb(rule *Rule, key string, f *field) {
	if rule.Action != 0 {
		r.fail(&f.key, "write two rules", "the rule has both %s and %s", rule.word(), key)
		return
	}
	rule.verb, _ = rule.Section.verb(key)
	rule.Action, rule.Pos = rule.verb.action, r.pos(&f.key)
	of := "a path"
	if rule.Section == Network {
		of = "an address"
	}
	if v := &f.value; rule.Section != Network && v.kind == scalarNode && v.text == "~" {
		r.pathItem(rule, v)
		return
	}
	items := r.list(&f.value, of)
	if rule.Section != Network {
		rule.patterns = make([]pattern, 0, len(items))
	}
	for i := range items {
		switch {
		case r.led.full():
			return
		case rule.Section == Network:
			r.networkItem(rule, &items[i])
		default:
			r.pathItem(rule, &items[i])
		}
	}
}

func (r *reader) pathItem(rule *Rule, n *node) {
	if !n.isText() {
		hint := ""
		if n.kind == scalarNode && n.text != "" {
			hint = "write " + quote(n.text)
		}
		r.fail(n, hint, "expected a path, found %s", n.describe())
		return
	}
	if p, ok := r.pattern(n, n.text); ok {
		rule.patterns = append(rule.patterns, p)
	}
}
