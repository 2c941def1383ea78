package compile

import (
	"fmt"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// fakeHost is what the tables' hosts have.
func fakeHost(version int) Host {
	there := map[string]Found{"/workspace/link": Link, "/workspace/link/x": Link}
	for _, p := range []string{"/", "/usr", "/usr/bin", "/usr/lib", "/etc", "/workspace", "/workspace/src", "/workspace/build", "/tmp", "/proc", "/home", "/home/me"} {
		there[p] = Folder
	}
	for _, p := range []string{"/etc/hosts", "/workspace/out", "/workspace/run.sh", "/usr/bin/sh", "/usr/lib/ld.so", "/dev/null"} {
		there[p] = File
	}
	return Host{ABI: version, Look: func(path string) Found { return there[path] }}
}

// tried reads "read /usr; deny /etc/x": a word and a path a rule, a * at the
// end making a glob of it. "else WORD" is the default.
func tried(texts ...string) (t Tried) {
	actions := map[string]policy.Action{"read": policy.Allow, "write": policy.Allow, "allow": policy.Allow,
		"log": policy.Log, "ask": policy.Ask, "deny": policy.Deny, "kill": policy.Kill}
	for _, text := range texts {
		rules, byDefault := []policy.BoundRule{}, policy.Deny
		for i, part := range strings.Split(text, ";") {
			word, path, _ := strings.Cut(strings.TrimSpace(part), " ")
			if word == "else" {
				byDefault = actions[path]
				continue
			}
			if word == "" {
				continue
			}
			access := policy.Write
			if word == "read" {
				access = policy.Read
			}
			folder, glob := strings.CutSuffix(path, "*")
			rules = append(rules, policy.BoundRule{
				Rule:   &policy.Rule{Action: actions[word], Pos: policy.Position{File: "p", Line: i + 1}},
				Access: access,
				Paths:  []policy.BoundPath{{Path: folder, Glob: glob}},
			})
		}
		t.Rules, t.Defaults = append(t.Rules, rules), append(t.Defaults, byDefault)
	}
	return t
}

// rightLetters are the rights as the tables write them.
var rightLetters = []struct {
	letter string
	access uint64
}{
	{"x", unix.LANDLOCK_ACCESS_FS_EXECUTE},
	{"r", unix.LANDLOCK_ACCESS_FS_READ_FILE},
	{"l", unix.LANDLOCK_ACCESS_FS_READ_DIR},
	{"w", unix.LANDLOCK_ACCESS_FS_WRITE_FILE},
	{"t", unix.LANDLOCK_ACCESS_FS_TRUNCATE},
	{"m", accessMake},
	{"d", unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE},
	{"f", unix.LANDLOCK_ACCESS_FS_REFER},
	{"b", unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK},
}

func letters(access uint64) string {
	s := ""
	for _, r := range rightLetters {
		if access&r.access == r.access {
			s, access = s+r.letter, access&^r.access
		}
	}
	if access != 0 {
		s += fmt.Sprintf("+%#x", access)
	}
	return s
}

// text is a ruleset on one line: what it handles, then what it grants.
func (r *Ruleset) text() string {
	var b strings.Builder
	b.WriteString(letters(r.AccessFS))
	for _, g := range r.Paths {
		fmt.Fprintf(&b, " %s=%s", g.Path, letters(g.Access))
	}
	if r.AccessNet != 0 {
		fmt.Fprintf(&b, " net:%d", r.AccessNet)
		for _, g := range r.Ports {
			fmt.Fprintf(&b, " %d=%d", g.Port, g.Access)
		}
	}
	if r.Scoped != 0 {
		fmt.Fprintf(&b, " scope:%d", r.Scoped)
	}
	return strings.TrimSpace(b.String())
}

func TestConfine(t *testing.T) {
	const scope = " scope:2"
	for _, c := range []struct {
		name                   string
		files, exec            []string
		network                *Ports
		start, loaders         []string
		abi                    int
		want                   string
		noFiles, noExec, noNet string // why not exact; "" is exact
	}{
		// Today's least domain.
		{name: "nothing, ABI 1", abi: 1, want: "b /=b"},
		{name: "nothing, ABI 2", abi: 2, want: "f /=f"},
		{name: "nothing, ABI 3", abi: 3, want: "f /=f"},
		{name: "nothing, ABI 4", abi: 4, want: "f /=f"},
		{name: "nothing, ABI 5", abi: 5, want: "f /=f"},
		{name: "nothing, ABI 6", abi: 6, want: "scope:2"},
		{name: "nothing, ABI 7", abi: 7, want: "scope:2"},
		{name: "nothing, a later ABI", abi: 99, want: "scope:2"},
		{name: "no Landlock", abi: 0, noFiles: "no Landlock", noExec: "no Landlock", noNet: "no Landlock"},

		// What each ABI costs.
		{name: "files, ABI 1", abi: 1, files: []string{"read /usr; write /tmp"},
			want: "xrlwmd /tmp=xrlwmd /usr=xrl", noFiles: "Landlock ABI 1 does not cover truncate(2)"},
		{name: "files, ABI 2", abi: 2, files: []string{"read /usr; write /tmp"},
			want: "xrlwmdf /=f /tmp=xrlwmd /usr=xrl", noFiles: "Landlock ABI 2 does not cover truncate(2)"},
		{name: "files, ABI 3", abi: 3, files: []string{"read /usr; write /tmp"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=xrl"},
		{name: "files, ABI 4", abi: 4, files: []string{"read /usr; write /tmp"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=xrl"},
		{name: "files, ABI 5", abi: 5, files: []string{"read /usr; write /tmp"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=xrl"},
		{name: "files, ABI 6", abi: 6, files: []string{"read /usr; write /tmp"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=xrl" + scope},
		{name: "files, ABI 7", abi: 7, files: []string{"read /usr; write /tmp"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=xrl" + scope},

		// What is where.
		{name: "files and not folders", abi: 7, files: []string{"read /etc/hosts; write /workspace/out; write /dev/null"},
			want: "xrlwtmdf /=f /dev/null=xrwt /etc/hosts=xr /workspace/out=xrwt" + scope},
		{name: "the root", abi: 7, files: []string{"read /; write /tmp"},
			want: "xrlwtmdf /=xrlf /tmp=wtmd" + scope},
		{name: "beneath another", abi: 7, files: []string{"read /workspace/src; write /workspace; write /workspace/build; read /workspace/out"},
			want: "xrlwtmdf /=f /workspace=xrlwtmd" + scope},
		{name: "no rule at all", abi: 7, files: []string{""}, want: "xrlwtmdf /=f" + scope},
		{name: "missing, to read", abi: 7, files: []string{"read /opt; read /usr/libx"}, want: "xrlwtmdf /=f" + scope},
		{name: "missing, to write", abi: 7, files: []string{"write /workspace/new"},
			want:    "xrlwtmdf /=f /workspace=xrlwtmd" + scope,
			noFiles: "p:1: /workspace/new is missing"},
		{name: "missing, and its folder too", abi: 7, files: []string{"write /opt/new"}, want: "xrlwtmdf /=f" + scope},
		{name: "missing in what can be written", abi: 7, files: []string{"write /workspace; write /workspace/a/b"},
			want: "xrlwtmdf /=f /workspace=xrlwtmd" + scope},
		{name: "links", abi: 7, files: []string{"write /workspace/link; read /workspace/link/x"}, want: "xrlwtmdf /=f" + scope},
		{name: "own process", abi: 7, files: []string{"read /proc/self; write /proc/self/comm; read /proc/thread-self/x"},
			want: "xrlwtmdf /=f /proc=xrlwtmd" + scope, noFiles: "p:1: Landlock cannot tell a task's own folder"},
		{name: "a process by number", abi: 7, files: []string{"read /proc/17"},
			want: "xrlwtmdf /=f /proc=xrl" + scope, noFiles: "p:1: Landlock cannot tell"},
		{name: "all of /proc", abi: 7, files: []string{"read /proc"}, want: "xrlwtmdf /=f /proc=xrl" + scope},

		// What Landlock cannot say.
		{name: "glob", abi: 7, files: []string{"read /usr; read /workspace/src*"},
			want: "xrlwtmdf /=f /usr=xrl /workspace/src=xrl" + scope, noFiles: "p:2: Landlock knows no globs"},
		{name: "deny what is granted", abi: 7, files: []string{"deny /home/me; read /home"},
			want: "xrlwtmdf /=f /home=xrl" + scope, noFiles: "p:1: Landlock cannot hide"},
		{name: "deny what nothing grants", abi: 7, files: []string{"read /usr; deny /home"},
			want: "xrlwtmdf /=f /usr=xrl" + scope, noFiles: "p:2: Landlock cannot hide"},
		{name: "deny first", abi: 7, files: []string{"deny /home; read /home/me; read /usr"},
			want: "xrlwtmdf /=f /usr=xrl" + scope, noFiles: "p:1: Landlock cannot hide"},
		{name: "a denied glob takes nothing away", abi: 7, files: []string{"deny /home*; read /home/me"},
			want: "xrlwtmdf /=f /home/me=xrl" + scope, noFiles: "p:1: Landlock cannot hide"},
		{name: "deny later takes nothing away", abi: 7, files: []string{"read /home/me; deny /home"},
			want: "xrlwtmdf /=f /home/me=xrl" + scope, noFiles: "p:2: Landlock cannot hide"},
		{name: "log", abi: 7, files: []string{"log /tmp"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd" + scope, noFiles: "p:1: Landlock cannot log"},
		{name: "ask", abi: 7, files: []string{"ask /tmp; read /usr"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=xrl" + scope, noFiles: "p:1: Landlock asks nobody about it"},
		{name: "ask by default", abi: 7, files: []string{"read /usr; else ask"},
			want: "scope:2", noFiles: "Landlock asks nobody about what no rule names"},
		{name: "kill", abi: 7, files: []string{"kill /home; read /usr"},
			want: "xrlwtmdf /=f /usr=xrl" + scope, noFiles: "p:1: Landlock cannot kill"},
		{name: "else kill", abi: 7, files: []string{"read /usr; else kill"},
			want: "xrlwtmdf /=f /usr=xrl" + scope, noFiles: "Landlock cannot kill what no rule names"},
		{name: "else log", abi: 7, files: []string{"read /usr; else log"},
			want: "scope:2", noFiles: "Landlock cannot log what no rule names"},
		{name: "else allow", abi: 7, files: []string{"read /usr; else allow"}, want: "scope:2"},
		{name: "else allow, but for one", abi: 7, files: []string{"deny /home; else allow"},
			want: "scope:2", noFiles: "p:1: Landlock cannot hide"},

		// Several policies.
		{name: "two policies", abi: 7, files: []string{"read /usr; write /workspace", "read /; write /workspace/build; write /tmp"},
			want: "xrlwtmdf /=f /usr=xrl /workspace=xrl /workspace/build=wtmd" + scope},
		{name: "two that share nothing", abi: 7, files: []string{"read /usr", "read /etc"}, want: "xrlwtmdf /=f" + scope},
		{name: "a second that allows all", abi: 7, files: []string{"read /usr", "else allow"},
			want: "xrlwtmdf /=f /usr=xrl" + scope},
		{name: "three policies", abi: 7, files: []string{"write /", "write /workspace", "read /; write /workspace/build"},
			want: "xrlwtmdf /=f /workspace=xrl /workspace/build=wtmd" + scope},

		// Exec.
		{name: "exec alone", abi: 7, exec: []string{"allow /usr/bin"},
			want: "scope:2", noExec: "no files section keeps programs from being changed"},
		{name: "exec and files", abi: 7, files: []string{"read /usr; write /tmp"}, exec: []string{"allow /usr/bin"},
			want: "xrlwtmdf /=f /tmp=rlwtmd /usr=rl /usr/bin=x" + scope},
		{name: "exec of what files does not read", abi: 7, files: []string{"read /usr/lib"}, exec: []string{"allow /usr"},
			want: "xrlwtmdf /=f /usr/lib=xrl" + scope},
		{name: "exec of a file", abi: 7, files: []string{"read /"}, exec: []string{"allow /usr/bin/sh"},
			want: "xrlwtmdf /=rlf /usr/bin/sh=x" + scope},
		{name: "loaders", abi: 7, files: []string{"read /usr"}, exec: []string{"allow /usr/bin"}, loaders: []string{"/usr/lib/ld.so", "/lib/none"},
			want: "xrlwtmdf /=f /usr=rl /usr/bin=x /usr/lib/ld.so=x" + scope, noExec: "programs could not start if /usr/lib/ld.so"},
		{name: "loaders that are allowed", abi: 7, files: []string{"read /usr"}, exec: []string{"allow /usr"}, loaders: []string{"/usr/lib/ld.so"},
			want: "xrlwtmdf /=f /usr=xrl" + scope},
		{name: "exec of what can be written", abi: 7, files: []string{"read /usr; write /workspace; write /tmp"}, exec: []string{"allow /usr/bin; allow /workspace/build"},
			want: "xrlwtmdf /=f /tmp=xrlwtmd /usr=rl /usr/bin=x /workspace=xrlwtmd" + scope, noExec: "what can be written can become"},
		{name: "exec of what is not made yet", abi: 7, files: []string{"read /usr; write /workspace"}, exec: []string{"allow /usr/bin; allow /workspace/tool"},
			want: "xrlwtmdf /=f /usr=rl /usr/bin=x /workspace=xrlwtmd" + scope, noExec: "what can be written can become"},
		{name: "exec glob", abi: 7, files: []string{"read /"}, exec: []string{"allow /usr/bin*"},
			want: "xrlwtmdf /=rlf /usr/bin=x" + scope, noExec: "p:1: Landlock knows no globs"},
		{name: "exec deny", abi: 7, files: []string{"read /"}, exec: []string{"deny /usr/bin/sudo; allow /usr/bin"},
			want: "xrlwtmdf /=rlf /usr/bin=x" + scope, noExec: "p:1: Landlock cannot hide"},
		{name: "exec of two policies", abi: 7, files: []string{"read /"}, exec: []string{"allow /usr", "allow /usr/bin; allow /workspace/run.sh"},
			want: "xrlwtmdf /=rlf /usr/bin=x" + scope},
		{name: "exec of nothing", abi: 7, files: []string{"read /"}, exec: []string{""}, want: "xrlwtmdf /=rlf" + scope},
		{name: "exec else allow", abi: 7, exec: []string{"else allow"}, want: "scope:2"},
		{name: "exec, ABI 1", abi: 1, files: []string{"read /"}, exec: []string{"allow /usr/bin"},
			want: "xrlwmd /=rl /usr/bin=x", noFiles: "Landlock ABI 1"},

		// The command itself.
		{name: "start is permitted", abi: 7, files: []string{"read /usr"}, start: []string{"/usr/bin/sh", "/usr/lib/ld.so"},
			want: "xrlwtmdf /=f /usr=xrl" + scope},
		{name: "start cannot be read", abi: 7, files: []string{"read /usr"}, start: []string{"/workspace/run.sh", "/usr/bin/sh"},
			want: "xrlwtmdf /=f /usr=xrl /workspace/run.sh=xr" + scope, noFiles: "the command could not start if /workspace/run.sh"},
		{name: "start cannot be executed", abi: 7, files: []string{"read /"}, exec: []string{"allow /usr/bin"}, start: []string{"/workspace/run.sh"},
			want: "xrlwtmdf /=rlf /usr/bin=x /workspace/run.sh=x" + scope, noExec: "the command could not start if /workspace/run.sh"},
		{name: "start without sections", abi: 7, start: []string{"/workspace/run.sh"}, want: "scope:2"},

		// Network.
		{name: "network, ABI 3", abi: 3, network: &Ports{}, want: "f /=f", noNet: "Landlock knows TCP ports"},
		{name: "network, ABI 4", abi: 4, network: &Ports{Connect: []uint16{443, 80, 443}, Bind: []uint16{0}},
			want: "net:3 80=2 443=2 0=1", noNet: "Landlock knows TCP ports"},
		{name: "network, ABI 6", abi: 6, network: &Ports{Connect: []uint16{443}, AnyBind: true},
			want: "net:2 443=2 scope:3", noNet: "Landlock knows TCP ports"},
		{name: "network, abstract", abi: 7, network: &Ports{AnyConnect: true, Abstract: true},
			want: "net:1 scope:2", noNet: "Landlock knows TCP ports"},
		{name: "network and files", abi: 4, network: &Ports{AnyBind: true}, files: []string{"read /"},
			want: "xrlwtmdf /=xrlf net:2", noNet: "Landlock knows TCP ports"},
	} {
		h := fakeHost(c.abi)
		h.Start, h.Loaders = c.start, c.loaders
		got := Confine(Bound{Files: tried(c.files...), Exec: tried(c.exec...), Network: c.network}, h)
		if text := got.Ruleset.text(); text != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, text, c.want)
		}
		for section, pair := range map[string]struct {
			hold Hold
			why  string
		}{"files": {got.Files, c.noFiles}, "exec": {got.Exec, c.noExec}, "network": {got.Network, c.noNet}} {
			if pair.hold.Exact != (pair.why == "") || !strings.Contains(pair.hold.Why, pair.why) || pair.hold.Exact && pair.hold.Why != "" {
				t.Errorf("%s: %s: %+v, want %q", c.name, section, pair.hold, pair.why)
			}
		}
	}
}

// TestGrantsFitFiles: the kernel refuses a rule that grants a folder's rights
// to anything else, whatever was ANDed.
func TestGrantsFitFiles(t *testing.T) {
	texts := []string{"write /workspace; write /workspace/out", "write /workspace/out", "write /", "read /; write /workspace/out", "read /workspace/run.sh; write /workspace"}
	h := fakeHost(7)
	for _, a := range texts {
		for _, b := range texts {
			for _, e := range texts {
				l := Confine(Bound{Files: tried(a, b), Exec: tried(e)}, h)
				for _, g := range l.Ruleset.Paths {
					if h.Look(g.Path) == File && g.Access&^accessFile != 0 || g.Access == 0 || g.Access&^l.Ruleset.AccessFS != 0 {
						t.Errorf("%s | %s | %s: %s", a, b, e, l.Ruleset.text())
					}
				}
			}
		}
	}
}

func TestBeyondLandlock(t *testing.T) {
	for _, name := range BeyondLandlock {
		if _, ok := abi.X86_64.ByName(name); !ok {
			t.Errorf("%s is no system call", name)
		}
	}
}
