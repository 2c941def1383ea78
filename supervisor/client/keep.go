package client

import (
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	keptMost = 4
	keptTime = 10 * time.Second // the daemon waits longer for a request
)

// kept are the connections that wait for a request, those that wait longest first.
type kept struct {
	mu   sync.Mutex
	idle []*idle
}

type idle struct {
	conn  net.Conn
	close *time.Timer
}

// take gives the one that has waited least, or nil. What the daemon has closed, or said
// something on meanwhile, is none.
func (k *kept) take() net.Conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	for n := len(k.idle); n > 0; n = len(k.idle) {
		conn := k.idle[n-1].conn
		k.idle[n-1].close.Stop()
		k.idle = slices.Delete(k.idle, n-1, n)
		if silent(conn) {
			return conn
		}
		_ = conn.Close()
	}
	return nil
}

// put keeps one on which nothing is to come.
func (k *kept) put(conn net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.idle) == keptMost {
		_ = conn.Close()
		return
	}
	waits := &idle{conn: conn}
	waits.close = time.AfterFunc(keptTime, func() { k.expire(waits) })
	k.idle = append(k.idle, waits)
}

func (k *kept) expire(waits *idle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.Index(k.idle, waits); i >= 0 {
		k.idle = slices.Delete(k.idle, i, i+1)
		_ = waits.conn.Close()
	}
}

// silent says that there is nothing to read of a connection, nor its end.
func silent(conn net.Conn) bool {
	of, is := conn.(syscall.Conn)
	if !is {
		return false
	}
	raw, err := of.SyscallConn()
	if err != nil {
		return false
	}
	nothing := false
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		nothing = err == syscall.EAGAIN
	})
	return err == nil && nothing
}
