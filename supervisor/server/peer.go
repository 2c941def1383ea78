package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of a connection, as the kernel says
// (SO_PEERCRED in unix(7)): whoever connected, not who writes now.
type peer struct {
	account
	err error // why the connection is not to be served
}

type peerKey struct{}

// withPeer is http.Server's ConnContext.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	p := &peer{}
	if counted, ok := c.(*countedConn); ok {
		p = counted.peer
	} else {
		p.err = errors.New("not a unix socket's connection")
	}
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(r *http.Request) (*account, error) {
	p, ok := r.Context().Value(peerKey{}).(*peer)
	if !ok {
		return nil, errors.New("BUG: a request without a peer")
	}
	if p.err != nil {
		return nil, client.NewProblem(client.Forbidden, p.err.Error())
	}
	return &p.account, nil
}

var errSandboxed = errors.New("what runs in a sandbox, or under a tracer, may not use callgated")

// identify asks the kernel about a connection.
func identify(c *net.UnixConn) *peer {
	p := &peer{}
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { p.err = p.ask(int(fd)) })
	}
	if err != nil {
		p.err = err
	}
	return p
}

func (p *peer) ask(fd int) error {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("who asks is not known: %w", err)
	}
	p.uid, p.gid = cred.Uid, cred.Gid
	if p.groups, err = peerGroups(fd); err != nil {
		return fmt.Errorf("who asks is not known: %w", err)
	}
	return untraced(int(cred.Pid), fd)
}

// untraced says that the process that connected is in no sandbox. One that is
// gone cannot be asked; its number may be another's by now, which the pidfd of
// the connection tells, where the kernel has that (SO_PEERPIDFD, Linux 6.5).
func untraced(pid, fd int) error {
	if pid == 0 {
		return errors.New("who asks is not in sight: another pid namespace")
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return errors.New("who asks is gone already")
	}
	if pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD); err == nil {
		gone := unix.PidfdSendSignal(pidfd, 0, nil, 0) == unix.ESRCH
		unix.Close(pidfd)
		if gone {
			return errors.New("who asks is gone already")
		}
	}
	_, rest, found := bytes.Cut(status, []byte("\nTracerPid:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	if !found || string(bytes.TrimSpace(line)) != "0" {
		return errSandboxed
	}
	return nil
}

const maxPerUser = 512 // connections of one user at once

// Descriptors of the daemon's, as its limit on them is shared out.
const (
	perConnection = 2  // itself, and a file of the job's that it asks for
	perJob        = 10 // that runs: what is of its supervisor and between the two, its input, and what starting it takes
	perSpare      = 15 // a folder and two supervisors that wait
	ownFiles      = 96 // the store, the log, epoll, and so on
	fewest        = 64 // connections that there are in any case
)

// connections is how many there may be at once, so that jobs can run and the store
// can work whatever clients do.
func (s *Server) connections() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fewest
	}
	cfg, _ := s.settings()
	left := int(min(limit.Cur, 1<<30)) - ownFiles - perJob*cfg.Slots - perSpare*cfg.Spares
	return max(left/perConnection, fewest)
}

// listener accepts connections, of each user so many at once: no more than maxPerUser,
// nor than half of what the others leave. However many users take what they can,
// there is some left for the next.
type listener struct {
	*net.UnixListener
	most  func() int
	mu    sync.Mutex
	count map[uint32]int
	all   int
}

// admit counts a connection of a user's, if it may have another.
func (l *listener) admit(uid uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[uid] >= maxPerUser || 2*l.count[uid] >= l.most()-l.all {
		return false
	}
	l.count[uid]++
	l.all++
	return true
}

func (l *listener) leave(uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.count[uid]--; l.count[uid] == 0 {
		delete(l.count, uid)
	}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p := identify(c)
		if l.admit(p.uid) {
			return &countedConn{UnixConn: c, peer: p, from: l}, nil
		}
		_ = c.Close()
	}
}

type countedConn struct {
	*net.UnixConn
	peer *peer
	from *listener
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.from.leave(c.peer.uid) })
	return c.UnixConn.Close()
}
