package attack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// sockets are decoys that note who comes to them. What cannot be had here is missing.
type sockets struct {
	tcp, abstract net.Listener
	udp           net.PacketConn
	name          string // of abstract

	mu   sync.Mutex
	came map[string]bool // by the address that it came from
	none int             // of those that have no address
	ours map[string]bool // visits of our own that have not arrived, by the same
}

func listen() *sockets {
	s := &sockets{came: map[string]bool{}, ours: map[string]bool{}, name: "callgate-" + rand.Text()}
	if l, err := net.Listen("tcp4", "127.0.0.1:0"); err == nil {
		s.tcp = l
		go s.accept(l)
	}
	if l, err := net.Listen("unix", "@"+s.name); err == nil {
		s.abstract = l
		go s.accept(l)
	}
	if udp, err := net.ListenPacket("udp4", "127.0.0.1:0"); err == nil {
		s.udp = udp
		go s.receive()
	}
	return s
}

// aim tells targets of the sockets.
func (s *sockets) aim(t *Targets) {
	t.TCP, t.UDP, t.Abstract = 0, 0, ""
	if s.tcp != nil {
		t.TCP = uint16(s.tcp.Addr().(*net.TCPAddr).Port)
	}
	if s.udp != nil {
		t.UDP = uint16(s.udp.LocalAddr().(*net.UDPAddr).Port)
	}
	if s.abstract != nil {
		t.Abstract = s.name
	}
}

func (s *sockets) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.note(c.RemoteAddr())
		c.Close()
	}
}

func (s *sockets) receive() {
	var b [16]byte
	for {
		_, from, err := s.udp.ReadFrom(b[:])
		if err != nil {
			return
		}
		s.note(from)
	}
}

func (s *sockets) note(from net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from == nil || from.String() == "" || from.String() == "@" {
		s.none++
		return
	}
	if at := from.Network() + from.String(); s.ours[at] {
		delete(s.ours, at)
	} else {
		s.came[at] = true
	}
}

// reset forgets who has come so far.
func (s *sockets) reset() error {
	_, err := s.visitors()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.came)
	s.none = 0
	return err
}

// visitors says how many have come. One of ours goes to each socket, and is waited for: who
// came before it has been noted then.
func (s *sockets) visitors() (int, error) {
	for _, visit := range []func() (string, net.Conn, error){s.visitTCP, s.visitUDP, s.visitAbstract} {
		if err := s.await(visit); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.came) + s.none, nil
}

// How long a visit is waited for, and when another is made: a datagram can be lost where
// many came.
const visitPatience, visitAgain = 10 * time.Second, 200 * time.Millisecond

func (s *sockets) await(visit func() (string, net.Conn, error)) error {
	for end := time.Now().Add(visitPatience); time.Now().Before(end); {
		from, c, err := visit()
		if err != nil || c == nil {
			return err
		}
		s.expect(from)
		for again := time.Now().Add(visitAgain); time.Now().Before(again); time.Sleep(time.Millisecond) {
			if s.arrived(from) {
				return c.Close()
			}
		}
		_ = c.Close() // the next is waited for; this one may still arrive
	}
	return errors.New("a decoy's socket does not answer")
}

// expect says that a visit from there is our own.
func (s *sockets) expect(from string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.came[from] {
		delete(s.came, from)
		return
	}
	s.ours[from] = true
}

func (s *sockets) arrived(from string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ours[from]
}

func (s *sockets) visitTCP() (string, net.Conn, error) {
	if s.tcp == nil {
		return "", nil, nil
	}
	c, err := net.Dial("tcp4", s.tcp.Addr().String())
	if err != nil {
		return "", nil, err
	}
	return c.LocalAddr().Network() + c.LocalAddr().String(), c, nil
}

func (s *sockets) visitUDP() (string, net.Conn, error) {
	if s.udp == nil {
		return "", nil, nil
	}
	c, err := net.Dial("udp4", s.udp.LocalAddr().String())
	if err != nil {
		return "", nil, err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return "", nil, errors.Join(err, c.Close())
	}
	return c.LocalAddr().Network() + c.LocalAddr().String(), c, nil
}

func (s *sockets) visitAbstract() (string, net.Conn, error) {
	if s.abstract == nil {
		return "", nil, nil
	}
	ours := &net.UnixAddr{Net: "unix", Name: "@callgate-" + rand.Text()}
	c, err := net.DialUnix("unix", ours, &net.UnixAddr{Net: "unix", Name: "@" + s.name})
	if err != nil {
		return "", nil, fmt.Errorf("visit: %w", err)
	}
	return "unix" + ours.Name, c, nil
}

func (s *sockets) close() (err error) {
	if s.tcp != nil {
		err = errors.Join(err, s.tcp.Close())
	}
	if s.udp != nil {
		err = errors.Join(err, s.udp.Close())
	}
	if s.abstract != nil {
		err = errors.Join(err, s.abstract.Close())
	}
	return err
}
