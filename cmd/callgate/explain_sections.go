package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
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
	by      string         // what decides, if it is neither a rule nor what stands for one
	unknown string         // why there is no verdict
	section policy.Section // of what is unknown
	note    string         // all that is to be said, if there is one
}

// print writes the line for it.
func (a *asked) print(w io.Writer) {
	switch {
	case a.note != "":
		fmt.Fprintf(w, "note     %s\n", printable(a.note))
	case a.unknown != "":
		fmt.Fprintf(w, "%-8s %s: not known\n", a.section, printable(a.what))
	default:
		fmt.Fprintf(w, "%-8s %s: %s, by %s\n", a.verdict.Section, printable(a.what), verdictWords(a.verdict), a.source())
	}
}

func (a *asked) source() string {
	if a.by != "" {
		return a.by
	}
	return source(a.verdict)
}

// worst is what decides a call: its number and arguments, or what it names. What is
// not known counts where nothing denies the call.
func worst(v policy.Verdict, list []asked) asked {
	all := asked{verdict: v}
	for _, a := range list {
		if a.unknown == "" && a.verdict.Action > all.verdict.Action {
			all = a
		}
	}
	i := slices.IndexFunc(list, func(a asked) bool { return a.unknown != "" })
	if i >= 0 && all.verdict.Action.Permits() {
		return list[i]
	}
	return all
}

// askSections asks the sections about the files and addresses that a call names
// in quotes.
func askSections(plan *compile.Plan, c policy.CallText) ([]asked, error) {
	b := plan.Sections()
	if b == nil || c.Entry == nil {
		return nil, nil
	}
	list := askFiles(plan, c)
	for i, p := range c.Entry.Params {
		if p.Kind != abi.Sockaddr || i >= len(c.Texts) || c.Texts[i] == "" {
			continue
		}
		a, err := parseAddress(c.Texts[i])
		if err != nil {
			return nil, err
		}
		if c.Entry.Canonical == "bind" {
			list = append(list, asked{what: "bind to " + c.Texts[i], verdict: b.Listen(a)})
		} else {
			list = append(list, asked{what: "connect to " + c.Texts[i], verdict: b.Connect(a)})
		}
	}
	if c.Entry.Canonical == "socket" {
		a := &c.Args
		list = append(list, asked{what: "make a socket", verdict: b.Socket(uint32(a[0]), uint32(a[1]), uint32(a[2]))})
	}
	return list, nil
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
