package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// home is the place of most tests.
var home = Place{
	Dir:  "/workspace/run",
	Home: "/home/u",
	Env:  []string{"GOPATH=/home/u/go", "NAME=web", "EMPTY=", "STAR=a*b", "UP=../x", "REL=a/b", "PWD=/wrong"},
	Links: func(path string) (real string, through []string) {
		for from, to := range map[string]string{"/home/u/link": "/data/real", "/var/run": "/run", "/bin": "/usr/bin"} {
			if path == from || strings.HasPrefix(path, from+"/") {
				return to + path[len(from):], []string{from}
			}
		}
		return path, nil
	},
	Lookup: func(host string) ([]netip.Addr, error) {
		switch host {
		case "localhost":
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}, nil
		case "db.example":
			return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, nil
		}
		return nil, errors.New("no such host")
	},
}

// bind loads a policy as /etc/p/p.yaml and binds it to home.
func bind(t testing.TB, text string) *Sections {
	t.Helper()
	p, err := (&Loader{}).Parse("/etc/p/p.yaml", []byte("callgate: 1\n"+text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	b, err := Set{p}.Bind(home)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return b
}

// short is a verdict without the file's name.
func short(v Verdict) string { return strings.Replace(v.String(), "/etc/p/p.yaml:", "", 1) }

// TestStartIsALink: a link to the folder in which a pattern begins is followed, where the command
// could not have put it there.
func TestStartIsALink(t *testing.T) {
	at := Place{Dir: "/srv/link", Home: "/home/link", Links: func(name string) (string, []string) {
		for _, from := range []string{"/srv/link", "/home/link", "/etc/p"} {
			if rest, ok := strings.CutPrefix(name, from); ok && (rest == "" || rest[0] == '/') {
				return "/real" + rest, []string{from}
			}
		}
		return name, nil
	}}
	for policy, permits := range map[string]bool{
		"[.]": true, "[./x]": true, "[$PWD]": true, "['~']": true, "[./y/../x]": true, // of the policy, /etc/p
		"[., ..]": false, "[., /etc]": false, "[$PWD, /srv]": false, "['~', /home]": false, // what it is in may be written
		"[/etc/p]": false, "[../p]": false, // no pattern begins there
	} {
		p, err := (&Loader{}).Parse("/etc/p/p.yaml", []byte("callgate: 1\nfiles: [{write: "+policy+"}]\n"))
		if err != nil {
			t.Fatal(err)
		}
		bound, err := Set{p}.Bind(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := bound.File("/real/x", Write).Action.Permits(); got != permits || len(bound.Unfollowed()) > 0 == permits {
			t.Errorf("write: %s: permitted %v, %v", policy, got, bound.Unfollowed())
		}
	}
}

func TestFile(t *testing.T) {
	const usual = `files: [{deny: ["~/.ssh", "**/.env"]}, {read: [/usr, "~"]}, {write: [./build, /tmp]}]`
	const deny, first = "deny EACCES (default)", "deny EACCES (2:10)"
	for _, tt := range []struct {
		policy, path string
		access       Access
		want         string
	}{
		{usual, "/usr/lib/x", Read, "allow (2:41)"},
		{usual, "/usr", Look, "allow (2:41)"},
		{usual, "/usr/lib/x", Write, deny},
		{usual, "/usrx", Read, deny},
		{usual, "/", Read, deny},
		{usual, "/", Look, "allow (default)"},
		{usual, "/home/u/.ssh", Look, first},
		{usual, "/home/u/.ssh/id", Read, first},
		{usual, "/home/u/.sshx", Read, "allow (2:41)"},
		{usual, "/tmp/a/.env/b", Write, first},
		{usual, "/.env", Read, first},
		{usual, "/etc/p/build", Write, "allow (2:62)"},
		{usual, "/etc/p/build/x", Look, "allow (2:62)"},
		{usual, "/etc/p/x", Read, deny},
		// Order, and what a read rule does not speak of.
		{"files: [{read: /a}, {write: /a}]", "/a/b", Write, "allow (2:22)"},
		{"files: [{read: /a}, {write: /a}]", "/a/b", Read, "allow (2:10)"},
		{"files: [{log: /a}]", "/a", Look, "allow (2:10)"},
		{"files: [{log: /a}]", "/a", Read, "log (2:10)"},
		{"files: [{log: /a}]", "/a", Write, "log (2:10)"},
		{"files: [{kill: /a}]", "/a", Look, "kill (2:10)"},
		{"files: [{deny: /a, errno: ENOENT}]", "/a", Read, "deny ENOENT (2:10)"},
		{"errno: EIO\nfiles: [{deny: /a}]", "/a", Read, "deny EACCES (3:10)"},
		// Defaults.
		{"default: kill\nfiles: []", "/a", Read, "kill (default)"},
		{"default: kill\nfiles: []", "/a", Look, "allow (default)"},
		{"default: log\nfiles: []", "/a", Read, "log (default)"},
		{"default: log\nfiles: []", "/a", Look, "allow (default)"},
		{"default: allow\nfiles: []", "/a", Write, "allow (default)"},
		{"", "/a", Write, "allow (default)"},
		{"files: [{read: /}]", "/a", Read, "allow (2:10)"},
		{"files: [{read: /}]", "a", Read, deny},
		{"files: [{read: /}]", "", Read, deny},
		// Globs.
		{"files: [{read: '/a/*.go'}]", "/a/x.go", Read, "allow (2:10)"},
		{"files: [{read: '/a/*.go'}]", "/a/.go/x", Read, "allow (2:10)"},
		{"files: [{read: '/a/*.go'}]", "/a/b/x.go", Read, deny},
		{"files: [{read: '/a/?'}]", "/a/é", Read, "allow (2:10)"},
		{"files: [{read: '/a/[!a-c]x'}]", "/a/dx", Read, "allow (2:10)"},
		{"files: [{read: '/a/[!a-c]x'}]", "/a/bx", Read, deny},
		{"files: [{read: '/a/[]a]'}]", "/a/]", Read, "allow (2:10)"},
		{`files: [{read: '/a/\*'}]`, "/a/*", Read, "allow (2:10)"},
		{`files: [{read: '/a/\*'}]`, "/a/b", Read, deny},
		{"files: [{read: /a/**/b}]", "/a/b", Read, "allow (2:10)"},
		{"files: [{read: /a/**/b}]", "/a/x/y/b/z", Read, "allow (2:10)"},
		{"files: [{read: /a/**/b}]", "/b", Read, deny},
		{"files: [{read: /a/**}]", "/a", Read, "allow (2:10)"},
		{"files: [{read: '**'}]", "/", Read, "allow (2:10)"},
		{"files: [{read: '**/a/**/b/**/c'}]", "/b/a/a/c/b/a/c/d", Read, "allow (2:10)"},
		{"files: [{read: '**/a/**/b/**/c'}]", "/b/a/a/c/c/a/c/d", Read, deny},
		{"files: [{read: './**/x'}]", "/x", Read, deny},
		{"files: [{read: './**/x'}]", "/etc/p/a/x", Read, "allow (2:10)"},
		// Where patterns begin.
		{"files: [{read: .}]", "/etc/p/x", Read, "allow (2:10)"},
		{"files: [{read: ../q//./r/../s}]", "/etc/q/s", Read, "allow (2:10)"},
		{"files: [{read: ../../../../x}]", "/x", Read, "allow (2:10)"},
		{"files: [{read: $GOPATH/pkg}]", "/home/u/go/pkg/x", Read, "allow (2:10)"},
		{"files: [{read: '${GOPATH}.d'}]", "/home/u/go.d", Read, "allow (2:10)"},
		{"files: [{read: '/srv/${NAME}-*'}]", "/srv/web-1", Read, "allow (2:10)"},
		{"files: [{read: '/srv/$STAR*'}]", "/srv/a*bc", Read, "allow (2:10)"},
		{"files: [{read: '/srv/$STAR*'}]", "/srv/axbc", Read, deny},
		{"files: [{read: /srv/$REL}]", "/srv/a/b", Read, "allow (2:10)"},
		{"files: [{read: $PWD/x}]", "/workspace/run/x", Read, "allow (2:10)"},
		{"files: [{read: [$REL, $EMPTY/x, $NONE, /srv/$UP]}]", "/x", Read, deny},
		{`files: [{read: './\$NAME'}]`, "/etc/p/$NAME", Read, "allow (2:10)"},
		// Links: both spellings, but for what is each one's own.
		{"files: [{deny: '~/link/*.key'}, {read: /}]", "/data/real/a.key", Read, first},
		{"files: [{deny: '~/link/*.key'}, {read: /}]", "/home/u/link/a.key", Read, first},
		{"files: [{read: /bin}]", "/usr/bin/sh", Read, "allow (2:10)"},
		// ... and those that the command may have made.
		{"files: [{write: '~/link'}]", "/data/real", Write, deny},
		{"files: [{write: '~/link'}]", "/home/u/link", Write, "allow (2:10)"},
		{"files: [{write: '~/link/x'}]", "/data/real/x", Write, "allow (2:10)"},
		{"files: [{read: '~/link/x'}, {write: '~'}]", "/data/real/x", Read, deny},
		{"files: [{deny: '~/link/x'}, {write: '~'}]", "/data/real/x", Look, first},
		{"default: log\nfiles: [{read: '~/link/x'}]", "/data/real/x", Read, "log (default)"},
		{"files: [{read: /proc/self}]", "/proc/self/maps", Read, "allow (2:10)"},
	} {
		if got := short(bind(t, tt.policy).File(tt.path, tt.access)); got != tt.want {
			t.Errorf("%s\n%v %s: got %s, want %s", tt.policy, tt.access, tt.path, got, tt.want)
		}
	}
}

func TestProgram(t *testing.T) {
	const policy = `exec: [{deny: /usr/bin/sudo}, {allow: [/usr/bin, "./scripts/*.sh"]}, {log: "**/make"}, {kill: /evil}]`
	for path, want := range map[string]string{
		"/usr/bin/sudo":       "deny EACCES (2:9)",
		"/usr/bin/ls":         "allow (2:32)",
		"/etc/p/scripts/a.sh": "allow (2:32)",
		"/opt/make":           "log (2:71)",
		"/evil":               "kill (2:89)",
		"/etc/x":              "deny EACCES (default)",
		"":                    "deny EACCES (default)",
		"memfd:make":          "deny EACCES (default)",
	} {
		if got := short(bind(t, policy).Program(path)); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	}
	if got := short(bind(t, "exec: [{allow: /}]").Program("memfd:x")); got != "deny EACCES (default)" {
		t.Error(got)
	}
	if got := bind(t, "files: []").Program("/x").String(); got != "allow (default)" {
		t.Error(got)
	}
}

func TestSectionsTakeTheStrictest(t *testing.T) {
	a, b := parse(t, "files: [{write: /}]\nexec: [{log: /}]"), parse(t, "files: [{read: /}]\nexec: [{allow: /}]")
	s, err := Set{a, b, parse(t, "")}.Bind(home)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		v      Verdict
		action Action
		policy *Policy
		sec    Section
	}{
		{s.File("/x", Write), Deny, b, Files},
		{s.File("/x", Read), Allow, a, Files},
		{s.Program("/x"), Log, a, Exec},
		{s.Connect(Address{Family: 1}), Allow, nil, Network},
	} {
		if tt.v.Action != tt.action || tt.v.Policy != tt.policy || tt.v.Section != tt.sec {
			t.Errorf("%+v", tt.v)
		}
	}
	if !s.Has(Files) || !s.Has(Exec) || s.Has(Network) || s.Has(Syscalls) {
		t.Error("has")
	}
	if got := fmt.Sprint(s.Defaults(Files), s.Defaults(Network)); got != "[deny deny] []" {
		t.Error(got)
	}
}

func TestRulesBound(t *testing.T) {
	s := bind(t, `files: [{deny: "~/link/x"}, {read: ["/bin/*.d/y", $NONE, "**/z"]}, {write: .}]`)
	var lines []string
	for _, r := range s.Rules(Files)[0] {
		lines = append(lines, fmt.Sprint(r.Rule.Action, r.Access, r.Paths))
	}
	want := `deny write [{/data/real/x false}]
allow read [{/usr/bin true} {/ true}]
allow write [{/etc/p false}]`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBindFailsClosed: a rule that restricts must not lose a pattern.
func TestBindFailsClosed(t *testing.T) {
	p := parse(t, `files: [{deny: [/x, $NONE/a, "~/b", "~/c"]}, {write: $NONE}, {kill: $REL}]
exec: [{deny: /srv/$UP}]
network: [{deny: nowhere.example}, {connect: nowhere.example}, {log: "unix:$NONE"}]
`)
	where := home
	where.Home = ""
	_, err := Set{p}.Bind(where)
	want := `p.yaml:2:21: $NONE is not set, so that this deny rule cannot be held
p.yaml:2:30: the home folder is unknown, so that this deny rule, and others with ~, cannot be held: HOME is not set, and the list of users does not have this one; set HOME; to a folder that is not there, if the user has none
p.yaml:2:69: $REL is no absolute path, so that this kill rule cannot be held
p.yaml:3:15: $UP has .. in it, so that this deny rule cannot be held
p.yaml:4:18: the host "nowhere.example" has no address here, so that this deny rule cannot be held; write addresses`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var m Mistakes
	if !errors.As(err, &m) {
		t.Errorf("%T", err)
	}
}
