package policy

import (
	"net/netip"
	"slices"

	"callgate/policy/abi"
)

// Address families and socket types as Linux numbers them on all
// architectures (linux/socket.h, linux/net.h).
const (
	afUnspec = 0
	afUnix   = 1
	afInet   = 2
	afInet6  = 10
	afPacket = 17
	afRXRPC  = 33
	afXDP    = 44

	sockStream   = 1
	sockDgram    = 2
	sockTypeMask = 0xf
)

// networkRules is one policy's section network.
type networkRules struct {
	policy *Policy
	rules  []*Rule
	nets   netTable       // addresses and networks
	unix   *pathTree      // unix sockets' files
	others []boundAddress // the rest, in the order of trial
	// unsure is the first rule of a class that an address which the call leaves
	// out could fall under, and that does not permit.
	unsure [classes]order
}

// boundAddress is an address and its rule.
type boundAddress struct {
	*address
	rule order
}

// netTable finds rules by IP addresses. What it costs grows with how many
// lengths the networks have, not with how many networks there are.
type netTable struct {
	nets    map[netip.Prefix][]boundAddress // each in the order of trial
	lengths [2][]int                        // of IPv4, IPv6
}

func (t *netTable) add(net netip.Prefix, a boundAddress) {
	if t.nets == nil {
		t.nets = map[netip.Prefix][]boundAddress{}
	}
	t.nets[net] = append(t.nets[net], a)
	if l := &t.lengths[version(net.Addr())]; !slices.Contains(*l, net.Bits()) {
		*l = append(*l, net.Bits())
	}
}

func version(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

// find gives the first rule before a limit that speaks of an address and port.
func (t *netTable) find(rules []*Rule, a *Address, c class, limit order) order {
	for _, bits := range t.lengths[version(a.IP)] {
		net, _ := a.IP.Prefix(bits) // the length is one that the version has
		for _, b := range t.nets[net] {
			if b.rule >= limit {
				break
			}
			if rules[b.rule].verb.speaks[c] && b.ports.has(a.Port) {
				limit = b.rule
				break
			}
		}
	}
	return limit
}

func (b *binder) network(p *Policy) *networkRules {
	rules, _ := p.Section(Network)
	w := &networkRules{policy: p, rules: rules, unix: newPathTree(), unsure: [classes]order{noRule, noRule}}
	for i, rule := range rules {
		for j := range rule.addresses {
			b.address(w, rule, &rule.addresses[j], order(i))
		}
	}
	return w
}

func (b *binder) address(w *networkRules, rule *Rule, a *address, i order) {
	switch a.form {
	case isSocket:
		b.enter(w.unix, rule, &a.path, i)
		return
	case isPrefix:
		w.nets.add(a.prefix, boundAddress{a, i})
	case isHost:
		ips := b.lookup(a.name)
		if len(ips) == 0 {
			b.fail(rule, a.pos, "write addresses", "the host "+quote(a.name)+" has no address here")
		}
		for _, ip := range ips {
			ip = ip.Unmap().WithZone("")
			w.nets.add(netip.PrefixFrom(ip, ip.BitLen()), boundAddress{a, i})
		}
	default:
		w.others = append(w.others, boundAddress{a, i})
	}
	if !rule.Action.Restricts() || a.form == isFamily || a.form == isAbstract {
		return
	}
	for c := range w.unsure {
		if rule.verb.speaks[c] {
			w.unsure[c] = min(w.unsure[c], i)
		}
	}
}

func (b *binder) lookup(host string) []netip.Addr {
	if b.at.Lookup == nil {
		return nil
	}
	ips, err := b.at.Lookup(host)
	if err != nil {
		return nil
	}
	return ips
}

// Connect is the verdict of network on connecting or sending to an address. An
// address of AF_UNSPEC, by which connect(2) dissolves an association, is
// permitted: where it is an address to send to, AF_INET is what the kernel
// takes it for. The wildcard address reaches the loopback one, and is judged
// as that.
func (b *Sections) Connect(a Address) Verdict {
	if a.Family == afUnspec {
		return permitted(Network)
	}
	return b.judge(a.reached(), classConnect)
}

// reached is the address that one to talk to leads to, as rules spell it.
func (a Address) reached() Address {
	a = a.plain()
	switch a.IP {
	case netip.IPv4Unspecified():
		a.IP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		a.IP = netip.IPv6Loopback()
	}
	return a
}

// Listen is the verdict of network on binding to an address, or listening on
// it. The wildcard address is judged as itself.
func (b *Sections) Listen(a Address) Verdict {
	return b.judge(a.taken(), classBind)
}

// taken is an address to bind to, as rules spell it.
func (a Address) taken() Address {
	if a.Family == afUnspec {
		a.Family = afInet
	}
	return a.plain()
}

// plain spells an address as rules do: an IPv4-mapped one is its IPv4 address,
// and a unix socket without a name has the empty abstract one.
func (a Address) plain() Address {
	a.IP = a.IP.WithZone("")
	if a.IP.Is4In6() {
		a.Family, a.IP = afInet, a.IP.Unmap()
	}
	if a.Family == afUnix && a.Path == "" {
		a.Abstract = true
	}
	return a
}

func (b *Sections) judge(a Address, c class) Verdict {
	worst := permitted(Network)
	for i, w := range b.network {
		v := w.policy.sectionVerdict(Network, w.rules, w.find(&a, c))
		if i == 0 || v.Action > worst.Action {
			worst = v
		}
	}
	return worst
}

// find gives the first rule of a class that speaks of an address, noRule if
// none does. What a call leaves out could be what a rule denies, never what it
// permits.
func (w *networkRules) find(a *Address, c class) order {
	first := noRule
	for i := range w.others {
		b := &w.others[i]
		if w.rules[b.rule].verb.speaks[c] && b.matches(a) {
			first = b.rule
			break
		}
	}
	switch {
	case a.Family == afUnix && !a.Abstract && a.Path[0] == '/':
		first = min(first, w.unix.find(a.Path, c))
	case a.inet() && a.IP.IsValid():
		first = w.nets.find(w.rules, a, c, first)
	case a.inet():
		first = min(first, w.unsure[c])
	}
	return first
}

func (a *Address) inet() bool { return a.Family == afInet || a.Family == afInet6 }

// matches is for addresses that no table has.
func (b *boundAddress) matches(a *Address) bool {
	switch b.form {
	case isFamily:
		return b.family == a.Family
	case isAbstract:
		return a.Family == afUnix && a.Abstract && globMatch(b.name, a.Path)
	case isAny:
		return a.inet() && b.ports.has(a.Port) && (a.IP.IsValid() || b.ports == anyPort)
	}
	return false
}

// Socket is the verdict of network on making a socket, as socket(2) is called.
// A socket of a family in which no rule could permit anything gets the
// default, or what a rule says of the whole family. Raw sockets and those of
// protocols whose addresses stand elsewhere than rules look are denied, unless
// nothing is restricted; so are those of families that carry packets to internet
// addresses, unless a rule names the family.
func (b *Sections) Socket(domain, kind, protocol uint32) Verdict {
	worst := permitted(Network)
	for i, w := range b.network {
		if v := w.socket(domain, kind, protocol); i == 0 || v.Action > worst.Action {
			worst = v
		}
	}
	return worst
}

func (w *networkRules) socket(domain, kind, protocol uint32) Verdict {
	v := w.family(domain)
	if !v.Action.Permits() || w.free() {
		return v
	}
	switch domain {
	case afInet, afInet6:
		if addressed(kind, protocol) {
			return v
		}
	case afPacket, afRXRPC, afXDP:
		if v.Rule != nil {
			return v
		}
	default:
		return v
	}
	v = w.policy.sectionVerdict(Network, w.rules, noRule)
	if v.Action.Permits() {
		v.Action, v.Errno = Deny, errnoEACCES
	}
	return v
}

// addressed says whether an internet socket is of a type and protocol whose
// addresses all stand where rules look: TCP, UDP, ICMP echo, UDP-Lite, MPTCP.
func addressed(kind, protocol uint32) bool {
	if kind &= sockTypeMask; kind != sockStream && kind != sockDgram {
		return false
	}
	switch protocol {
	case 0, 1, 6, 17, 58, 136, 262:
		return true
	}
	return false
}

// free says whether the section restricts nothing.
func (w *networkRules) free() bool {
	return !w.policy.Default.Restricts() && !slices.ContainsFunc(w.rules, func(r *Rule) bool { return r.Action.Restricts() })
}

// family is the verdict on sockets of a family: of the first rule that could
// permit something in it, or that speaks of all of it.
func (w *networkRules) family(domain uint32) Verdict {
	for i, r := range w.rules {
		for j := range r.addresses {
			a := &r.addresses[j]
			whole := a.covers(domain)
			if whole && r.verb.speaks == [classes]bool{true, true} {
				return unasked(domain, w.policy.sectionVerdict(Network, w.rules, order(i)))
			}
			if r.Action.Permits() && (whole || a.within(domain)) {
				return Verdict{Action: Allow, Policy: w.policy, Rule: r, Section: Network}
			}
		}
	}
	return unasked(domain, w.policy.sectionVerdict(Network, w.rules, noRule))
}

// unasked lets a socket be made of which somebody would be asked: that is about its
// addresses, where it has some that rules see.
func unasked(domain uint32, v Verdict) Verdict {
	if v.Action == Ask && (domain == afInet || domain == afInet6 || domain == afUnix) {
		v.Action, v.Errno = Allow, 0
	}
	return v
}

// covers says whether the address stands for all of a family.
func (a *address) covers(domain uint32) bool {
	switch a.form {
	case isFamily:
		return uint32(a.family) == domain
	case isAny:
		return a.ports == anyPort && (domain == afInet || domain == afInet6)
	}
	return false
}

// within says whether the address stands for some of a family. IPv4 addresses
// are spoken to by sockets of AF_INET6 too.
func (a *address) within(domain uint32) bool {
	switch a.form {
	case isFamily:
		return uint32(a.family) == domain || a.family == afInet && domain == afInet6
	case isSocket, isAbstract:
		return domain == afUnix
	case isPrefix:
		return domain == afInet6 || domain == afInet && a.prefix.Addr().Is4()
	}
	return domain == afInet || domain == afInet6
}

// familyParam is the parameter whose constants are the address families.
func familyParam() *abi.Param { return &exemplar("socket").Params[0] }
