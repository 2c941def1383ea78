package policy

import "slices"

// TCPPorts gives the ports that TCP may be connected to or, for binding, bound
// to, by whatever address; all says that they are too many to list. It may give
// more than the section permits, never less.
func (b *Sections) TCPPorts(binding bool) (list []uint16, all bool) {
	c := classConnect
	if binding {
		c = classBind
	}
	first := true
	for _, w := range b.network {
		ports, any := w.tcpPorts(c)
		switch {
		case any:
			continue
		case first:
			list, first = ports, false
		default:
			list = slices.DeleteFunc(list, func(p uint16) bool { return !slices.Contains(ports, p) })
		}
	}
	return list, first
}

// portsMost is how many ports are listed one by one.
const portsMost = 256

func (w *networkRules) tcpPorts(c class) (list []uint16, all bool) {
	if w.policy.Default.Permits() {
		return nil, true
	}
	for _, r := range w.rules {
		if !r.Action.Permits() || !r.verb.speaks[c] {
			continue
		}
		for i := range r.addresses {
			if list, all = r.addresses[i].tcpPorts(list); all {
				return nil, true
			}
		}
	}
	return list, false
}

// tcpPorts adds the ports of one address to a list; all says that they are too
// many.
func (a *address) tcpPorts(list []uint16) (longer []uint16, all bool) {
	switch a.form {
	case isSocket, isAbstract:
		return list, false
	case isFamily:
		return list, a.family == afInet || a.family == afInet6
	}
	if int(a.ports.high)-int(a.ports.low)+len(list) >= portsMost {
		return nil, true
	}
	for p := int(a.ports.low); p <= int(a.ports.high); p++ {
		list = append(list, uint16(p))
	}
	return list, false
}

// Abstract says whether some abstract unix socket may be connected to.
func (b *Sections) Abstract() bool {
	for _, w := range b.network {
		some := w.policy.Default.Permits() || slices.ContainsFunc(w.others, func(a boundAddress) bool {
			return w.rules[a.rule].Action.Permits() && (a.form == isAbstract || a.form == isFamily && a.family == afUnix)
		})
		if !some {
			return false
		}
	}
	return true
}
