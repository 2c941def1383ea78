package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// address is one address, or set of them, of a network rule.
type address struct {
	pos    Position
	text   string // as written
	form   addressForm
	prefix netip.Prefix // isPrefix; never IPv4-mapped
	name   string       // isHost: its name; isAbstract: a glob; isFamily: AF_…
	path   pattern      // isSocket
	family uint16       // isFamily
	ports  ports
}

type addressForm uint8

const (
	isAny      addressForm = iota // any IPv4 or IPv6 address
	isPrefix                      // a network, or one address
	isHost                        // the addresses of a name
	isSocket                      // a unix socket's file
	isAbstract                    // a unix socket's abstract name
	isFamily                      // every address of a family
)

// ports is a range of ports, ends included.
type ports struct{ low, high uint16 }

var anyPort = ports{0, 65535}

func (p ports) has(port uint16) bool { return p.low <= port && port <= p.high }

// ParseAddress reads one address as calls are written with: IP:PORT, unix:PATH or
// unix:@NAME. A path is what is written, not what is canonical.
func ParseAddress(text string) (Address, error) {
	if name, ok := strings.CutPrefix(text, "unix:@"); ok {
		return Address{Family: afUnix, Path: name, Abstract: true}, nil
	}
	if name, ok := strings.CutPrefix(text, "unix:"); ok && name != "" {
		return Address{Family: afUnix, Path: name}, nil
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return Address{}, fmt.Errorf("%s is no address: expected one such as 127.0.0.1:80, [::1]:80 or unix:/run/x", strconv.Quote(text))
	}
	a := Address{Family: afInet, IP: at.Addr(), Port: at.Port()}
	if a.IP.Is6() {
		a.Family = afInet6
	}
	return a, nil
}

// networkItem reads one address of a rule.
func (r *reader) networkItem(rule *Rule, n *node) {
	if n.kind != scalarNode || n.empty() || n.text == "" || !n.quoted && isBool(n.text) {
		r.fail(n, "", "expected an address, found %s", n.describe())
		return
	}
	a := address{pos: r.pos(n), text: n.text, ports: anyPort}
	before := len(r.led.list)
	why, hint := r.address(&a, n)
	if why != "" {
		r.fail(n, hint, "%s: %s", quote(n.text), why)
	}
	if len(r.led.list) == before {
		rule.addresses = append(rule.addresses, a)
	}
}

func (r *reader) address(a *address, n *node) (why, hint string) {
	text := n.text
	if len(text) > maxPattern {
		return "the address has more than 4096 bytes", ""
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return r.unix(a, n, path)
	}
	if strings.HasPrefix(text, "AF_") {
		return a.ofFamily(text)
	}
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		return "an address has no scheme", "leave out " + scheme + "://"
	}
	host, port, why, hint := splitPort(text)
	if why == "" && port != "" {
		a.ports, why, hint = parsePorts(port)
	}
	if why != "" {
		return why, hint
	}
	return a.ofHost(host)
}

func (r *reader) unix(a *address, n *node, path string) (why, hint string) {
	if name, ok := strings.CutPrefix(path, "@"); ok {
		a.form, a.name = isAbstract, name
		return checkGlob(name)
	}
	a.form = isSocket
	if path == "" {
		return "no path follows", "write unix:/PATH or unix:@NAME"
	}
	a.path, _ = r.pattern(n, path)
	return "", ""
}

func (a *address) ofFamily(name string) (why, hint string) {
	p := familyParam()
	v, ok := p.Consts.Value(name)
	if !ok {
		return "unknown address family", DidYouMean(name, p.Consts.Names())
	}
	a.form, a.name, a.family = isFamily, name, uint16(v)
	return "", ""
}

// splitPort takes HOST, HOST:PORT or [HOST]:PORT apart. More than one colon
// without brackets is an IPv6 address.
func splitPort(text string) (host, port, why, hint string) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		host, after, closed := strings.Cut(inner, "]")
		port, colon := strings.CutPrefix(after, ":")
		switch {
		case !closed:
			return "", "", "the [ is not closed", "write [ADDRESS]:PORT"
		case after != "" && (!colon || port == ""):
			return "", "", "expected :PORT after the ]", "write [ADDRESS]:PORT, with a network's length inside the brackets"
		case !strings.Contains(host, ":"):
			return "", "", "only IPv6 addresses stand in brackets", "leave the brackets out"
		}
		return host, port, "", ""
	}
	if strings.Count(text, ":") != 1 {
		return text, "", "", ""
	}
	host, port, _ = strings.Cut(text, ":")
	if port == "" {
		return "", "", "no port follows the colon", "write :* or leave the colon out for any port"
	}
	if host == "" {
		return "", "", "no host stands before the colon", "write *:" + port + " for any host"
	}
	return host, port, "", ""
}

// parsePorts reads 80, 8000-8999 or *.
func parsePorts(text string) (p ports, why, hint string) {
	if text == "*" {
		return anyPort, "", ""
	}
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	for _, end := range []string{first, last} {
		if strings.Trim(end, "0123456789") != "" || end == "" {
			return p, quote(text) + " is no port", "write a number, a range such as 8000-8999, or *"
		}
		if _, err := strconv.ParseUint(end, 10, 16); err != nil {
			return p, "the port " + end + " is out of range", "ports go up to 65535"
		}
	}
	low, _ := strconv.ParseUint(first, 10, 16)
	high, _ := strconv.ParseUint(last, 10, 16)
	if high < low {
		return p, "the range of ports " + text + " is empty", "write the lesser end first"
	}
	return ports{uint16(low), uint16(high)}, "", ""
}

// ofHost reads what stands before the port.
func (a *address) ofHost(host string) (why, hint string) {
	switch {
	case host == "*":
		a.form = isAny
		return "", ""
	case strings.Contains(host, "/"):
		return a.ofNetwork(host)
	case strings.Contains(host, ":") || looksLikeIPv4(host):
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.Zone() != "" {
			return notIP(host, ip)
		}
		ip = ip.Unmap()
		a.form, a.prefix = isPrefix, netip.PrefixFrom(ip, ip.BitLen())
		return "", ""
	case !isHostName(host):
		return "neither an address nor a host's name", "write 10.0.0.0/8:443, [::1]:5432, db.example:5432, *:443, unix:/PATH, unix:@NAME or AF_NETLINK"
	}
	a.form, a.name = isHost, host
	return "", ""
}

func notIP(host string, ip netip.Addr) (why, hint string) {
	if ip.Zone() != "" {
		return "an address with a zone", "leave out %" + ip.Zone() + ": a rule holds on all interfaces"
	}
	if strings.Contains(host, ":") {
		return "no IPv6 address", "an IPv6 address with a port stands in brackets: [::1]:5432"
	}
	return "no IPv4 address", "it has four numbers from 0 to 255"
}

// ofNetwork reads ADDRESS/LENGTH. Bits after the length are more likely a slip
// than meant.
func (a *address) ofNetwork(host string) (why, hint string) {
	prefix, err := netip.ParsePrefix(host)
	if err != nil {
		if strings.HasPrefix(host, "/") || strings.HasPrefix(host, ".") || strings.HasPrefix(host, "~") {
			return "a path is no address", "write unix:" + host + " for a unix socket"
		}
		return "no network", "write 10.0.0.0/8 or fe80::/10"
	}
	if prefix != prefix.Masked() {
		return "bits are set after the first " + strconv.Itoa(prefix.Bits()), "the network is " + prefix.Masked().String()
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	a.form, a.prefix = isPrefix, prefix
	return "", ""
}

func looksLikeIPv4(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// isHostName follows RFC 1123, and takes the underscore that names of
// services have.
func isHostName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; c != '-' && !isWord("_"+string(c)) {
				return false
			}
		}
	}
	return true
}

// String is the address as a policy has it.
func (a *address) String() string {
	switch a.form {
	case isSocket:
		return "unix:" + a.path.String()
	case isAbstract:
		return "unix:@" + a.name
	case isFamily:
		return a.name
	}
	host := a.name
	switch {
	case a.form == isAny:
		host = "*"
	case a.form == isPrefix && a.prefix.IsSingleIP():
		host = a.prefix.Addr().String()
	case a.form == isPrefix:
		host = a.prefix.String()
	}
	if a.ports == anyPort {
		return host
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + a.ports.String()
}

// String is the range as a policy has it.
func (p ports) String() string {
	low := strconv.Itoa(int(p.low))
	switch {
	case p == anyPort:
		return "*"
	case p.low == p.high:
		return low
	}
	return low + "-" + strconv.Itoa(int(p.high))
}
