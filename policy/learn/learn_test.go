package learn

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

var here = Place{Dir: "/home/me/repo", Work: "/home/me/repo", Home: "/home/me", Tmp: "/tmp/callgate-1/x",
	Wide:   []string{"/etc", "/home/me", "/home/me/.config", "/run", "/proc", "/home/me/.cache"},
	Shared: []string{"/tmp", "/var/tmp", "/dev/shm"}}

// bare is a policy that permits nothing.
const bare = "callgate: 1\nsyscalls: []\nfiles: []\nexec: []\nnetwork: []\n"

func parse(t *testing.T, name, text string) *policy.Policy {
	t.Helper()
	p, err := (&policy.Loader{}).Parse(name, []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

func newLog(t *testing.T, base string) *Log { return &Log{Base: parse(t, "base", base)} }

// read and write note files, a folder where the path ends in a slash.
func (l *Log) read(paths ...string)  { l.files(policy.Read, paths) }
func (l *Log) write(paths ...string) { l.files(policy.Write, paths) }

func (l *Log) files(a policy.Access, paths []string) {
	for _, path := range paths {
		clean, folder := strings.CutSuffix(path, "/")
		if clean == "" {
			clean = "/"
		}
		l.Object("/bin/prog", &policy.Object{Section: policy.Files, Access: a, Path: clean, Folder: folder}, false, false)
	}
}

// policyOf is the text, which must be a policy.
func policyOf(t *testing.T, l *Log, at Place) string {
	t.Helper()
	text, _, _ := l.Policy(&Draft{Place: at, Command: []string{"prog"}})
	parse(t, "/home/me/repo/p.yaml", text)
	return text
}

// rulesOf are the lines of a section, without comments.
func rulesOf(text, section string) []string {
	var rules []string
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, " ") {
			in = line == section+":"
			continue
		}
		if line = strings.TrimPrefix(line, "  "); in && !strings.HasPrefix(line, "#") {
			rule, _, _ := strings.Cut(line, " # ")
			rules = append(rules, rule)
		}
	}
	return rules
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		read, write []string
		want        []string
	}{
		"a file alone":             {read: []string{"/usr/lib/a/one"}, want: []string{"- read: /usr/lib/a/one"}},
		"a folder of many":         {read: []string{"/usr/lib/a/1", "/usr/lib/a/2", "/usr/lib/a/3"}, want: []string{"- read: /usr/lib/a"}},
		"of two":                   {read: []string{"/usr/lib/a/1", "/usr/lib/a/2"}, want: []string{"- read: /usr/lib/a/1", "- read: /usr/lib/a/2"}},
		"never what is wide":       {read: []string{"/etc/1", "/etc/2", "/etc/3"}, want: []string{"- read: /etc/1", "- read: /etc/2", "- read: /etc/3"}},
		"nor a folder of /":        {read: []string{"/srv/1", "/srv/2", "/srv/3"}, want: []string{"- read: /srv/1", "- read: /srv/2", "- read: /srv/3"}},
		"nor another's home":       {read: []string{"/home/you/1", "/home/you/2", "/home/you/3"}, want: []string{"- read: /home/you/1", "- read: /home/you/2", "- read: /home/you/3"}},
		"a folder listed":          {read: []string{"/usr/lib/a/", "/usr/lib/a/1"}, want: []string{"- read: /usr/lib/a"}},
		"a wide one listed":        {read: []string{"/etc/", "/", "/home/me/", "/tmp/"}},
		"relative":                 {read: []string{"/home/me/repo/a"}, write: []string{"/home/me/repo/b/c"}, want: []string{`- write: "./b/c"`, `- read: "./a"`}},
		"the folder itself":        {write: []string{"/home/me/repo/"}, want: []string{`- write: "."`}},
		"home":                     {read: []string{"/home/me/.x/y"}, want: []string{`- read: "~/.x/y"`}},
		"a name that begins so":    {read: []string{"/home/mean"}, want: []string{"- read: /home/mean"}},
		"write covers read":        {read: []string{"/var/x/y/z"}, write: []string{"/var/x/y/"}, want: []string{"- write: /var/x/y"}},
		"read covers no write":     {read: []string{"/var/x/y/"}, write: []string{"/var/x/y/z"}, want: []string{"- write: /var/x/y/z", "- read: /var/x/y"}},
		"many written, its own":    {write: []string{"/home/me/repo/o/1", "/home/me/repo/o/2", "/home/me/repo/o/3"}, want: []string{`- write: "./o"`}},
		"many written, at the top": {write: []string{"/home/me/repo/1", "/home/me/repo/2", "/home/me/repo/3"}, want: []string{`- write: "./1"`, `- write: "./2"`, `- write: "./3"`}},
		"many written, elsewhere": {write: []string{"/var/lib/x/1", "/var/lib/x/2", "/var/lib/x/3"},
			want: []string{"- write: /var/lib/x/1", "- write: /var/lib/x/2", "- write: /var/lib/x/3"}},
		"devices stay apart": {write: []string{"/dev/null", "/dev/tty", "/dev/zero", "/dev/full"}, want: []string{"- write: /dev/full", "- write: /dev/null", "- write: /dev/tty", "- write: /dev/zero"}},
		"temporary":          {write: []string{"/tmp/callgate-1/x/ccAb12.o", "/tmp/callgate-1/x/"}, want: []string{`- write: "$TMPDIR"`}},
		"a cache":            {read: []string{"/home/me/.cache/go/a/b"}, write: []string{"/home/me/.cache/go/c/d"}, want: []string{`- write: "~/.cache/go"`}},
		"its own process":    {read: []string{"/proc/self/maps", "/proc/self/task/77/status"}, write: []string{"/proc/self/task/77/comm"}, want: []string{`- write: "/proc/self/task/[0-9]*/comm"`, "- read: /proc/self"}},
		"other processes":    {read: []string{"/proc/1/stat", "/proc/12/stat"}, want: []string{`- read: "/proc/[0-9]*/stat"`}},
		"the machine":        {read: []string{"/proc/meminfo"}, want: []string{"- read: /proc/meminfo"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t, bare)
			l.read(c.read...)
			l.write(c.write...)
			text := policyOf(t, l, here)
			if got := rulesOf(text, "files"); !slices.Equal(got, c.want) {
				t.Errorf("%q\n%s", got, text)
			}
		})
	}
}

// TestFreshAbove: to make a folder that is above secrets permits nothing else there.
func TestFreshAbove(t *testing.T) {
	l := newLog(t, bare)
	l.Object("prog", &policy.Object{Section: policy.Files, Access: policy.Write, Path: "/home/me/.config"}, true, false)
	l.write("/home/me/.config/app")
	text := policyOf(t, l, here)
	if got := rulesOf(text, "files"); !slices.Equal(got, []string{`- write: "~/.config/app"`}) || !strings.Contains(text, "\n  # - write: \"~/.config\" # prog: it was made") {
		t.Error(text)
	}
}

// TestPlaces: where the policy lies decides how paths are written.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		dir, work, home, path, want string
	}{
		{"/r", "/r/sub", "/home/me", "/r/sub/f", `"./sub/f"`},
		{"/r", "/r/sub", "/home/me", "/r/g", `"./g"`},
		{"/etc/policies", "/r", "/home/me", "/r/f", `"$PWD/f"`},
		{"/", "/r", "/home/me", "/r/f", `"$PWD/f"`},
		{"/home/me", "/home/me", "/home/me", "/home/me/f", `"~/f"`},
		{"/home", "/home/me/r", "/home/me", "/home/me/r/f", `"$PWD/f"`},
		{"/r", "/r", "", "/x/f", "/x/f"},
	} {
		at := Place{Dir: c.dir, Work: c.work, Home: c.home}
		if got := policy.Quote(at.spell(c.path, false, false)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestFresh: what is made in a temporary folder of all users has another name the next time.
func TestFresh(t *testing.T) {
	for name, want := range map[string]string{
		"tmpAbC123": `"/tmp/tmp*"`, "tmp.aB3dE5fG": `"/tmp/tmp*"`, "job.4711": `"/tmp/job.*"`, "x-qWeRtY": `"/tmp/x-*"`, "[a]*.4711": `"/tmp/\\[a\\]\\*.*"`,
		"fixed": "/tmp/fixed", "12345": "/tmp/12345", "a.yaml": "/tmp/a.yaml", "some-folder": "/tmp/some-folder",
	} {
		l := newLog(t, bare)
		l.Object("prog", &policy.Object{Section: policy.Files, Access: policy.Write, Path: "/tmp/" + name}, true, false)
		if strings.HasSuffix(want, `*"`) {
			l.read("/tmp/" + name + "/beneath")
		}
		l.write("/tmp/there.12345") // which it did not make
		if got := rulesOf(policyOf(t, l, here), "files"); len(got) != 2 || !slices.Contains(got, "- write: "+want) || !slices.Contains(got, "- write: /tmp/there.12345") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestOrder: the order in which things come changes nothing.
func TestOrder(t *testing.T) {
	type thing func(*Log)
	var things []thing
	for i := range 60 {
		path := fmt.Sprintf("/usr/share/%d/%d/%d", i%3, i%7, i)
		things = append(things, func(l *Log) { l.read(path) }, func(l *Log) { l.write("/home/me/repo" + path[4:]) })
		things = append(things, func(l *Log) {
			l.Call(fmt.Sprintf("/bin/p%d", i%9), abi.Call{Arch: abi.X86_64, Nr: uint32(i), Args: [6]uint64{1, uint64(i)}})
		})
	}
	want := ""
	for range 20 {
		rand.Shuffle(len(things), func(i, j int) { things[i], things[j] = things[j], things[i] })
		l := newLog(t, bare)
		for _, add := range things {
			add(l)
		}
		got := policyOf(t, l, here)
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("%s\n%s", want, got)
		}
	}
}

// TestBounds: however much a command asks for, what is kept and written has an end, and the
// policy is one.
func TestBounds(t *testing.T) {
	l := newLog(t, bare)
	long := strings.Repeat("x", 200)
	for i := range 2 * mostObjects {
		l.write(fmt.Sprintf("/var/%d/%s", i, long))
		l.Call("prog", abi.Call{Arch: abi.X86_64, Nr: 16, Args: [6]uint64{0, uint64(i)}})
		l.Denied("prog", &policy.Rule{Pos: policy.Position{File: "base", Line: i}, Section: policy.Files}, abi.Call{}, &policy.Object{Section: policy.Files, Access: policy.Read, Path: fmt.Sprint("/secret/", i)})
	}
	if len(l.objects) > mostObjects || l.bytes > mostBytes || len(l.calls["ioctl"]) > mostValues || len(l.denials) > mostRefusers {
		t.Error(len(l.objects), l.bytes, len(l.calls["ioctl"]), len(l.denials))
	}
	text, _, left := l.Policy(&Draft{Place: here})
	if len(text) > 1<<20 || left < mostObjects {
		t.Error(len(text), left)
	}
	p := parse(t, "/home/me/repo/p.yaml", text)
	if v := p.Decide(abi.Call{Arch: abi.X86_64, Nr: 16, Args: [6]uint64{0, 99_999}}); v.Action.Permits() {
		t.Error("too many requests of ioctl permit them all")
	}
	l = newLog(t, bare)
	for i := range mostRules {
		l.write(fmt.Sprintf("/var/%d/%s", i, strings.Repeat("\u202e", 600))) // which are written as six letters
	}
	if text := policyOf(t, l, here); len(text) > 1<<20 {
		t.Error(len(text))
	}
}

// TestLinks: a rule on a symbolic link itself is none on what it leads to.
func TestLinks(t *testing.T) {
	l := newLog(t, bare)
	l.Object("prog", &policy.Object{Section: policy.Files, Access: policy.Write, Path: "/home/me/repo/link", Link: true}, false, false)
	if got := rulesOf(policyOf(t, l, here), "files"); !slices.Equal(got, []string{`- write: "./[l]ink"`}) {
		t.Error(got)
	}
}

// TestCalls: conditions where a call is many, and where the base has some.
func TestCalls(t *testing.T) {
	call := func(nr uint32, args ...uint64) abi.Call {
		c := abi.Call{Arch: abi.X86_64, Nr: nr}
		copy(c.Args[:], args)
		return c
	}
	l := newLog(t, bare)
	for _, c := range []abi.Call{call(0), call(231), call(82), call(16, 1, 0x5413), call(16, 1, 0x5401), call(41, 2, 1), call(41, 2, 2), call(41, 10, 1), call(56, 0x11)} {
		l.Call("/bin/b", c)
		l.Call("/bin/a", c)
	}
	want := []string{`- allow: "@default"`, "- allow: [read, rename]",
		"- allow: clone", "  args: { flags: " + noNamespaces + " }",
		"- allow: ioctl", "  args: { request: [TCGETS, TIOCGWINSZ] }",
		"- allow: socket", "  args: { domain: AF_INET, type: [SOCK_STREAM, SOCK_DGRAM] }",
		"- allow: socket", "  args: { domain: AF_INET6, type: SOCK_STREAM }"}
	text := policyOf(t, l, here)
	got := rulesOf(text, "syscalls")
	slices.Sort(got)
	slices.Sort(want)
	if strings.ReplaceAll(strings.Join(got, "\n"), "[SOCK_DGRAM, SOCK_STREAM]", "[SOCK_STREAM, SOCK_DGRAM]") != strings.Join(want, "\n") {
		t.Error(text)
	}
	if !strings.Contains(text, "# a, b\n") {
		t.Errorf("nobody is named in\n%s", text)
	}

	l = newLog(t, bare)
	l.Call("/bin/a", call(56, 0x11))
	l.Call("/bin/a", call(56, 0x10000011))
	p := parse(t, "/home/me/repo/p.yaml", policyOf(t, l, here))
	if !p.Decide(call(56, 0x10000011)).Action.Permits() || p.Decide(call(56, 0x20000011)).Action.Permits() {
		t.Error("of clones that make a namespace not those alone are permitted that were seen")
	}

	l = newLog(t, "callgate: 1\nsyscalls:\n  - deny: kill\n    args: { sig: SIGKILL }\n")
	l.Call("/bin/a", call(62, 1, 15))
	p = parse(t, "/home/me/repo/p.yaml", policyOf(t, l, here))
	if !p.Decide(call(62, 1, 15)).Action.Permits() || p.Decide(call(62, 1, 9)).Action.Permits() {
		t.Error("a call without condition is permitted on which the base has one")
	}
}

// TestCompat: a call through another ABI is seen by its name there, and has its line.
func TestCompat(t *testing.T) {
	l := newLog(t, bare)
	l.Call("/bin/a", abi.Call{Arch: abi.I386, Nr: 20})
	if text := policyOf(t, l, here); !strings.Contains(text, "\ncompat: { i386: same } # a\n") || !strings.Contains(text, "getpid") && !strings.Contains(text, "@default") {
		t.Error(text)
	}
}

func TestNetwork(t *testing.T) {
	to := func(text string) policy.Address {
		a := netip.MustParseAddrPort(text)
		family := uint16(2)
		if a.Addr().Is6() {
			family = 10
		}
		return policy.Address{Family: family, IP: a.Addr(), Port: a.Port()}
	}
	connect := func(a policy.Address) policy.Object { return policy.Object{Section: policy.Network, Address: a} }
	bind := func(a policy.Address) policy.Object {
		return policy.Object{Section: policy.Network, Address: a, Bind: true}
	}
	for name, c := range map[string]struct {
		base string
		asks []policy.Object
		want []string
	}{
		"an address": {bare, []policy.Object{connect(to("192.0.2.1:443")), bind(to("[::1]:80"))}, []string{`- bind: "[::1]:80"`, `- connect: "192.0.2.1:443"`}},
		"a chosen port": {bare, []policy.Object{bind(to("127.0.0.1:0")), connect(to("127.0.0.1:40001")), connect(to("[::1]:50001")), connect(to("192.0.2.1:40001"))},
			[]string{`- bind: "127.0.0.1:0"`, `- connect: "127.0.0.1:32768-60999"`, `- connect: "192.0.2.1:40001"`, `- connect: "[::1]:32768-60999"`}},
		"a port of another's": {bare, []policy.Object{connect(to("127.0.0.1:40001"))}, []string{`- connect: "127.0.0.1:40001"`}},
		"a base that denies some": {bare + "", []policy.Object{connect(policy.Address{Family: 1, Path: "/home/me/repo/s"}), connect(policy.Address{Family: 1, Path: "bus", Abstract: true})},
			[]string{`- connect: "unix:./s"`, `- connect: "unix:@bus"`}},
		"denied ports": {"callgate: 1\nnetwork:\n  - deny: 127.0.0.1:40002\n", []policy.Object{bind(to("127.0.0.1:0")), connect(to("127.0.0.1:40001"))},
			[]string{`- bind: "127.0.0.1:0"`, `- connect: "127.0.0.1:40001"`}},
		"a family":       {bare, []policy.Object{{Section: policy.Network, Socket: &policy.Socket{Domain: 16, Type: 3}}}, []string{`- connect: "AF_NETLINK"`}},
		"a socket alone": {bare, []policy.Object{{Section: policy.Network, Socket: &policy.Socket{Domain: 2, Type: 1}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t, c.base)
			for i := range c.asks {
				l.Object("/bin/prog", &c.asks[i], false, false)
			}
			text := policyOf(t, l, here)
			if got := rulesOf(text, "network"); !slices.Equal(got, c.want) {
				t.Errorf("%q\n%s", got, text)
			}
		})
	}
}
