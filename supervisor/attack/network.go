package attack

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

var overNetwork = []Attack{
	{Name: "tcp", What: "connecting to a TCP port of loopback, by each spelling of its address", attempt: tcp,
		permitted: wantsAddress(unix.AF_INET, unix.SOCK_STREAM, tcpAddress)},
	{Name: "udp", What: "sending to a UDP port of loopback, by each call, and with AF_UNSPEC", attempt: udp,
		permitted: wantsAddress(unix.AF_INET, unix.SOCK_DGRAM, udpAddress)},
	{Name: "abstract", What: "connecting to an abstract unix socket", attempt: abstract,
		permitted: wantsAddress(unix.AF_UNIX, unix.SOCK_STREAM, abstractAddress)},
	{Name: "race-address", What: "a thread flips an address between AF_UNSPEC and the decoy's", attempt: raceAddress,
		permitted: wantsAddress(unix.AF_INET, unix.SOCK_DGRAM, udpAddress)},
}

// inet4 is a struct sockaddr_in.
func inet4(family uint16, ip [4]byte, port uint16) []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint16(b, family)
	binary.BigEndian.PutUint16(b[2:], port)
	copy(b[4:], ip[:])
	return b
}

// mapped is a struct sockaddr_in6 of 127.0.0.1.
func mapped(port uint16) []byte {
	b := make([]byte, 28)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	binary.BigEndian.PutUint16(b[2:], port)
	copy(b[18:], []byte{0xff, 0xff, 127, 0, 0, 1})
	return b
}

// A send is a call with an address, on a socket of its own.
type send struct {
	family, kind int
	address      []byte
	call         func(fd, address, size uintptr) step
}

// sends makes sockets and has each used. What arrives tells.
func (a *attacker) sends(list []send) {
	for _, s := range list {
		fd, err := unix.Socket(s.family, s.kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			a.failed("socket", err)
			continue
		}
		one := s.call(uintptr(fd), a.mem.put(s.address), uintptr(len(s.address)))
		if got := bySyscall(one.nr, &one.args); got.errno != 0 {
			a.failed(one.name, got.errno)
		}
		unix.Close(fd)
	}
}

func connect(fd, address, size uintptr) step {
	return step{name: "connect", nr: unix.SYS_CONNECT, args: [6]uintptr{fd, address, size}}
}

// sendTo gives a call that sends a letter.
func (a *attacker) sendTo(flags uintptr) func(fd, address, size uintptr) step {
	return func(fd, address, size uintptr) step {
		return step{name: "sendto", nr: unix.SYS_SENDTO, args: [6]uintptr{fd, a.mem.text("x"), 1, flags, address, size}}
	}
}

// header is a struct msghdr with a letter.
func (a *attacker) header(address, size uintptr) []uintptr {
	return []uintptr{address, size, a.mem.words(a.mem.text("x"), 1), 1, 0, 0, 0, 0}
}

func (a *attacker) sendMessage(fd, address, size uintptr) step {
	return step{name: "sendmsg", nr: unix.SYS_SENDMSG, args: [6]uintptr{fd, a.mem.words(a.header(address, size)...)}}
}

func (a *attacker) sendMessages(fd, address, size uintptr) step {
	return step{name: "sendmmsg", nr: unix.SYS_SENDMMSG, args: [6]uintptr{fd, a.mem.words(a.header(address, size)...), 1}}
}

var (
	local    = [4]byte{127, 0, 0, 1}
	wildcard = [4]byte{}
)

func tcp(a *attacker) {
	const stream = unix.SOCK_STREAM
	a.sends([]send{
		{unix.AF_INET, stream, inet4(unix.AF_INET, local, a.TCP), connect},
		{unix.AF_INET, stream, inet4(unix.AF_INET, wildcard, a.TCP), connect},
		{unix.AF_INET6, stream, mapped(a.TCP), connect},
		{unix.AF_INET, stream, inet4(unix.AF_INET, local, a.TCP), a.sendTo(unix.MSG_FASTOPEN)},
	})
}

func udp(a *attacker) {
	const datagram = unix.SOCK_DGRAM
	to := inet4(unix.AF_INET, local, a.UDP)
	a.sends([]send{
		{unix.AF_INET, datagram, to, a.sendTo(0)},
		{unix.AF_INET, datagram, inet4(unix.AF_UNSPEC, local, a.UDP), a.sendTo(0)},
		{unix.AF_INET, datagram, inet4(unix.AF_INET, wildcard, a.UDP), a.sendTo(0)},
		{unix.AF_INET, datagram, to, a.sendMessage},
		{unix.AF_INET, datagram, to, a.sendMessages},
		{unix.AF_INET6, datagram, mapped(a.UDP), a.sendTo(0)},
	})
}

func abstract(a *attacker) {
	address := append(binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX), 0)
	a.sends([]send{{unix.AF_UNIX, unix.SOCK_STREAM, append(address, a.Abstract...), connect}})
}

// raceAddress connects a socket whose address is one moment the decoy's, and the next of
// no family, which dissolves and is always permitted. What it sends then arrives or not.
func raceAddress(a *attacker) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		a.failed("socket", err)
		return
	}
	to := a.mem.put(inet4(unix.AF_INET, local, a.UDP))
	decoy := [4]byte(a.mem.at(to, 4))
	none := decoy
	none[0], none[1] = unix.AF_UNSPEC, 0
	letter := a.mem.text("x")
	a.race(a.mem.flip(to, none, decoy), patient, "connect", func() (bool, unix.Errno) {
		if got := bySyscall(unix.SYS_CONNECT, &[6]uintptr{uintptr(fd), to, 16}); got.errno != 0 {
			return false, got.errno
		}
		sent := bySyscall(unix.SYS_WRITE, &[6]uintptr{uintptr(fd), letter, 1})
		return sent.errno == 0, 0
	})
}
