package policy

import (
	"net/netip"
	"strconv"
	"strings"
)

// addresses finds IPv6 addresses that were perhaps meant to end in a port: ::1:80 is one address, and
// port 80 of ::1 is [::1]:80.
func (l *linter) addresses() {
	for _, r := range l.policy.sections[Network].rules {
		if !l.own(r) {
			continue
		}
		for i := range r.addresses {
			a := &r.addresses[i]
			if hint := a.portless(); hint != "" {
				l.warn(a.pos, hint, "%s%s", a.text, withoutPort)
			}
		}
	}
}

const withoutPort = " is an address without a port"

// portless is what was perhaps meant instead, "" if nothing else could be.
func (a *address) portless() string {
	i := strings.LastIndexByte(a.text, ':')
	if a.form != isPrefix || i < 0 || strings.ContainsAny(a.text, "[/.") {
		return ""
	}
	host, port := a.text[:i], a.text[i+1:]
	_, err := strconv.ParseUint(port, 10, 16)
	if _, wrong := netip.ParseAddr(host); err != nil || wrong != nil || len(port) < 2 {
		return ""
	}
	return "write [" + host + "]:" + port + " for that port, or [" + a.text + "]"
}
