package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// addressOf reads what the tests write for an address: IP:PORT, @abstract, a
// socket's path, or a family's number.
func addressOf(t testing.TB, text string) Address {
	t.Helper()
	if name, ok := strings.CutPrefix(text, "@"); ok {
		return Address{Family: afUnix, Path: name, Abstract: true}
	}
	if strings.HasPrefix(text, "/") || text == "" {
		return Address{Family: afUnix, Path: text}
	}
	if family, err := strconv.Atoi(text); err == nil {
		return Address{Family: uint16(family)}
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatal(err)
	}
	a := Address{Family: afInet6, IP: ap.Addr(), Port: ap.Port()}
	if ap.Addr().Is4() {
		a.Family = afInet
	}
	return a
}

func TestNetwork(t *testing.T) {
	const usual = `network: [{deny: 169.254.169.254}, {connect: ["127.0.0.1:*", "10.0.0.0/8:443", "[::1]:5432", "unix:/run/pg/*", "unix:@bus*", "fe80::/10"]}, {bind: ["127.0.0.1:8000-8999", "unix:@"]}]`
	const deny, denied, connect, bound = "deny EACCES (default)", "deny EACCES (2:12)", "allow (2:37)", "allow (2:142)"
	for _, tt := range []struct{ policy, call, address, want string }{
		{usual, "connect", "127.0.0.1:80", connect},
		{usual, "connect", "0.0.0.0:80", connect},
		{usual, "connect", "[::ffff:127.0.0.1]:80", connect},
		{usual, "connect", "[::ffff:0.0.0.0]:80", connect},
		{usual, "connect", "10.1.2.3:443", connect},
		{usual, "connect", "10.1.2.3:80", deny},
		{usual, "connect", "11.1.2.3:443", deny},
		{usual, "connect", "169.254.169.254:80", denied},
		{usual, "connect", "[::ffff:169.254.169.254]:80", denied},
		{usual, "bind", "169.254.169.254:80", denied},
		{usual, "connect", "[::1]:5432", connect},
		{usual, "connect", "[::]:5432", connect},
		{usual, "connect", "[::1]:5433", deny},
		{usual, "connect", "[fe80::1%eth0]:1", connect},
		{usual, "connect", "/run/pg/s.5432", connect},
		{usual, "connect", "/run/pg", deny},
		{usual, "bind", "/run/pg/s.5432", deny},
		{usual, "connect", "@bus/x", connect},
		{usual, "connect", "@nobus", deny},
		{usual, "connect", "16", deny},
		{usual, "connect", "0", "allow (default)"},
		{usual, "bind", "127.0.0.1:8000", bound},
		{usual, "bind", "127.0.0.1:9000", deny},
		{usual, "bind", "0.0.0.0:8000", deny},
		{usual, "bind", "", bound},
		{usual, "bind", "@x", deny},
		{"network: [{connect: '*:443'}]", "connect", "1.2.3.4:443", "allow (2:12)"},
		{"network: [{connect: '*:443'}]", "connect", "[2001:db8::1]:443", "allow (2:12)"},
		{"network: [{connect: '*:443'}]", "connect", "/x", deny},
		{"network: [{connect: '*:443'}]", "bind", "1.2.3.4:443", deny},
		{"network: [{connect: 'db.example:5432'}]", "connect", "10.0.0.7:5432", "allow (2:12)"},
		{"network: [{connect: 'localhost'}]", "connect", "[::1]:1", "allow (2:12)"},
		{"network: [{connect: 'nowhere.example'}]", "connect", "10.0.0.7:5432", deny},
		{"network: [{connect: AF_NETLINK}]", "connect", "16", "allow (2:12)"},
		{"network: [{log: AF_NETLINK}]", "bind", "16", "log (2:12)"},
		{"network: [{kill: AF_UNIX}, {connect: 'unix:/x'}]", "connect", "/x", "kill (2:12)"},
		{"network: [{connect: 'unix:/x'}, {kill: AF_UNIX}]", "connect", "/x", "allow (2:12)"},
		{"network: [{bind: 'unix:./s'}]", "bind", "/etc/p/s", "allow (2:12)"},
		{"network: [{deny: '::ffff:10.0.0.0/104'}]\ndefault: allow", "connect", "10.1.1.1:1", "deny EACCES (2:12)"},
		{"network: [{deny: '10.0.0.0/8'}]\ndefault: allow", "connect", "11.1.1.1:1", "allow (default)"},
		// An address that the call leaves out could be what is denied.
		{"network: [{deny: 10.0.0.1}]\ndefault: allow", "connect", "2", "deny EACCES (2:12)"},
		{"network: [{connect: 10.0.0.1}]", "connect", "2", deny},
	} {
		s, a := bind(t, tt.policy), addressOf(t, tt.address)
		v := s.Listen(a)
		if tt.call == "connect" {
			v = s.Connect(a)
		}
		if got := short(v); got != tt.want || v.Section != Network {
			t.Errorf("%s\n%s %s: got %s, want %s", tt.policy, tt.call, tt.address, got, tt.want)
		}
	}
}

func TestSocket(t *testing.T) {
	const deny = "deny EACCES (default)"
	for _, tt := range []struct {
		policy                 string
		domain, kind, protocol uint32
		want                   string
	}{
		{"", 17, 3, 0, "allow (default)"},
		{"network: []", 2, 1, 0, deny},
		{"default: allow\nnetwork: []", 2, 3, 1, "allow (default)"},
		{"default: kill\nnetwork: []", 2, 1, 0, "kill (default)"},
		{"network: [{connect: 127.0.0.1}]", 2, 1, 6, "allow (2:12)"},
		{"network: [{connect: 127.0.0.1}]", 10, 2 | 0o4000, 17, "allow (2:12)"},
		{"network: [{connect: '::1'}]", 2, 1, 0, deny},
		{"network: [{connect: '::1'}]", 1, 1, 0, deny},
		{"network: [{connect: localhost}]", 2, 1, 262, "allow (2:12)"},
		{"network: [{connect: '*'}]", 2, 3, 0, deny},
		{"network: [{connect: '*'}]", 2, 1, 132, deny},
		{"network: [{connect: '*'}]", 16, 3, 0, deny},
		{"default: allow\nnetwork: [{deny: 10.0.0.1}]", 2, 3, 0, "deny EACCES (default)"},
		{"default: allow\nnetwork: [{deny: 10.0.0.1}]", 2, 1, 0, "allow (default)"},
		{"default: allow\nnetwork: [{deny: 10.0.0.1}]", 17, 2, 0, "deny EACCES (default)"},
		{"default: allow\nnetwork: [{deny: 10.0.0.1}]", 44, 3, 0, "deny EACCES (default)"},
		{"default: allow\nnetwork: [{deny: 10.0.0.1}]", 16, 3, 0, "allow (default)"},
		{"default: allow\nnetwork: [{deny: 10.0.0.1}, {connect: AF_PACKET}]", 17, 2, 0, "allow (3:30)"},
		{"default: allow\nnetwork: []", 17, 2, 0, "allow (default)"},
		{"default: allow\nnetwork: [{deny: AF_NETLINK}]", 16, 3, 0, "deny EACCES (3:12)"},
		{"default: allow\nnetwork: [{kill: '*'}]", 10, 1, 0, "kill (3:12)"},
		{"default: allow\nnetwork: [{kill: '*:80'}]", 10, 1, 0, "allow (default)"},
		{"network: [{log: AF_NETLINK}]", 16, 3, 0, "log (2:12)"},
		{"network: [{bind: AF_NETLINK}]", 16, 3, 0, "allow (2:12)"},
		{"network: [{bind: 'unix:/x'}]", 1, 1, 0, "allow (2:12)"},
		{"network: [{connect: AF_INET}]", 10, 1, 0, "allow (2:12)"},
	} {
		if got := short(bind(t, tt.policy).Socket(tt.domain, tt.kind, tt.protocol)); got != tt.want {
			t.Errorf("%s\nsocket(%d, %d, %d): got %s, want %s", tt.policy, tt.domain, tt.kind, tt.protocol, got, tt.want)
		}
	}
}

func TestPrivateTmp(t *testing.T) {
	loader := files(map[string]string{
		"yes.yaml":  "callgate: 1\nextends: no.yaml\nenvironment: {private-tmp: true}\n",
		"no.yaml":   "callgate: 1\nenvironment: {private-tmp: false}\n",
		"off.yaml":  "callgate: 1\nextends: yes.yaml\nenvironment: {private-tmp: false}\n",
		"kept.yaml": "callgate: 1\nextends: yes.yaml\n",
	})
	for name, want := range map[string]bool{"yes.yaml": true, "no.yaml": false, "off.yaml": false, "kept.yaml": true} {
		p, err := loader.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		again := parse(t, strings.TrimPrefix(p.String(), "callgate: 1\n"))
		if got := (Set{p}).PrivateTmp(); got != want || (Set{parse(t, ""), again}).PrivateTmp() != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestNetworkIsFirstMatch compares with trying address by address, on rules
// that meet.
func TestNetworkIsFirstMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		var text strings.Builder
		text.WriteString("network:\n  - connect: AF_VSOCK\n")
		var rules []string
		for range r.IntN(10) {
			at := pick(r, "10.0.0.0/8", "10.0.0.0/31", "10.0.0.1", "0.0.0.0/0", "::/0", "::1", "::/64", "*")
			port := pick(r, "", ":1", ":1-2", ":2")
			if port != "" && strings.Contains(at, ":") {
				at = "[" + at + "]"
			}
			rule := pick(r, "connect", "bind", "ask", "deny", "log", "kill") + ": '" + at + port + "'"
			rules = append(rules, rule)
			text.WriteString("  - " + rule + "\n")
		}
		s := bind(t, text.String())
		for range 20 {
			a := addressOf(t, pick(r, "10.0.0.0", "10.0.0.1", "10.0.0.2", "11.0.0.1", "[::1]", "[::2]", "[2001:db8::1]")+":"+pick(r, "1", "2", "3"))
			want := Deny
			for _, rule := range rules {
				one := bind(t, "default: kill\nnetwork: [{connect: AF_VSOCK}, {"+rule+"}]")
				if v := one.Connect(a); v.Cause == ByRule {
					want = v.Action
					break
				}
			}
			if got := s.Connect(a).Action; got != want {
				t.Fatalf("%v: got %v, want %v\n%s", a, got, want, text.String())
			}
		}
	}
}

func BenchmarkConnect(b *testing.B) {
	for _, n := range []int{10, 10000} {
		var text strings.Builder
		text.WriteString("network:\n")
		for i := range n {
			fmt.Fprintf(&text, "  - connect: ['10.%d.%d.1:443', '10.%d.0.0/16:80']\n", i/100%250, i%100, i%250)
		}
		s, a := bind(b, text.String()), addressOf(b, "10.1.2.3:80")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Connect(a)
			}
		})
	}
}
