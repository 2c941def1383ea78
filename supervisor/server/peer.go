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
		return nil, client.NewProblem(client.Forbidden, 403, p.err.Error())
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
	if pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, soPeerPidfd); err == nil {
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

const soPeerPidfd = 77 // SO_PEERPIDFD of asm-generic/socket.h

const maxPerUser = 512 // connections of one user at once

// listener accepts connections, of each user so many at once.
type listener struct {
	*net.UnixListener
	mu    sync.Mutex
	count map[uint32]int
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p := identify(c)
		l.mu.Lock()
		room := l.count[p.uid] < maxPerUser
		if room {
			l.count[p.uid]++
		}
		l.mu.Unlock()
		if room {
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
	c.once.Do(func() {
		c.from.mu.Lock()
		defer c.from.mu.Unlock()
		if c.from.count[c.peer.uid]--; c.from.count[c.peer.uid] == 0 {
			delete(c.from.count, c.peer.uid)
		}
	})
	return c.UnixConn.Close()
}
