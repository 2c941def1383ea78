// Package verdict says what would become of a call that nobody makes: one that
// somebody wrote down, to have it explained or as a test of a policy.
//
// # Limits
//
// Files are looked at as they are here and now, with the rights of who asks: links, and
// scripts for what runs them. What only a run knows is not known here: where descriptors
// lead, what is in memory, which tasks there are, and what an isolated sandbox has of its
// own. What is left out of a call is zero, and only `syscalls` speaks of it.
package verdict

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/host"

	"golang.org/x/sys/unix"
)

// Ground is where calls are asked about: a set of policies, as it is bound to a place. It is
// not safe for several goroutines.
type Ground struct {
	Set      policy.Set
	Sections *policy.Sections // nil if the set has none
	Place    policy.Place     // of sections
}

// NewGround binds a set to a folder ("" is the caller's own) and to what it leaves of an
// environment. A private TMPDIR is one that a run could have. The error is that of
// policy.Set.Bind, or of finding out where this is.
func NewGround(set policy.Set, dir string, env []string) (*Ground, error) {
	if !set.HasSections() {
		return &Ground{Set: set}, nil
	}
	caller := env
	env = set.Environ(env)
	if set.PrivateTmp() {
		env = slices.DeleteFunc(env, func(line string) bool { return strings.HasPrefix(line, "TMPDIR=") })
		env = append(env, "TMPDIR="+filepath.Join(os.TempDir(), "callgate-"+strconv.Itoa(os.Getuid()), "callgate-private"))
	}
	at, err := host.Place(dir, env)
	if err != nil {
		return nil, err
	}
	at.Caller = caller
	sections, err := set.Bind(at)
	if err != nil {
		return nil, err
	}
	return &Ground{Set: set, Place: at, Sections: sections}, nil
}

// Finding is one verdict: on a call's number and arguments, or on one thing that the call
// names.
type Finding struct {
	What    string // "read /etc/passwd", "connect to 10.0.0.1:443"; "" for number and arguments
	Verdict policy.Verdict
	By      string         // what decides, if it is neither a rule nor what stands for one
	Unknown string         // why there is no verdict; "" if there is one
	Section policy.Section // of what is unknown
	Note    string         // all that is to be said, if there is something
}

// Answer is what becomes of a call.
type Answer struct {
	Finding           // what decides it
	Number  Finding   // the verdict on its number and arguments
	Named   []Finding // those on what it names
}

// Unseen is what becomes of a call that is abi.Syscall.Unseen.
const Unseen = "recent kernels do not show this call to seccomp, so that no rule reaches it; it raises SIGILL outside of the kernel's own probes"

// Ask says what becomes of a call.
func (g *Ground) Ask(c policy.CallText) Answer {
	a := Answer{Number: Finding{Verdict: g.Set.Decide(c.Call)}}
	if c.Entry != nil && c.Entry.Unseen() {
		a.Finding = Finding{Unknown: Unseen}
		return a
	}
	if g.Sections != nil && c.Entry != nil {
		a.Named = slices.Concat(g.files(c), g.addresses(c))
	}
	a.Finding = worst(a.Number, a.Named)
	return a
}

// worst is what decides a call: its number and arguments, or what it names. What is
// not known counts where nothing denies the call.
func worst(number Finding, named []Finding) Finding {
	all := number
	for _, f := range named {
		if f.Unknown == "" && f.Verdict.Action > all.Verdict.Action {
			all = f
		}
	}
	i := slices.IndexFunc(named, func(f Finding) bool { return f.Unknown != "" })
	if i >= 0 && all.Verdict.Action.Permits() {
		return named[i]
	}
	return all
}

// addresses asks about the addresses that a call has in quotes, and about a socket that
// it makes.
func (g *Ground) addresses(c policy.CallText) (list []Finding) {
	for i, p := range c.Entry.Params {
		if p.Kind == abi.Sockaddr && i < len(c.Texts) && c.Texts[i] != "" {
			list = append(list, g.address(c, c.Texts[i])...)
		}
	}
	if c.Entry.Canonical == "socket" {
		a := &c.Args
		list = append(list, Finding{What: "make a socket", Verdict: g.Sections.Socket(uint32(a[0]), uint32(a[1]), uint32(a[2]))})
	}
	return list
}

// address asks about one address. To talk to a socket's file, or to make it, is a change of
// it to the rules of files too.
func (g *Ground) address(c policy.CallText, text string) []Finding {
	verb, ask := "connect to ", g.Sections.Connect
	binds := c.Entry.Canonical == "bind"
	if binds {
		verb, ask = "bind to ", g.Sections.Listen
	}
	unknown := Finding{What: verb + text, Section: policy.Network}
	a, err := policy.ParseAddress(text)
	if err != nil {
		unknown.Unknown = err.Error()
		return []Finding{unknown}
	}
	if a.Family != unix.AF_UNIX || a.Abstract {
		return []Finding{{What: verb + text, Verdict: ask(a)}}
	}
	name, why := g.Place.Expand(a.Path)
	if why != "" {
		unknown.Unknown = why
		return []Finding{unknown}
	}
	a.Path = g.canonical(name, !binds)
	return []Finding{
		{What: policy.Write.String() + " " + a.Path, Verdict: g.Sections.File(a.Path, policy.Write)},
		{What: verb + "unix:" + a.Path, Verdict: ask(a)},
	}
}
