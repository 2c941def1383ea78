package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/host"
)

// bind makes the options that a set is compiled with for this folder. A private
// temporary folder is none that is there now.
func bind(set policy.Set) (compile.Options, error) {
	env := set.Environ(os.Environ())
	if set.PrivateTmp() {
		env = slices.DeleteFunc(env, func(line string) bool { return strings.HasPrefix(line, "TMPDIR=") })
	}
	return host.Bind(set, "", env, "")
}

// asked is one thing that a call names, as explain was given it, and the verdict
// of a section on it.
type asked struct {
	what    string // "read /etc/passwd", "connect to 10.0.0.1:443"
	verdict policy.Verdict
}

// askSections asks the sections about the files and addresses that a call names
// in quotes.
func askSections(b *policy.Sections, c policy.CallText) ([]asked, error) {
	if b == nil || c.Entry == nil {
		return nil, nil
	}
	list := askFiles(b, c)
	for i, p := range c.Entry.Params {
		if p.Kind != abi.Sockaddr || i >= len(c.Texts) || c.Texts[i] == "" {
			continue
		}
		a, err := parseAddress(c.Texts[i])
		if err != nil {
			return nil, err
		}
		if c.Entry.Canonical == "bind" {
			list = append(list, asked{"bind to " + c.Texts[i], b.Listen(a)})
		} else {
			list = append(list, asked{"connect to " + c.Texts[i], b.Connect(a)})
		}
	}
	if c.Entry.Canonical == "socket" {
		a := &c.Args
		list = append(list, asked{"make a socket", b.Socket(uint32(a[0]), uint32(a[1]), uint32(a[2]))})
	}
	return list, nil
}

func askFiles(b *policy.Sections, c policy.CallText) (list []asked) {
	for _, u := range policy.UsesOf(c.Entry) {
		if u.Path < 0 || c.Texts[u.Path] == "" {
			continue
		}
		path := canonical(c.Texts[u.Path], u.Follows(c.Entry, &c.Args))
		_, missing := os.Lstat(path)
		access := u.Verb.Access()
		if u.Verb == policy.Opens {
			access = policy.OpenAccess(openFlags(c), missing == nil)
		}
		list = append(list, asked{access.String() + " " + path, b.File(path, access)})
		switch {
		case u.Verb == policy.Runs:
			list = append(list, asked{"run " + path, b.Program(path)})
		case u.Verb == policy.Removes, u.Verb == policy.Moves, u.Verb == policy.Takes && missing == nil:
			dir := filepath.Dir(path)
			list = append(list, asked{"write " + dir + ", whose name it is", b.File(dir, policy.Write)})
		}
	}
	return list
}

func openFlags(c policy.CallText) uint64 {
	if c.Entry.Canonical == "creat" {
		return 0o1101 // O_WRONLY|O_CREAT|O_TRUNC
	}
	if p, ok := c.Entry.Param("flags"); ok {
		return p.Value(&c.Args)
	}
	return 0
}

// canonical is where a name leads from here, the last link followed or not.
func canonical(name string, follow bool) string {
	at, err := host.Place("", nil)
	if err != nil {
		return name
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(at.Dir, name)
	}
	if follow {
		return at.Links(name)
	}
	return filepath.Join(at.Links(filepath.Dir(name)), filepath.Base(name))
}

// parseAddress reads an address as rules write it: IP:PORT or unix:NAME.
func parseAddress(text string) (policy.Address, error) {
	if name, ok := strings.CutPrefix(text, "unix:@"); ok {
		return policy.Address{Family: 1, Path: name, Abstract: true}, nil
	}
	if name, ok := strings.CutPrefix(text, "unix:"); ok {
		return policy.Address{Family: 1, Path: canonical(name, true)}, nil
	}
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return policy.Address{}, fmt.Errorf("%q is no address: expected one such as 127.0.0.1:80, [::1]:80 or unix:/run/x", text)
	}
	a := policy.Address{Family: 2, IP: at.Addr(), Port: at.Port()}
	if at.Addr().Is6() {
		a.Family = 10
	}
	return a, nil
}

// costOf is sectionCost, for a guard's one rule where Landlock does not hold it.
func costOf(plan *compile.Plan, sec policy.Section, p *policy.Policy) string {
	switch {
	case !policy.IsGuard(p.Name):
		return sectionCost(plan, sec)
	case plan.Holders().Memory:
		return "traced and pinned: two stops for an open for writing"
	}
	return "Landlock: no stop"
}

// sectionCost is who enforces a section, and what that takes.
func sectionCost(plan *compile.Plan, sec policy.Section) string {
	h, l := plan.Holders(), plan.Landlock()
	switch {
	case sec == policy.Files && h.Mounts:
		return "Landlock, and read-only mounts what it does not hold, changes of metadata (chmod, utimensat): no stop"
	case sec == policy.Files && h.Files == compile.Kernel:
		return "Landlock: no stop; two stops for a change of metadata (chmod, utimensat), which it does not hold"
	case sec == policy.Files:
		return "traced and pinned: two stops, since " + l.Files.Why
	case sec == policy.Exec:
		return "traced and pinned, as every execve stops"
	}
	return "traced and pinned: two stops, since addresses are in the tracee's memory"
}

// pathSections are those that are about what arguments point to.
var pathSections = [...]policy.Section{policy.Files, policy.Exec, policy.Network}

// explainSections says of each rule of the sections who enforces it.
func explainSections(w io.Writer, plan *compile.Plan, p *policy.Policy) {
	for _, sec := range pathSections {
		rules, has := p.Section(sec)
		if !has {
			continue
		}
		fmt.Fprintf(w, "%v: %s\n", sec, costOf(plan, sec, p))
		for _, r := range rules {
			fmt.Fprintf(w, "%v: %s\n", r.Pos, printable(r.Text))
		}
	}
}
