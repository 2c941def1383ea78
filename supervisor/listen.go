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
// (pidfd_getfd(2)). Where another thread could exchange the tracee's meanwhile,
// the supervisor makes the call, on that descriptor; who connects to a unix
// socket then sees the supervisor's number as the listener's (SO_PEERCRED in
// unix(7)), the user's and group's being the same. Some containers refuse
// pidfd_getfd: there the sockets are remembered that were bound by leave.

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
		s.unseen(j, err)
		return
	}
	j.copy = own
	j.answer = s.judgeBound(own, j)
	if !t.process.shares() {
		unix.Close(own)
		j.copy = 0
	}
}

// listenAnywhere says whether it does not matter to what a socket is bound.
func (s *sandbox) listenAnywhere() bool {
	four := policy.Address{Family: unix.AF_INET, IP: netip.IPv4Unspecified()}
	six := policy.Address{Family: unix.AF_INET6, IP: netip.IPv6Unspecified()}
	return s.plan.Sections().Listen(four).Action == policy.Allow && s.plan.Sections().Listen(six).Action == policy.Allow
}

// judgeBound decides for a socket of which fd is a descriptor, or says what the
// kernel answers: a TCP socket on its way to a peer has a port that was not bound,
// and cannot listen (inet_listen in net/ipv4/af_inet.c).
func (s *sandbox) judgeBound(fd int, j *judged) unix.Errno {
	name, err := unix.Getsockname(fd)
	if err == unix.ENOTSOCK || err == unix.EBADF {
		return err.(unix.Errno)
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind == unix.SOCK_DGRAM {
		return 0 // EOPNOTSUPP
	}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO); err == nil && info.State != tcpClose && info.State != tcpListen {
		return unix.EINVAL
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		s.judgeLocal(netip.AddrFrom4(a.Addr), a.Port, j)
	case *unix.SockaddrInet6:
		s.judgeLocal(netip.AddrFrom16(a.Addr), a.Port, j)
	}
	return 0
}

// TCP states of net/tcp_states.h.
const (
	tcpClose  = 7
	tcpListen = 10
)

// judgeLocal decides for a socket by its own address.
func (s *sandbox) judgeLocal(ip netip.Addr, port int, j *judged) {
	if port != 0 || !ip.IsUnspecified() {
		return
	}
	a := policy.Address{Family: unix.AF_INET6, IP: ip}
	if ip.Is4() {
		a.Family = unix.AF_INET
	}
	s.ask(a, binds, addressText(a), j)
}

// judgeUnseen decides where nobody tells what a socket is bound to.
func (s *sandbox) judgeUnseen(t *task, fd int, j *judged) {
	before := j.verdict
	s.judgeLocal(netip.IPv4Unspecified(), 0, j)
	s.judgeLocal(netip.IPv6Unspecified(), 0, j)
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
	_, _, errno := unix.RawSyscall(unix.SYS_LISTEN, uintptr(j.copy), uintptr(int32(j.direct.Args[1])), 0)
	unix.Close(j.copy)
	j.copy = 0
	return s.skip(t, -int64(errno))
}

// unseen is for a descriptor that could not be had.
func (s *sandbox) unseen(j *judged, err error) {
	if err == unix.EBADF {
		j.answer = unix.EBADF
		return
	}
	s.deny(j, unix.EACCES, "it cannot be told to what its socket is bound: "+err.Error())
}

// pidfdThread is PIDFD_THREAD of linux/pidfd.h, since Linux 6.9: before, a pidfd
// is a process's, whose threads have the same descriptors unless they have
// parted from them (CLONE_FILES in unshare(2)).
const pidfdThread = unix.O_EXCL

// descriptorOf is the supervisor's own descriptor for what t's fd is.
func descriptorOf(t *task, fd int) (int, error) {
	pidfd, err := unix.PidfdOpen(t.tid, pidfdThread)
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
