package supervisor

import (
	"net/netip"
	"os"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// listen(2) has a socket that is bound to nothing listen at a port of the
// kernel's choice on all addresses (inet_csk_listen_start in
// net/ipv4/inet_connection_sock.c): that is decided as binding to port 0 of the
// wildcard address. One that is bound was decided when it was.
//
// What the socket is bound to is asked of the supervisor's own descriptor for it
// (pidfd_getfd(2)), on which the supervisor makes the call too, so that no other
// thread can exchange the tracee's meanwhile. Other holders of the socket can
// still take its address from it: so it is looked at again, and listens no more
// if it got another. A unix socket with a name, of a process without threads, is
// left to that: who connects would see the supervisor's number as the listener's,
// as it does where there are threads (SO_PEERCRED in unix(7)).
//
// Some containers refuse pidfd_getfd: there the sockets are remembered that were
// bound by leave.

// judgeListen decides a listen(2).
func (s *sandbox) judgeListen(t *task, j *judged) {
	fd := int(int32(j.direct.Args[0]))
	if s.listenAnywhere() {
		return
	}
	if s.blind() {
		s.judgeUnseen(t, fd, j)
		return
	}
	own, err := descriptorOf(t, fd)
	if err != nil {
		j.unseen(err)
		return
	}
	j.onFD = own
	local, answer := s.judgeBound(own, j)
	j.local, j.answer = local, answer
	if !local.IsValid() && !t.process.shares() && !mayTakeName(own) {
		unix.Close(own)
		j.onFD = 0
	}
}

// listenAnywhere says whether it does not matter to what a socket is bound.
func (s *sandbox) listenAnywhere() bool {
	four := s.plan.Sections().Listen(listening(netip.AddrPortFrom(netip.IPv4Unspecified(), 0)))
	six := s.plan.Sections().Listen(listening(netip.AddrPortFrom(netip.IPv6Unspecified(), 0)))
	random := s.plan.Sections().Listen(autobound)
	return four.Action == policy.Allow && six.Action == policy.Allow && random.Action == policy.Allow
}

// judgeBound decides for a socket of which fd is a descriptor, and gives the
// socket's own address if it has one of AF_INET or AF_INET6; or it says what the
// kernel answers: a TCP socket on its way to a peer cannot listen (inet_listen in
// net/ipv4/af_inet.c). One that listens only has its queue changed.
func (s *sandbox) judgeBound(fd int, j *judged) (local netip.AddrPort, answer unix.Errno) {
	local, err := localOf(fd)
	if err == unix.ENOTSOCK || err == unix.EBADF {
		return local, err.(unix.Errno)
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind == unix.SOCK_DGRAM {
		return netip.AddrPort{}, 0 // EOPNOTSUPP
	}
	if name, ok := unixNameOf(fd); ok {
		s.judgeUnixBound(name, j)
		return local, 0
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	switch {
	case err == nil && info.State == tcpListen, !local.IsValid():
	case err == nil && info.State != tcpClose:
		return local, unix.EINVAL
	default:
		s.judgeLocal(local, j)
	}
	return local, 0
}

// localOf is the address of a socket's own end; not valid if it is of another
// family than AF_INET and AF_INET6.
func localOf(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), err
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), err
	}
	return netip.AddrPort{}, err
}

// TCP states of net/tcp_states.h.
const (
	tcpClose  = 7
	tcpListen = 10
)

// judgeLocal decides for a socket by its own address. One with an IP address was
// bound to that. The port of the wildcard address tells nothing: what was
// connected and is no more keeps it, bound to nothing (tcp_disconnect in
// net/ipv4/tcp.c).
func (s *sandbox) judgeLocal(local netip.AddrPort, j *judged) {
	if !local.Addr().Unmap().IsUnspecified() {
		return
	}
	if random := netip.AddrPortFrom(local.Addr(), 0); s.plan.Sections().Listen(listening(random)).Action.Permits() {
		local = random
	}
	a := listening(local)
	s.ask(a, binds, addressText(a), j)
}

// listening is a socket's own address as rules speak of it.
func listening(local netip.AddrPort) policy.Address {
	a := policy.Address{Family: unix.AF_INET6, IP: local.Addr(), Port: local.Port()}
	if a.IP.Is4() {
		a.Family = unix.AF_INET
	}
	return a
}

// judgeUnseen decides where nobody tells what a socket is bound to.
func (s *sandbox) judgeUnseen(t *task, fd int, j *judged) {
	before := j.verdict
	s.judgeLocal(netip.AddrPortFrom(netip.IPv4Unspecified(), 0), j)
	s.judgeLocal(netip.AddrPortFrom(netip.IPv6Unspecified(), 0), j)
	if j.verdict.Action.Permits() || !before.Action.Permits() {
		return
	}
	inode := socketOf(t.tid, fd)
	if inode != 0 && s.bound[inode] && !t.process.shares() {
		j.verdict, j.object, j.need = before, "", ""
		return
	}
	j.reason = "it cannot be told to what its socket is bound, since pidfd_getfd(2) is refused here"
}

// listen makes t's call on the supervisor's descriptor.
func (s *sandbox) listen(t *task, j *judged) error {
	_, _, errno := unix.RawSyscall(unix.SYS_LISTEN, uintptr(j.onFD), uintptr(int32(j.direct.Args[1])), 0)
	if errno == 0 && !s.keepsListening(j) {
		_ = unix.Shutdown(j.onFD, unix.SHUT_RDWR) // nobody was told of its port yet
		errno = unix.EACCES
		j.deny(errno, "its socket was taken from its address meanwhile")
		s.tell(t, j)
	}
	unix.Close(j.onFD)
	j.onFD = 0
	return s.skip(t, -int64(errno))
}

// keepsListening says whether a socket listens where it was to, or where it may.
func (s *sandbox) keepsListening(j *judged) bool {
	now := judged{verdict: policy.Verdict{Action: policy.Allow}, answers: j.answers}
	if name, ok := unixNameOf(j.onFD); ok {
		s.judgeUnixBound(name, &now)
		return !now.verdict.Action.Restricts()
	}
	if !j.local.IsValid() {
		return true
	}
	local, err := localOf(j.onFD)
	if err != nil || local == j.local {
		return err == nil
	}
	s.judgeLocal(local, &now)
	return !now.verdict.Action.Restricts()
}

// unseen is for a descriptor that could not be had.
func (j *judged) unseen(err error) {
	if err == unix.EBADF {
		j.answer = unix.EBADF
		return
	}
	j.deny(unix.EACCES, "it cannot be told to what its socket is bound: "+err.Error())
}

// descriptorOf is the supervisor's own descriptor for what t's fd is. A pidfd can
// be a thread's since Linux 6.9: before, it is a process's, whose threads have the
// same descriptors unless they have parted from them (CLONE_FILES in unshare(2)).
func descriptorOf(t *task, fd int) (int, error) {
	pidfd, err := unix.PidfdOpen(t.tid, unix.PIDFD_THREAD)
	sure := err == nil
	if !sure {
		pidfd, err = unix.PidfdOpen(t.process.pid, 0)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(pidfd)
	own, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil || sure || t.tid == t.process.pid || socketOf(os.Getpid(), own) == socketOf(t.tid, fd) {
		return own, err
	}
	unix.Close(own)
	return -1, unix.EAGAIN
}

// blind says whether pidfd_getfd is refused here.
func (s *sandbox) blind() bool {
	if s.sight == 0 {
		s.sight = -1
		if pidfd, err := unix.PidfdOpen(os.Getpid(), 0); err == nil {
			if own, err := unix.PidfdGetfd(pidfd, pidfd, 0); err == nil {
				s.sight = 1
				unix.Close(own)
			}
			unix.Close(pidfd)
		}
	}
	return s.sight < 0
}

// bindOf is the socket that a bind is for, 0 where that is of no use.
func (s *sandbox) bindOf(t *task, entry *abi.Syscall, j *judged) uint64 {
	if s.holders.Network == compile.Nobody || !s.blind() || t.process.shares() {
		return 0
	}
	return socketOf(t.tid, int(int32(entry.Params[0].Value(&j.direct.Args))))
}

// socketOf is the inode of tid's socket fd, 0 if it is none (proc(5)).
func socketOf(tid, fd int) uint64 {
	text, err := os.Readlink("/proc/" + strconv.Itoa(tid) + "/fd/" + strconv.Itoa(fd))
	if err != nil {
		return 0
	}
	number, ok := strings.CutPrefix(text, "socket:[")
	if !ok {
		return 0
	}
	inode, _ := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
	return inode
}
