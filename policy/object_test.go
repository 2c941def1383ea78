package policy

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestObjectRule(t *testing.T) {
	long := "/" + strings.Repeat("*", 3000)
	for _, tt := range []struct {
		object    Object
		rule, why string
	}{
		{Object{Section: Files, Access: Look, Path: "/usr/lib/x-1.so"}, "read: /usr/lib/x-1.so", ""},
		{Object{Section: Files, Access: Write, Path: "/tmp/a b"}, `write: "/tmp/a b"`, ""},
		{Object{Section: Files, Access: Read, Path: "/d/[id].tsx"}, `read: "/d/\\[id\\].tsx"`, ""},
		{Object{Section: Files, Access: Read, Path: "/d/*"}, `read: "/d/\\*"`, ""},
		{Object{Section: Files, Access: Read, Path: `/d/$HOME/a\b?`}, `read: "/d/\\$HOME/a\\\\b\\?"`, ""},
		{Object{Section: Files, Access: Read, Path: "/d/\x1b[31m\n\u202e"}, `read: "/d/\x1b\\[31m\n\u202e"`, ""},
		{Object{Section: Files, Access: Read, Path: "/d", Folder: true}, "read: /d", "and all beneath it"},
		{Object{Section: Files, Access: Write, Path: "/d/link", Link: true}, `write: "/d/[l]ink"`, ""},
		{Object{Section: Files, Access: Write, Path: "/d/]", Link: true}, `write: "/d/[\\]]"`, ""},
		{Object{Section: Files, Access: Write, Path: "/d/é", Link: true}, `write: "/d/[é]"`, ""},
		{Object{Section: Files, Access: Write, Path: "/proc/self/mem"}, "write: /proc/self/mem", ""},
		{Object{Section: Files, Access: Read, Path: "/proc/77/maps"}, "read: /proc/77/maps", "another process has this number the next time"},
		{Object{Section: Files, Access: Read, Path: "/d/\xff"}, "", "no rule of files can name it: its name is not UTF-8, as policies are"},
		{Object{Section: Files, Access: Read, Path: long}, "", "no rule of files can name it: its name, with what is to be escaped, has more than 4096 bytes"},
		{Object{Section: Files, Access: Read}, "", "no rule of files can name it: it has no path"},
		{Object{Section: Exec, Path: "/usr/bin/id"}, "allow: /usr/bin/id", ""},
		{Object{Section: Exec, Path: "memfd:x"}, "", "no rule of exec can name it: it has no path"},
		{Object{Section: Network, Address: addressOf(t, "1.2.3.4:80")}, `connect: "1.2.3.4:80"`, ""},
		{Object{Section: Network, Address: addressOf(t, "[::ffff:1.2.3.4]:80")}, `connect: "1.2.3.4:80"`, ""},
		{Object{Section: Network, Address: addressOf(t, "[fe80::1%eth0]:80")}, `connect: "[fe80::1]:80"`, ""},
		{Object{Section: Network, Bind: true, Address: addressOf(t, "0.0.0.0:0")}, `bind: "0.0.0.0:0"`, ""},
		{Object{Section: Network, Address: addressOf(t, "16")}, `connect: "AF_NETLINK"`, ""},
		{Object{Section: Network, Address: addressOf(t, "999")}, "", "no rule of network can name it: its address family has no name"},
		{Object{Section: Network, Address: addressOf(t, "@a*[b]?")}, `connect: "unix:@a\\*\\[b\\]\\?"`, ""},
		{Object{Section: Network, Address: addressOf(t, "@\xff")}, "", "no rule of network can name it: its name is not UTF-8, as policies are"},
		{Object{Section: Network, Address: addressOf(t, "")}, `connect: "unix:@"`, ""},
		{Object{Section: Network, Socket: &Socket{16, 3, 0}}, `connect: "AF_NETLINK"`, ""},
		{Object{Section: Network, Socket: &Socket{1 << 16, 3, 0}}, "", "no rule of network can name it: its address family has no name"},
		{Object{Section: Network, Socket: &Socket{afInet, 3, 1}}, "", "no rule of network can permit it"},
		{Object{Section: Network, Socket: &Socket{afInet6, 0x80001, 132}}, "", "no rule of network can permit it"},
		{Object{Section: Network, Address: addressOf(t, "/run/a?")}, `connect: "unix:/run/a\\?"`, ""},
	} {
		if rule, why := tt.object.Rule(); rule != tt.rule || why != tt.why {
			t.Errorf("%+v\ngot  %s # %s\nwant %s # %s", tt.object, rule, why, tt.rule, tt.why)
		}
	}
}

// ask is a bound set's verdict on an object.
func (b *Sections) ask(o Object) Verdict {
	switch {
	case o.Section == Files:
		return b.File(o.Path, o.Access)
	case o.Section == Exec:
		return b.Program(o.Path)
	case o.Socket != nil:
		return b.Socket(o.Socket.Domain, o.Socket.Type, o.Socket.Protocol)
	case o.Bind:
		return b.Listen(o.Address)
	}
	return b.Connect(o.Address)
}

// hostileNames are what programs may call their files to have a rule say more than
// it seems to.
var hostileNames = []string{"*", "**", "?", "[", "]", "[a-z]", "[!a]", "[^a]", "-", "!", "^", `\`, `\\`, "$", "$HOME", "${HOME}", "~", "#", " ", ": ", "- ",
	"\"", "'", "{", "}", "&", "|", ">", "%", "@", "`", ",", "\n", "\r", "\t", "\x01", "\x1b[31m", "\x7f", "\u0085", "\u00a0", "\u009b", "\u200b", "\u2028", "\u202e", "\ufeff", "\ufffd", "\uffff",
	"é", "😀", "\U0010ffff", "\xff", "\xc3", "a", "b", "null", "yes", "0", "1e3", ".", "..", "<<", "!!str"}

func hostileName(rnd *rand.Rand) string {
	var b strings.Builder
	for range 1 + rnd.IntN(4) {
		b.WriteString(hostileNames[rnd.IntN(len(hostileNames))])
	}
	if name := b.String(); name != "." && name != ".." {
		return name
	}
	return "..."
}

// neighbour is another name, of which a rule on name must not speak.
func neighbour(rnd *rand.Rand, name string) string {
	runes := []rune(name)
	at := rnd.IntN(len(runes) + 1)
	other := string(runes[:at]) + hostileName(rnd) + string(runes[min(len(runes), at+rnd.IntN(2)):])
	switch {
	case rnd.IntN(4) == 0:
		other = strings.NewReplacer(`\`, "", "*", "x", "?", "x", "[", "", "]", "", "$HOME", "/home/u").Replace(name)
	case rnd.IntN(4) == 0:
		other = strings.Repeat("x", utf8.RuneCountInString(name))
	}
	if other = strings.Trim(path.Clean("/"+other), "/"); other == "" || other == name {
		return "elsewhere"
	}
	return other
}

// hostileObject is a denied object of a section with a hostile name, and one beside
// it that nobody asked for.
func hostileObject(rnd *rand.Rand, sec Section) (o, beside Object) {
	name := hostileName(rnd)
	other := neighbour(rnd, name)
	o = Object{Section: sec, Access: Access(1 + rnd.IntN(3)), Link: sec == Files && rnd.IntN(4) == 0}
	beside = o
	switch {
	case sec != Network:
		o.Path, beside.Path = "/d/"+name, "/d/"+other
	case rnd.IntN(2) == 0:
		o.Address, beside.Address = Address{Family: afUnix, Path: name + "\x00", Abstract: true}, Address{Family: afUnix, Path: other, Abstract: true}
	default:
		o.Address, beside.Address = Address{Family: afUnix, Path: "/d/" + name}, Address{Family: afUnix, Path: "/d/" + other}
	}
	o.Bind = rnd.IntN(2) == 0
	beside.Bind = o.Bind
	return o, beside
}

// TestObjectRulePermits: put above what denied an object, its rule permits that
// object and not the one beside it, whatever their names.
func TestObjectRulePermits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	named := 0
	for range 6000 {
		sec := Files + Section(rnd.IntN(3))
		o, beside := hostileObject(rnd, sec)
		rule, why := o.Rule()
		if rule == "" {
			if utf8.ValidString(o.Path) && utf8.ValidString(o.Address.Path) {
				t.Errorf("%+v: %s", o, why)
			}
			continue
		}
		named++
		last := "deny: /"
		if sec == Network {
			last = `deny: ["unix:/", "unix:@*"]`
		}
		if before := bind(t, sec.String()+":\n  - "+last+"\n"); before.ask(o).Action.Permits() {
			t.Fatalf("%+v is not denied", o)
		}
		b := bind(t, sec.String()+":\n  - "+rule+"\n  - "+last+"\n")
		if v := b.ask(o); !v.Action.Permits() {
			t.Errorf("%s does not permit %q: %v", rule, o.Path+o.Address.Path, v)
		}
		if v := b.ask(beside); v.Action.Permits() {
			t.Errorf("%s permits %q: %v", rule, beside.Path+beside.Address.Path, v)
		}
	}
	if named < 4000 {
		t.Errorf("only %d were named", named)
	}
}

// TestObjectRuleOfSockets: what is said of a socket that is denied permits it and no
// address that programs reach, or it is true that no rule can.
func TestObjectRuleOfSockets(t *testing.T) {
	for domain := range uint32(50) {
		for _, kind := range []uint32{1, 2, 3, 5, 0x80801} {
			for _, protocol := range []uint32{0, 1, 6, 17, 132, 255} {
				o := Object{Section: Network, Socket: &Socket{domain, kind, protocol}}
				rule, why := o.Rule()
				if _, example, ok := strings.Cut(why, "as by network: - "); ok {
					rule = example
				}
				if rule == "" && domain == afInet {
					rule = "connect: AF_INET"
				}
				if rule == "" {
					continue
				}
				v := bind(t, "network: [{"+rule+"}]").Socket(domain, kind, protocol)
				if never := o.Reason() != ""; v.Action.Permits() == never {
					t.Errorf("%+v with %s: %v", *o.Socket, rule, v)
				}
			}
		}
	}
}

// TestObjectRuleOfLinks: a rule on a symbolic link itself is none on what it leads
// to, though a sandbox follows the links in its patterns when it starts.
func TestObjectRuleOfLinks(t *testing.T) {
	o := Object{Section: Files, Access: Write, Path: "/home/u/link", Link: true}
	rule, _ := o.Rule()
	b := bind(t, "files:\n  - "+rule+"\n")
	for path, want := range map[string]bool{o.Path: true, "/data/real": false, "/data/real/x": false, "/home/u/lin": false, "/home/u/linkx": false} {
		if v := b.File(path, Write); v.Action.Permits() != want {
			t.Errorf("%s: %v", path, v)
		}
	}
}

// TestRefusals: what one policy of a set says against an object, some policy's refusal
// says, and a refusal is that of a policy that would deny alone.
func TestRefusals(t *testing.T) {
	texts := []string{
		"files: [{deny: /d/a}, {read: /}]\nexec: [{allow: /d/b}]\nnetwork: [{deny: 10.0.0.0/8}, {connect: \"*:80\"}, {bind: [\"127.0.0.1:*\", \"unix:/d\"]}]",
		"default: allow\nfiles: [{kill: /d/b}, {read: /d}, {deny: /d/c}]\nexec: [{deny: /d/c}]\nnetwork: [{deny: [\"unix:@*\", 127.0.0.1]}]",
		"network: []\nfiles: [{write: /d}]",
	}
	var set Set
	for i, text := range texts {
		p, err := (&Loader{}).Parse("/etc/p/"+string(rune('a'+i))+".yaml", []byte("callgate: 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, p)
	}
	var objects []Object
	for _, path := range []string{"/d", "/d/a", "/d/b/x", "/d/c", "/e"} {
		for access := Look; access <= Write; access++ {
			objects = append(objects, Object{Section: Files, Access: access, Path: path})
		}
		objects = append(objects, Object{Section: Exec, Path: path}, Object{Section: Network, Address: Address{Family: afUnix, Path: path}, Bind: true})
	}
	for _, text := range []string{"10.0.0.1:80", "0.0.0.0:80", "127.0.0.1:81", "[::]:80", "[::ffff:10.0.0.1]:80", "@x", "16"} {
		for _, bind := range []bool{false, true} {
			objects = append(objects, Object{Section: Network, Address: addressOf(t, text), Bind: bind})
		}
	}
	for _, s := range []Socket{{afInet, 1, 6}, {afInet, 3, 1}, {afUnix, 1, 0}, {16, 3, 0}} {
		objects = append(objects, Object{Section: Network, Socket: &s})
	}
	all, err := set.Bind(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		var want []string
		for _, p := range set {
			alone, err := Set{p}.Bind(home)
			if err != nil {
				t.Fatal(err)
			}
			if v := alone.ask(o); !v.Action.Permits() {
				want = append(want, v.String())
			}
		}
		var got []string
		worst := Allow
		for _, v := range all.Refusals(&o) {
			got, worst = append(got, v.String()), max(worst, v.Action)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: got %q, want %q", o, got, want)
		}
		if v := all.ask(o).Action; !v.Permits() && v != worst {
			t.Errorf("%+v: %v, and the refusals are %q", o, v, got)
		}
	}
}
