package attack

import (
	"net"
	"testing"
	"time"
)

// TestVisitorsLate: on a busy machine a visit of our own can arrive when another was made
// in its place. It is nobody else's.
func TestVisitorsLate(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sockets{udp: udp, came: map[string]bool{}, ours: map[string]bool{}}
	defer s.close()
	time.AfterFunc(5*visitAgain/2, s.receive)
	if n, err := s.visitors(); n != 0 || err != nil {
		t.Errorf("%d visitors, %v", n, err)
	}
	c, err := net.Dial("udp4", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.visitors(); n != 1 || err != nil {
		t.Errorf("%d visitors, %v", n, err)
	}
}
