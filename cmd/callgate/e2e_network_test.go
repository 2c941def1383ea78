package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// receiver counts what comes to a port of loopback, by TCP and by UDP.
type receiver struct {
	port  int
	came  atomic.Int64
	close func()
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{port: tcp.Addr().(*net.TCPAddr).Port}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: r.port})
	if err != nil {
		t.Fatal(err)
	}
	r.close = func() { tcp.Close(); udp.Close() }
	t.Cleanup(r.close)
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			r.came.Add(1)
			c.Close()
		}
	}()
	go r.count(udp)
	return r
}

func (r *receiver) count(c net.PacketConn) {
	for buf := make([]byte, 64); ; {
		if _, _, err := c.ReadFrom(buf); err != nil {
			return
		}
		r.came.Add(1)
	}
}

// onePort is a policy that lets one port of loopback be talked to.
func onePort(port int) string {
	return fmt.Sprintf("callgate: 1\ncompat: {i386: same, x32: kill}\nnetwork:\n  - connect: [\"127.0.0.1:%d\", \"unix:/**/a.sock\"]\n  - bind: \"127.0.0.1:%d\"\n", port, port)
}

// butPort is a policy that lets all be talked to but one port of loopback, which
// is nothing that Landlock could hold.
func butPort(port int) string {
	return fmt.Sprintf("callgate: 1\nnetwork:\n  - deny: [\"127.0.0.1:%d\", \"unix:/**/b.sock\"]\n  - connect: [\"*\", \"unix:/\"]\n  - bind: \"*\"\n", port)
}

// TestNetwork: what rules of network permit and deny, by every call that has an
// address.
func TestNetwork(t *testing.T) {
	good, bad := newReceiver(t), newReceiver(t)
	dir := openFolder(t)
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "a.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	script := strings.NewReplacer("GOOD", itoa(good.port), "BAD", itoa(bad.port)).Replace(`
import socket, os
def s(family=socket.AF_INET, kind=socket.SOCK_STREAM): return socket.socket(family, kind)
def t(name, f):
    try: f(); print(name, "ok")
    except OSError as e: print(name, os.strerror(e.errno))
u, four, six = s(kind=socket.SOCK_DGRAM), socket.AF_INET, socket.AF_INET6
t("connect", lambda: s().connect(("127.0.0.1", GOOD)))
t("another port", lambda: s().connect(("127.0.0.1", BAD)))
t("mapped", lambda: s(six).connect(("::ffff:127.0.0.1", GOOD)))
t("another mapped", lambda: s(six).connect(("::ffff:127.0.0.1", BAD)))
t("wildcard", lambda: s().connect(("0.0.0.0", GOOD)))
t("IPv6", lambda: s(six).connect(("::1", GOOD)))
t("sendto", lambda: u.sendto(b"x", ("127.0.0.1", GOOD)))
t("sendto another", lambda: u.sendto(b"x", ("127.0.0.1", BAD)))
t("sendmsg", lambda: u.sendmsg([b"x", b"y"], [], 0, ("127.0.0.1", GOOD)))
t("sendmsg another", lambda: u.sendmsg([b"x"], [], 0, ("127.0.0.1", BAD)))
t("fast open", lambda: s().sendto(b"x", 0x20000000, ("127.0.0.1", BAD)))
t("bind wildcard", lambda: s().bind(("0.0.0.0", 0)))
t("listen", lambda: s().listen())
t("netlink", lambda: s(socket.AF_NETLINK, socket.SOCK_RAW))
t("raw", lambda: s(kind=socket.SOCK_RAW))
t("unix", lambda: s(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "a.sock"))
t("another unix", lambda: s(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "b.sock"))
t("unix by a link", lambda: s(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "link.sock"))
t("abstract", lambda: s(socket.AF_UNIX).connect("\0nobody"))
t("bind unix", lambda: s(socket.AF_UNIX).bind("c.sock"))
a, b = socket.socketpair()
t("pair", lambda: (a.sendmsg([b"x"]), b.recv(1)))
`)
	got := trial{bare: true, dir: dir}.run(t, "/bin/sh", "-c", "ln -s a.sock link.sock && ln -s c.sock b.sock && chmod 777 a.sock")
	got.want(t, 0, "")
	const denied = "Permission denied"
	want := "connect ok\nanother port D\nmapped ok\nanother mapped D\nwildcard ok\nIPv6 D\nsendto ok\nsendto another D\nsendmsg ok\nsendmsg another D\n" +
		"fast open D\nbind wildcard D\nlisten D\nnetlink D\nraw D\nunix ok\nanother unix No such file or directory\nunix by a link ok\nabstract D\nbind unix D\npair ok\n"
	got = trial{policy: onePort(good.port), flags: []string{"--quiet"}, dir: dir}.run(t, "/usr/bin/python3", "-c", script)
	got.want(t, 0, strings.ReplaceAll(want, "D\n", denied+"\n"))
	if n := bad.came.Load(); n > 0 {
		t.Errorf("%d arrived at a port that is denied", n)
	}
	if exists(filepath.Join(dir, "c.sock")) {
		t.Error("a socket was made")
	}
}

// TestNetworkByOtherEntries: i386's connect, socketcall, and sendmmsg, which is
// made message by message.
func TestNetworkByOtherEntries(t *testing.T) {
	good, bad := newReceiver(t), newReceiver(t)
	run := trial{policy: onePort(good.port), flags: []string{"--quiet"}}
	run.run(t, tracee(t), "net-int80", itoa(good.port)).want(t, 0, "connect 0\nsocketcall 0\n")
	run.run(t, tracee(t), "net-int80", itoa(bad.port)).want(t, 0, "connect -EACCES\nsocketcall -EACCES\n")
	run.run(t, tracee(t), "net-many", itoa(good.port)).want(t, 0, "lengths 1 2 3\n")
	run.run(t, tracee(t), "net-many", itoa(bad.port)).want(t, 1, "sendmmsg: EACCES\n")
	if good.waitFor(3); good.came.Load() != 3 || bad.came.Load() != 0 {
		t.Errorf("%d messages arrived, and %d where they are denied", good.came.Load(), bad.came.Load())
	}
}

func (r *receiver) waitFor(n int64) {
	for range 500 {
		if r.came.Load() >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestRaceAddresses: a thread changes the address while the call is decided. Of
// 20,000 tries, half of them as each user, none gets to the port that is denied; where calls are only checked,
// some do.
func TestRaceAddresses(t *testing.T) {
	for _, kind := range []string{"connect", "udp", "sendto", "sendmsg", "sendmmsg", "bind", "unix"} {
		t.Run(kind, func(t *testing.T) {
			tries := tried(t, 20000)
			if kind == "connect" || kind == "bind" { // which make a socket each time
				tries = tried(t, 4000)
			}
			if n := raceAddress(t, kind, tries, ""); n > 0 {
				t.Errorf("%d of %d tries got to what is denied", n, tries)
			}
			for range 5 {
				if raceAddress(t, kind, 4000, checkOnly(t)) > 0 {
					return
				}
			}
			t.Error("it does not even succeed where calls are only checked")
		})
	}
}

// raceAddress gives how often a race got to what is denied.
func raceAddress(t *testing.T, kind string, tries int, callgate string) int {
	t.Helper()
	good, bad := newReceiver(t), newReceiver(t)
	dir := openFolder(t)
	words := []string{itoa(good.port), itoa(bad.port)}
	if kind == "unix" {
		words = []string{"a.sock", "b.sock"}
		for i, r := range []*receiver{good, bad} {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, words[i]), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go r.count(c)
		}
	}
	if kind == "bind" { // to ports that nobody has
		good.close()
		bad.close()
	}
	tr := trial{policy: butPort(bad.port), flags: []string{"--quiet"}, dir: dir, build: callgate}
	got := tr.run(t, append([]string{tracee(t), "net-race", kind, itoa(tries)}, words...)...)
	var done, refused int
	if _, err := fmt.Sscanf(got.stdout[strings.LastIndex(got.stdout, "done"):], "done %d refused %d", &done, &refused); err != nil || got.status != 0 {
		t.Fatalf("%v: %v", err, got)
	}
	if callgate == "" && refused == 0 {
		t.Log("nothing was refused: the machine was busy")
	}
	return int(bad.came.Load()) + strings.Count(got.stdout, "bound to the denied port")
}
