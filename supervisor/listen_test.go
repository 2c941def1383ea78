package supervisor

import (
	"net/netip"
	"testing"

	"callgate/policy"
	"callgate/supervisor/audit"

	"golang.org/x/sys/unix"
)

// listener is a socket that listens, and was bound to that before, to nothing where it is nil.
func listener(t *testing.T, family int, to unix.Sockaddr) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if to != nil {
		err = unix.Bind(fd, to)
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestKeepsListening: a socket that got another address than was decided on listens there if the
// rules permit it, and where they ask if somebody has said so of this very call.
func TestKeepsListening(t *testing.T) {
	s := newSandbox(networkPlan(t, "  - bind: 127.0.0.1\n  - ask: ['0.0.0.0:0', 'unix:@']\n  - deny: ['*', 'unix:@*']\n"), Command{}, Options{Ask: func(*audit.Event) (int, error) { return 0, nil }})
	about := func(a policy.Address) matter {
		v := s.plan.Sections().Listen(a)
		if v.Action != policy.Ask {
			t.Fatalf("%+v: %s", a, v)
		}
		return matter{policy: v.Policy, rule: v.Rule, section: v.Section, object: addressText(a), need: "bind"}
	}
	any4 := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	anywhere, chosen := about(listening(any4)), about(autobound)
	here := netip.MustParseAddrPort("127.0.0.1:1")
	loopback := func() int { return listener(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) }
	unbound := func() int { return listener(t, unix.AF_INET, nil) }
	named := func() int { return listener(t, unix.AF_UNIX, &unix.SockaddrUnix{}) }
	for _, tt := range []struct {
		name    string
		socket  func() int
		decided netip.AddrPort
		answers []answer
		keeps   bool
	}{
		{"where it was to", loopback, netip.AddrPort{}, nil, true},
		{"elsewhere, where it may", loopback, here, nil, true},
		{"anywhere, by a yes", unbound, any4, []answer{{anywhere, "yes"}}, true},
		{"anywhere, against a no", unbound, any4, []answer{{anywhere, "no"}}, false},
		{"anywhere, not asked about", unbound, any4, nil, false},
		{"anywhere, by a yes to another", unbound, any4, []answer{{chosen, "yes"}}, false},
		{"anywhere, from where it may", unbound, here, nil, false},
		{"anywhere, from where it may, by a yes", unbound, here, []answer{{anywhere, "yes"}}, true},
		{"by a name, by a yes", named, netip.AddrPort{}, []answer{{chosen, "yes"}}, true},
		{"by a name, against a no", named, netip.AddrPort{}, []answer{{chosen, "no"}}, false},
		{"by a name, not asked about", named, netip.AddrPort{}, nil, false},
	} {
		fd := tt.socket()
		if tt.name == "where it was to" {
			tt.decided, _ = localOf(fd)
		}
		j := &judged{onFD: fd, local: tt.decided, answers: respondent{s: s, t: &task{answers: tt.answers}}}
		if got := s.keepsListening(j); got != tt.keeps {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
