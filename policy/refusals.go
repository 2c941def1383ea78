package policy

import "callgate/policy/abi"

// Refusals are the verdicts of those policies of the set that do not permit a call.
func (s Set) Refusals(c abi.Call) (list []Verdict) {
	for _, p := range s {
		list = refused(list, p.Decide(c))
	}
	return list
}

// Refusals are the verdicts of those policies that do not permit what is asked of a
// section.
func (b *Sections) Refusals(o *Object) (list []Verdict) {
	for _, w := range b.pathSection(o.Section) {
		list = refused(list, w.on(o))
	}
	if o.Section == Network {
		for _, w := range b.network {
			list = refused(list, w.on(o))
		}
	}
	return list
}

func refused(list []Verdict, v Verdict) []Verdict {
	if v.Action.Permits() {
		return list
	}
	return append(list, v)
}

func (w *pathRules) on(o *Object) Verdict {
	switch {
	case o.Section == Exec:
		return w.verdict(w.find(o.Path, classRead), Read)
	case o.Access == Write:
		return w.verdict(w.find(o.Path, classWrite), Write)
	}
	return w.verdict(w.find(o.Path, classRead), o.Access)
}

func (w *networkRules) on(o *Object) Verdict {
	if s := o.Socket; s != nil {
		return w.socket(s.Domain, s.Type, s.Protocol)
	}
	a, c := o.Address.reached(), classConnect
	if o.Bind {
		a, c = o.Address.taken(), classBind
	}
	return w.policy.sectionVerdict(Network, w.rules, w.find(&a, c))
}
