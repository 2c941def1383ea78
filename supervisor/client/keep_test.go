package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestKept: requests follow one another on a connection, but not on one that the daemon
// has closed, or on which something is still to come.
func TestKept(t *testing.T) {
	var made, asked atomic.Int64
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case r.Method == "DELETE":
			w.WriteHeader(204)
		case r.URL.Path == "/v1/version":
			write(t, w, Version{})
		case r.FormValue("offset") == "1":
			w.Header().Set("Connection", "close")
		default:
			for range 3 {
				io.WriteString(w, "some output")
				w.(http.Flusher).Flush()
			}
		}
	}))
	s.Listener.Close()
	s.Listener = l
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c, ctx := New(socket), context.Background()
	output := func(offset int64, most int64) error {
		r, err := c.Output(ctx, "abcdefgh", StdoutEvent, offset, false)
		if err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(r, most))
			_ = r.Close()
			if again := r.Close(); !errors.Is(again, net.ErrClosed) {
				t.Errorf("closed twice: %v", again)
			}
		}
		return err
	}
	version := func() error {
		_, err := c.Version(ctx)
		return err
	}
	for i, step := range []struct {
		do   func() error
		made int64 // connections by then
	}{
		{version, 1},
		{version, 1},
		{func() error { return c.Remove(ctx, "abcdefgh") }, 1},
		{func() error { return output(0, 1<<20) }, 1},
		{func() error { return output(0, 5) }, 1},
		{version, 2},
		{func() error { return output(1, 1<<20) }, 2},
		{version, 3},
		{func() error { s.CloseClientConnections(); return nil }, 3},
		{version, 4},
	} {
		if err := step.do(); err != nil || made.Load() != step.made {
			t.Errorf("step %d: %d connections, %v", i, made.Load(), err)
		}
	}
	before := asked.Load()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Version(ended); !errors.Is(err, context.Canceled) || asked.Load() != before {
		t.Errorf("nobody waits for it, and it is sent: %v", err)
	}
	c.kept.expire(c.kept.idle[0])
	if err := version(); err != nil || made.Load() != 5 {
		t.Errorf("after its time: %d connections, %v", made.Load(), err)
	}
	for _, waits := range c.kept.idle {
		c.kept.expire(waits)
	}
}

// TestKeptMost: of many connections at once few are kept.
func TestKeptMost(t *testing.T) {
	var k kept
	for range keptMost + 1 {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		k.put(ours)
	}
	if len(k.idle) != keptMost {
		t.Errorf("%d are kept", len(k.idle))
	}
	if conn := k.take(); conn != nil {
		t.Error("one is taken of which it cannot be said that nothing is to come")
	}
}
