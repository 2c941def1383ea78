package policy

import (
	"slices"
	"strings"
)

// CheckCeiling finds the rules that are held nowhere, and keep every command from being started,
// since they restrict what begins with a variable that the ceiling does not set. Commands have
// the policies beside as well, of which one may give them a private TMPDIR. The error is Mistakes.
//
// Precondition: the policies of the ceiling are marked as Ceiling.
func CheckCeiling(s, beside Set) error {
	b := &binder{at: Place{Home: "/", Dir: "/"}, mistakes: &ledger{}, set: slices.Concat(beside, s)}
	if b.set.PrivateTmp() {
		b.at.Env = []string{"TMPDIR=/"}
	}
	for _, b.policy = range s {
		for sec := Files; sec <= Network; sec++ {
			for _, rule := range b.policy.sections[sec].rules {
				b.checkCeiling(rule)
			}
		}
	}
	return b.mistakes.err()
}

func (b *binder) checkCeiling(rule *Rule) {
	check := func(p *pattern) {
		if _, why := b.names(p); why != "" {
			b.fail(rule, p.pos, ceilingHint(p, why), "in a ceiling "+why)
		}
	}
	for i := range rule.patterns {
		check(&rule.patterns[i])
	}
	for i := range rule.addresses {
		if a := &rule.addresses[i]; a.form == isSocket {
			check(&a.path)
		}
	}
}

// ceilingHint is for what is said of one of a pattern's variables.
func ceilingHint(p *pattern, why string) string {
	for i := range p.names {
		name := p.names[i].variable
		switch {
		case name == "" || !strings.HasPrefix(why, "$"+name+" "):
		case name == "TMPDIR":
			return "have the policy say `environment: { private-tmp: true }`"
		default:
			return "jobs' own variables have no say there: write the path, or have the policy say `environment: { set: { " + name + ": /PATH } }`"
		}
	}
	return ""
}
