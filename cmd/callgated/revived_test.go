package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// proxy is a network between a daemon and its NATS server that can be cut.
type proxy struct {
	net.Listener
	to    string
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to}
	t.Cleanup(func() { l.Close(); p.set(true) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.join(c)
		}
	}()
	return p
}

func (p *proxy) join(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	there, err := net.Dial("tcp", p.to)
	if err != nil || p.cut {
		c.Close()
		return
	}
	p.conns = append(p.conns, c, there)
	pipe := func(a, b net.Conn) {
		_, _ = io.Copy(a, b)
		a.Close()
		b.Close()
	}
	go pipe(c, there)
	go pipe(there, c)
}

func (p *proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// given is what a host runs when it is given up.
type given struct{ lost, again, over string }

// TestRevived gives up two hosts that are not dead: one is stopped, one cut off from
// NATS. When they are back, what they still run of jobs that were given up is ended and
// told, and what came of it changes nothing.
func TestRevived(t *testing.T) {
	t.Parallel()
	n := newNATS(t)
	n.alone = true
	n.start(0)
	server := fmt.Sprintf("127.0.0.1:%d", n.ports[0])
	network := newProxy(t, server)
	config := func(name, server, labels string) string {
		return fmt.Sprintf("nats: [\"nats://%s\"]\nhost: %s\ndead-after: 6s\nslots: 12\nlabels: {%s}\n", server, name, labels)
	}
	taker := newHost(t, config("taker", server, "none: y"))
	stopped := newHost(t, config("stopped", server, "of-stopped: y, on: stopped"))
	cut := newHost(t, config("cut", network.Addr().String(), "of-cut: y, on: cut"))
	for _, h := range []*host{taker, stopped, cut} {
		h.start()
	}
	if err := os.Chmod(taker.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	was := map[string]given{}
	for _, name := range []string{"stopped", "cut"} {
		was[name] = taker.give(name)
	}
	stopped.signal(unix.SIGSTOP)
	defer stopped.signal(unix.SIGCONT) // so that it can be ended
	network.set(true)
	taker.configure("supervisor: " + must(callgate()) + "\n" + config("taker", server, "of-stopped: y, of-cut: y"))
	taker.signal(unix.SIGHUP)
	for _, g := range was {
		taker.givenUp(g)
	}
	touch(t, filepath.Join(taker.dir, "go")) // what the silent hosts run of one job comes to its end
	stopped.signal(unix.SIGCONT)
	network.set(false)
	for name, h := range map[string]*host{"stopped": stopped, "cut": cut} {
		for len(h.supervisors()) > 0 {
			pause()
		}
		for said := 0; said < 3; pause() {
			said = strings.Count(h.log.String(), "given up while this host was silent")
		}
		taker.givenUp(was[name])
		after := shell("exit 5")
		after.Requires = map[string]string{"on": name}
		if j := taker.wait(taker.submit(after).ID); j.Result.Status != 5 || j.Host != name {
			t.Errorf("a job of the host that is back: %+v", j)
		}
	}
}

func touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
}

// give has a host run three jobs: one that may not be run again, one that may, and
// one that may and ends when it is told to.
func (h *host) give(name string) (g given) {
	h.t.Helper()
	dir := filepath.Join(h.dir, name)
	submit := func(kind, script string, retries int) string {
		r := openShell(fmt.Sprintf("cd %s; D=$OLDPWD; if mkdir %s.%s; then touch %s.%s/begun; %s; else echo second | tee $D/kept; exit 7; fi", h.dir, name, kind, name, kind, script))
		r.Requires, r.Retries, r.Collect = map[string]string{"of-" + name: "y"}, retries, []string{"kept"}
		id := h.submit(r).ID
		for _, err := os.Stat(dir + "." + kind + "/begun"); err != nil; pause() {
			_, err = os.Stat(dir + "." + kind + "/begun")
		}
		return id
	}
	const forever = "while :; do echo on; sleep 0.1; done"
	g.lost = submit("lost", forever, 0)
	g.again = submit("again", forever, 1)
	g.over = submit("over", "until test -e go; do sleep 0.1; done; echo first | tee $D/kept; exit 1", 1)
	return g
}

// givenUp wants the jobs to be what others made of them.
func (h *host) givenUp(g given) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	if j, err := h.Wait(ctx, g.lost); err != nil || j.Result.Cause != client.ByLoss || j.Attempt != 1 {
		h.t.Errorf("the job that is lost: %+v, %v", j, err)
	}
	for _, id := range []string{g.again, g.over} {
		j, err := h.Wait(ctx, id)
		if err != nil || j.Result.Status != 7 || j.Attempt != 2 || j.Host != "taker" {
			h.t.Fatalf("the job that is run again: %+v, %v", j, err)
		}
		if out := h.output(id, client.StdoutEvent); out != "second\n" {
			h.t.Errorf("its output: %q", out)
		}
		body, err := h.File(ctx, id, "kept")
		if err != nil {
			h.t.Fatal(err)
		}
		if text, err := io.ReadAll(body); string(text) != "second\n" {
			h.t.Errorf("its file: %q, %v", text, err)
		}
		body.Close()
	}
}
