package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// sockets begins the scripts of these tests.
const sockets = `
import socket, os, threading, ctypes
from socket import *
def t(name, f):
    try: print(name, f() or "ok")
    except OSError as e: print(name, errno(e.errno))
import errno as numbers
def errno(n): return numbers.errorcode[n].replace("ENOTSUP", "EOPNOTSUPP")
four, six, unix = (lambda: socket(AF_INET, SOCK_STREAM)), (lambda: socket(AF_INET6, SOCK_STREAM)), (lambda: socket(AF_UNIX, SOCK_STREAM))
udp = socket(AF_INET, SOCK_DGRAM)
libc = ctypes.CDLL(None, use_errno=True)
def raw(f, *args):
    if f(*args) < 0: raise OSError(ctypes.get_errno(), "")
`

func python(t *testing.T, policy, dir, script string) outcome {
	t.Helper()
	return trial{policy: policy, flags: []string{"--quiet"}, dir: dir}.run(t, lookPath(t, "/usr/bin/python3"), "-c", sockets+script)
}

// TestNetworkForms: addresses as rules write them, and as calls do.
func TestNetworkForms(t *testing.T) {
	here := newReceiver(t)
	policy := fmt.Sprintf(`callgate: 1
network:
  - deny: "127.0.0.7:*"
  - connect: ["127.0.0.0/29:%d", "[::1]:1-9", "unix:@mine*"]
  - bind: ["localhost:*", "unix:@mine*", "unix:@"]
`, here.port)
	python(t, policy, "", strings.ReplaceAll(`
def six_to(port): return six().connect(("::1", port))
t("in the network", lambda: udp.sendto(b"x", ("127.0.0.1", PORT)) and None)
t("its end", lambda: udp.sendto(b"x", ("127.0.0.6", PORT)) and None)
t("denied in it", lambda: udp.sendto(b"x", ("127.0.0.7", PORT)))
t("beyond it", lambda: udp.sendto(b"x", ("127.0.0.8", PORT)))
t("first port", lambda: six_to(1))
t("last port", lambda: six_to(9))
t("port beyond", lambda: six_to(10))
t("mapped", lambda: six().connect(("::ffff:127.0.0.8", PORT)))
t("IPv6 wildcard", lambda: six().connect(("::", 9)))
t("localhost", lambda: four().bind(("127.0.0.1", 0)))
t("elsewhere", lambda: four().bind(("127.0.0.2", 0)))
t("abstract", lambda: unix().bind("\0mine\0x"))
t("another abstract", lambda: unix().bind("\0min"))
t("without a name", lambda: unix().bind(""))
t("nobody there", lambda: unix().connect("\0mine"))
t("another nobody", lambda: unix().connect("\0your"))
t("a file", lambda: unix().bind("mine"))
def dissolve():
    udp.connect(("127.0.0.1", PORT))
    raw(libc.connect, udp.fileno(), bytes(16), 16)
t("dissolved", dissolve)
def address(family, port, *ip): return family.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes(ip) + bytes(8)
def send(a, n=None): return raw(libc.sendto, udp.fileno(), b"x", 1, 0, a, n or len(a))
t("no family", lambda: send(address(0, PORT, 127, 0, 0, 1)))
t("no family, beyond", lambda: send(address(0, PORT, 127, 0, 0, 8)))
t("too short", lambda: send(address(2, PORT, 127, 0, 0, 8), 15))
t("too long", lambda: send(address(2, PORT, 127, 0, 0, 8) + bytes(200)))
t("at NULL", lambda: raw(libc.connect, udp.fileno(), None, 16))
route = bytes([131, 7, 4, 127, 0, 0, 8, 0])
t("a route", lambda: udp.setsockopt(SOL_IP, 4, route))
t("a range of ports", lambda: udp.setsockopt(SOL_IP, 51, bytes([1, 200, 9, 200])))
t("a message with a route", lambda: udp.sendmsg([b"x"], [(SOL_IP, 7, route)], 0, ("127.0.0.1", PORT)))
t("a message with a TTL", lambda: udp.sendmsg([b"x"], [(SOL_IP, 2, bytes([9, 0, 0, 0]))], 0, ("127.0.0.1", PORT)) and None)
`, "PORT", itoa(here.port))).want(t, 0, `in the network ok
its end ok
denied in it EACCES
beyond it EACCES
first port ECONNREFUSED
last port ECONNREFUSED
port beyond EACCES
mapped EACCES
IPv6 wildcard ECONNREFUSED
localhost ok
elsewhere EACCES
abstract ok
another abstract EACCES
without a name ok
nobody there ECONNREFUSED
another nobody EACCES
a file EACCES
dissolved ok
no family ok
no family, beyond EACCES
too short EINVAL
too long EINVAL
at NULL EFAULT
a route EPERM
a range of ports EPERM
a message with a route EPERM
a message with a TTL ok
`)
}

// TestNetworkListen: who listens without a bind gets a port of all addresses,
// which is decided as binding to that; alone and beside another thread, where the
// supervisor makes the call.
func TestNetworkListen(t *testing.T) {
	const policy = `callgate: 1
network:
  - bind: ["127.0.0.1:*", "unix:/"]
  - connect: ["127.0.0.1:*", "unix:/"]
`
	for name, thread := range map[string]string{"alone": "", "beside a thread": "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"} {
		t.Run(name, func(t *testing.T) {
			python(t, policy, openFolder(t), thread+`
def bound(family, to):
    s = socket(family, SOCK_STREAM)
    s.bind(to)
    s.listen(3)
    s.listen(5)
    c = socket(family, SOCK_STREAM)
    if family == AF_INET:
        c.connect(s.getsockname())
        s.accept()
t("bound", lambda: bound(AF_INET, ("127.0.0.1", 0)))
t("a file", lambda: bound(AF_UNIX, "sock"))
t("unbound", lambda: four().listen(1))
t("unbound IPv6", lambda: six().listen(1))
t("unbound unix", lambda: unix().listen(1))
t("UDP", lambda: udp.listen(1))
t("no socket", lambda: raw(libc.listen, 1, 1))
t("nothing", lambda: raw(libc.listen, 99, 1))
def connected():
    s, c = four(), four()
    s.bind(("127.0.0.1", 0)); s.listen(1)
    c.connect(s.getsockname())
    c.listen(1)
t("connected", connected)
def undone():
    s, c = four(), four()
    s.bind(("127.0.0.1", 0)); s.listen(1)
    c.connect(s.getsockname())
    raw(libc.connect, c.fileno(), bytes(16), 16)
    c.listen(1)
t("connected no more", undone)
def chosen():
    s = unix()
    s.setsockopt(SOL_SOCKET, SO_PASSCRED, 1)
    try: s.connect("sock")
    except ConnectionRefusedError: pass
    if len(s.getsockname()) != 6: return s.getsockname()
    s.listen(1)
t("a name of the kernel's choice", chosen)
os._exit(0)
`).want(t, 0, "bound ok\na file ok\nunbound EACCES\nunbound IPv6 EACCES\nunbound unix EINVAL\nUDP EOPNOTSUPP\nno socket ENOTSOCK\nnothing EBADF\nconnected EINVAL\nconnected no more EACCES\na name of the kernel's choice EACCES\n")
		})
	}
}

// TestNetworkListenBlind: where pidfd_getfd(2) is refused, as containers do, a
// socket that was bound by leave listens, of a process without threads.
func TestNetworkListenBlind(t *testing.T) {
	const pidfdGetfd = "438"
	policy := filepath.Join(openFolder(t), "policy.yaml")
	writeFile(t, policy, "callgate: 1\nnetwork:\n  - bind: [\"127.0.0.1:*\", \"unix:/\"]\n")
	const script = `
def bound(family, to):
    s = socket(family, SOCK_STREAM)
    s.bind(to)
    s.listen(3)
t("bound", lambda: bound(AF_INET, ("127.0.0.1", 0)))
t("a file", lambda: bound(AF_UNIX, "sock"))
t("unbound", lambda: four().listen(1))
t("unbound IPv6", lambda: six().listen(1))
threading.Thread(target=threading.Event().wait, daemon=True).start()
t("beside a thread", lambda: bound(AF_INET, ("127.0.0.1", 0)))
os._exit(0)
`
	trial{bare: true}.run(t, tracee(t), "without", pidfdGetfd, lookPath(t, "callgate"), "run", "--quiet", "-p", policy, "--",
		lookPath(t, "/usr/bin/python3"), "-c", sockets+script).
		want(t, 0, "bound ok\na file ok\nunbound EACCES\nunbound IPv6 EACCES\nbeside a thread EACCES\n")
}

// TestNetworkUnixNames: names that are long, relative, beneath links or in
// /proc/self/fd, of a process with threads and of one without.
func TestNetworkUnixNames(t *testing.T) {
	const policy = "callgate: 1\nnetwork:\n  - bind: [\"unix:/**/deep/**\", \"127.0.0.1\"]\n  - connect: \"unix:/**/deep/**\"\n"
	for name, c := range map[string]struct{ thread, long string }{
		"alone":           {"", "ok"},
		"beside a thread": {"threading.Thread(target=threading.Event().wait, daemon=True).start()\n", "ENAMETOOLONG"},
	} {
		t.Run(name, func(t *testing.T) {
			got := python(t, policy, openFolder(t), c.thread+`
keep = []
def bind(name):
    s = unix()
    s.bind(name); s.listen(99)
    keep.append(s)
def reach(name): return unix().connect(name)
os.makedirs("deep/" + "x" * 50 + "/" + "y" * 60)
os.symlink("deep", "link"); os.symlink("..", "deep/up")
t("relative", lambda: bind("deep/a"))
t("by a link", lambda: reach("link/a"))
t("by dots", lambda: reach("deep/../deep/./a"))
t("out of it", lambda: bind("deep/up/a"))
t("absolute", lambda: reach(os.getcwd() + "/deep/a"))
fd = os.open("deep", os.O_PATH)
t("by a descriptor", lambda: reach("/proc/self/fd/%d/a" % fd))
file = os.open("deep/a", os.O_PATH)
t("a descriptor", lambda: reach("/proc/self/fd/%d" % file))
t("missing", lambda: reach("deep/b"))
t("no socket", lambda: reach("deep"))
t("there already", lambda: bind("deep/a"))
t("a name of its own", lambda: keep[0].getsockname())
os.chdir("deep/" + "x" * 50 + "/" + "y" * 60)
t("in a long folder", lambda: bind("z"))
os._exit(0)
`)
			got.want(t, 0, strings.ReplaceAll("relative ok\nby a link ok\nby dots ok\nout of it EACCES\nabsolute ok\nby a descriptor ok\na descriptor ok\nmissing ENOENT\nno socket ECONNREFUSED\nthere already EADDRINUSE\n"+
				nameOfFirst(got.stdout)+"in a long folder LONG\n", "LONG", c.long))
		})
	}
}

// nameOfFirst is the line with the first socket's name, which depends on the
// folder; it must end as the name that was given.
func nameOfFirst(stdout string) string {
	for line := range strings.Lines(stdout) {
		if strings.HasPrefix(line, "a name of its own ") && strings.HasSuffix(line, "deep/a\n") {
			return line
		}
	}
	return "a name of its own deep/a\n"
}

// TestRaceHeader: a thread puts an address into the header of a message that has
// none.
func TestRaceHeader(t *testing.T) {
	attack := func(tries int, build string) int {
		good, bad := newReceiver(t), newReceiver(t)
		tr := trial{policy: butPort(bad.port), flags: []string{"--quiet"}, build: build}
		if got := tr.run(t, tracee(t), "net-race-added", itoa(tries), itoa(good.port), itoa(bad.port)); got.status != 0 {
			t.Fatal(got)
		}
		return int(bad.came.Load())
	}
	if n := attack(20000, ""); n > 0 {
		t.Errorf("%d messages got to what is denied", n)
	}
	for range 5 {
		if attack(4000, checkOnly(t)) > 0 {
			return
		}
	}
	t.Error("it does not even succeed where calls are only checked")
}

// TestRaceListen: a thread exchanges a socket that is bound to a permitted port
// for one that is bound to nothing.
func TestRaceListen(t *testing.T) {
	attack := func(tries int, build string) (wrong int) {
		free := newReceiver(t)
		free.close()
		policy := fmt.Sprintf("callgate: 1\nnetwork:\n  - bind: \"127.0.0.1:%d\"\n", free.port)
		got := trial{policy: policy, flags: []string{"--quiet"}, build: build}.run(t, tracee(t), "net-race-listen", itoa(tries), itoa(free.port))
		var done, refused int
		if _, err := fmt.Sscanf(got.stdout, "done %d refused %d wrong %d", &done, &refused, &wrong); err != nil || got.status != 0 {
			t.Fatalf("%v: %v", err, got)
		}
		return wrong
	}
	if attack(20000, "") > 0 {
		t.Error("a socket listens that is bound to nothing")
	}
	for range 10 {
		if attack(20000, checkOnly(t)) > 0 {
			return
		}
	}
	t.Error("it does not even succeed where calls are only checked")
}

// TestNetworkPrograms: programs that nobody wrote for this get what the rules
// permit, and nothing else.
func TestNetworkPrograms(t *testing.T) {
	serve := func() (*httptest.Server, int) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
		t.Cleanup(s.Close)
		return s, s.Listener.Addr().(*net.TCPAddr).Port
	}
	good, port := serve()
	bad, _ := serve()
	policy := fmt.Sprintf("callgate: 1\nnetwork:\n  - connect: \"127.0.0.1:%d\"\n  - connect: AF_NETLINK\n  - bind: [AF_NETLINK, \"127.0.0.1:*\"]\n", port)
	for _, c := range []struct {
		name string
		argv []string // a %s is the URL
	}{
		{"curl", []string{"curl", "-sS", "--max-time", "20", "%s"}},
		{"python", []string{"/usr/bin/python3", "-c", "import urllib.request; print(urllib.request.urlopen('%s', timeout=20).read().decode(), end='')"}},
		{"node", []string{"node", "-e", "fetch('%s').then(r => r.text()).then(t => process.stdout.write(t), e => process.exit(3))"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := func(url string) outcome {
				argv := append([]string{lookPath(t, c.argv[0])}, c.argv[1:]...)
				argv[len(argv)-1] = strings.Replace(argv[len(argv)-1], "%s", url, 1)
				return trial{policy: policy, flags: []string{"--quiet"}}.run(t, argv...)
			}
			with(good.URL).want(t, 0, "hello")
			if got := with(bad.URL); got.status == 0 || got.stdout != "" {
				t.Errorf("it got to a port that is denied: %v", got)
			}
		})
	}
}
