package learn

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"callgate/policy"
)

// programRules are the rules of exec.
func (l *Log) programRules(at *Place) (rules []rule, left uint64) {
	wants := map[string]*want{}
	for _, o := range l.of(policy.Exec) {
		if !utf8.ValidString(o.Path) || o.Path == "" || o.Path[0] != '/' {
			left++
			continue
		}
		w := &want{seen: o.seen, path: o.Path}
		if at.Tmp != "" && beneath(o.Path, at.Tmp) {
			w.path = at.Tmp
		}
		add(wants, w)
	}
	for _, w := range pick(wants, false) {
		r := w.rule(at)
		r.text = "allow: " + strings.TrimPrefix(r.text, "read: ")
		rules = append(rules, r)
	}
	return rules, left
}

// ports that Linux takes where a program leaves the choice to it
// (net.ipv4.ip_local_port_range).
const portFirst, portLast = 32768, 60999

// networkRules are the rules of network. Of a port that the kernel chose the next run has
// another: then a rule is on all of those, if the base denies none by a rule of its own.
func (l *Log) networkRules(at *Place) (rules []rule, left uint64) {
	all := l.of(policy.Network)
	chosen := !l.denies(policy.Network) && slices.ContainsFunc(all, func(o *object) bool {
		return o.Bind && o.Address.IP.IsValid() && o.Address.Port == 0
	})
	by := map[string]*rule{}
	who := map[string]*seen{}
	alone := &seen{} // those who made a socket, which rules on its addresses permit
	for _, o := range all {
		r := addressRule(at, o, chosen)
		switch {
		case r.text == "" && o.Socket != nil:
			alone.merge(&o.seen)
			continue
		case r.text == "":
			left++
			continue
		}
		if by[r.text] == nil {
			by[r.text], who[r.text] = &r, &seen{}
		}
		who[r.text].merge(&o.seen)
	}
	for text, r := range by {
		r.comment = strings.TrimSuffix(who[text].String()+"; "+r.comment, "; ")
		rules = append(rules, *r)
	}
	slices.SortFunc(rules, func(a, b rule) int { return cmp.Compare(a.text, b.text) })
	if len(rules) == 0 && len(alone.programs) > 0 {
		rules = append(rules, rule{remark: alone.String() + " made a socket and asked for no address: no rule is on a socket alone"})
	}
	return rules, left
}

// addressRule is the rule for one address; without a text there is none.
func addressRule(at *Place, o *object, chosen bool) rule {
	word := "connect: "
	if o.Bind {
		word = "bind: "
	}
	a := o.Address
	switch {
	case o.Socket == nil && a.Path != "" && !a.Abstract:
		if !utf8.ValidString(a.Path) || a.Path[0] != '/' {
			return rule{}
		}
		text := "unix:" + at.spell(a.Path, false, false)
		return rule{text: word + policy.Quote(text), long: len(text) > 4096}
	case o.Socket == nil && chosen && !o.Bind && a.IP.Unmap().IsLoopback() && a.Port >= portFirst:
		host := a.IP.Unmap().WithZone("")
		text := netip.AddrPortFrom(host, 0).String()
		text = strings.TrimSuffix(text, "0") + strconv.Itoa(portFirst) + "-" + strconv.Itoa(portLast)
		return rule{text: word + policy.Quote(text), comment: "ports that the kernel chooses"}
	}
	text, _ := o.Rule()
	return rule{text: text}
}

// denies says whether the base has a rule in a section that does not permit.
func (l *Log) denies(sec policy.Section) bool {
	rules, _ := l.Base.Section(sec)
	return slices.ContainsFunc(rules, func(r *policy.Rule) bool { return !r.Action.Permits() })
}
