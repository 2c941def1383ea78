package supervisor

import (
	"net/netip"
	"strconv"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/decode"

	"golang.org/x/sys/unix"
)

// A call with a socket's address is decided on a copy of that, and made with the
// copy in pinned memory (pin.go). What the kernel refuses for its length alone
// is left to it, the copy pinned all the same.

// purpose is what a call gives an address for.
type purpose uint8

const (
	connects purpose = iota
	sends
	binds
)

// The least that the kernel takes for an address of a family: struct sockaddr_in,
// and struct sockaddr_in6 without its scope (SIN6_LEN_RFC2133).
const (
	inetLeast  = 16
	inet6Least = 24
	familySize = 2
)

// judgeSockets decides the calls of sockets.
func (s *sandbox) judgeSockets(t *task, entry *abi.Syscall, j *judged) {
	if s.holders.Files == compile.Nobody && s.holders.Network == compile.Nobody || j.answer != 0 {
		return
	}
	switch entry.Canonical {
	case "socket":
		s.judgeFamily(entry, j)
	case "connect":
		s.judgeAddressAt(t, entry, 1, connects, j)
	case "bind":
		s.judgeAddressAt(t, entry, 1, binds, j)
	case "sendto":
		s.judgeAddressAt(t, entry, 4, sends, j)
	case "sendmsg":
		s.judgeMessage(t, entry.Params[1].Value(&j.direct.Args), j)
	case "sendmmsg":
		s.judgeMessages(t, entry, j)
	case "listen":
		s.judgeListen(t, j)
	default:
		return
	}
	if s.opt.Permissive || !pinning || j.answer != 0 || !j.verdict.Action.Permits() {
		j.unplan()
	}
}

// unplan is for a call that is not to be changed: it is not made, or whatever it
// is made with.
func (j *judged) unplan() {
	j.pinned, j.part, j.blocks, j.one, j.bound, j.direct = 0, apart, false, oneOf{}, 0, j.asked
	j.letGo()
}

// letGo closes the supervisor's descriptor for a call that is not to be made on it.
func (j *judged) letGo() {
	if j.onFD != 0 {
		unix.Close(j.onFD)
		j.onFD = 0
	}
}

// judgeFamily decides a socket(2).
func (s *sandbox) judgeFamily(entry *abi.Syscall, j *judged) {
	value := func(i int) uint32 { return uint32(entry.Params[i].Value(&j.direct.Args)) }
	v := s.plan.Sections().Socket(value(0), value(1), value(2))
	if j.findings != nil {
		v = j.findings.ofSocket(v, &policy.Socket{Domain: value(0), Type: value(1), Protocol: value(2)})
	}
	j.take(v, entry.Params[0].Consts.Format(uint64(value(0)), 32), "connect")
}

// judgeAddressAt decides by the address that parameter i points to; the next one
// is its length. The kernel reads nothing of one that is empty or too long
// (move_addr_to_kernel in net/socket.c), nor of sendto's NULL.
func (s *sandbox) judgeAddressAt(t *task, entry *abi.Syscall, i int, what purpose, j *judged) {
	at, size := &entry.Params[i], &entry.Params[i+1]
	addr, n := at.Value(&j.direct.Args), size.Value(&j.direct.Args)
	if what == sends && addr == 0 || uint32(n) == 0 || uint32(n) > decode.SockaddrMax {
		return
	}
	raw, ok := s.judgeAddress(t, addr, n, what, j)
	if !ok {
		return
	}
	j.pinData(at.Lo, raw)
	j.direct.Args[size.Lo] = uint64(len(raw))
	if what == binds {
		j.bound = s.bindOf(t, entry, j)
	}
}

// judgeAddress decides on the n bytes of an address at addr, and gives them as
// the kernel is to take them; false where the call is not to be made.
func (s *sandbox) judgeAddress(t *task, addr, n uint64, what purpose, j *judged) ([]byte, bool) {
	a, err := decode.Sockaddr(s.kernel.Memory(t.tid), addr, n)
	if err != nil {
		j.unread(err, "its address is")
		return nil, false
	}
	if a.Family == unix.AF_UNIX {
		return s.judgeUnix(t, &a, what, j)
	}
	to, ok := addressOf(&a, what)
	if !ok {
		return a.Raw, true
	}
	if what != binds {
		loopback(&a, &to)
	}
	s.ask(to, what, addressText(to), j)
	return a.Raw, true
}

// ask asks the rules of network.
func (s *sandbox) ask(to policy.Address, what purpose, text string, j *judged) {
	before := j.verdict.Action
	j.findings.about(to)
	if what == binds {
		j.take(s.plan.Sections().Listen(to), text, "bind")
	} else {
		j.take(s.plan.Sections().Connect(to), text, "connect")
	}
	if j.verdict.Action > before {
		j.to = to
	}
}

// addressOf is an address as rules speak of it; false for one that the kernel
// refuses as too short. AF_UNSPEC dissolves an association where it is given to
// connect(2), and is taken for AF_INET elsewhere (inet_bind and udp_sendmsg in
// net/ipv4).
func addressOf(a *decode.Address, what purpose) (policy.Address, bool) {
	to := policy.Address{Family: a.Family}
	if a.Family == unix.AF_UNSPEC && what != connects {
		to.Family = unix.AF_INET
	}
	switch {
	case to.Family == unix.AF_INET:
		if len(a.Raw) < inetLeast {
			return to, false
		}
		to.IP = netip.AddrFrom4([4]byte(a.Raw[4:8]))
		to.Port = uint16(a.Raw[2])<<8 | uint16(a.Raw[3])
	case to.Family == unix.AF_INET6:
		to.IP, to.Port = a.IP, uint16(a.Port)
		return to, len(a.Raw) >= inet6Least
	}
	return to, len(a.Raw) >= familySize
}

// loopback spells out the wildcard address, which rules take for the loopback
// one: to the kernel it is the address that the socket is bound to, or that of
// the device it is bound to, if there is one (ip_route_output_key_hash_rcu in
// net/ipv4/route.c).
func loopback(a *decode.Address, to *policy.Address) {
	switch to.IP.Unmap() {
	case netip.IPv4Unspecified():
		end := 8 // of sin_addr
		if to.Family == unix.AF_INET6 {
			end = 24 // of sin6_addr, whose last four bytes are the mapped address
		}
		copy(a.Raw[end-4:end], []byte{127, 0, 0, 1})
		to.IP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		a.Raw[23] = 1
		to.IP = netip.IPv6Loopback()
	}
}

// addressText is an address as a rule names it.
func addressText(a policy.Address) string {
	switch {
	case a.Family == unix.AF_UNIX && a.Abstract:
		return "unix:@" + a.Path
	case a.Family == unix.AF_UNIX:
		return "unix:" + a.Path
	case a.IP.IsValid():
		return netip.AddrPortFrom(a.IP.Unmap().WithZone(""), a.Port).String()
	}
	if s, ok := abi.Native().ByName("socket"); ok {
		return s.Params[0].Consts.Format(uint64(a.Family), 32)
	}
	return "AF_" + strconv.Itoa(int(a.Family))
}

// unread is for an argument that could not be read: what the kernel would say,
// or a denial where it could have read what callgate may not.
func (j *judged) unread(err error, what string) {
	switch errno := errnoOf(err); errno {
	case unix.EFAULT, unix.EINVAL:
		j.answer = errno
	default:
		j.deny(unix.EACCES, what+" in memory that cannot be read: "+err.Error())
	}
}
