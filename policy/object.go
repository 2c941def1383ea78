package policy

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Object is what a call asks of files, exec or network: what it acts on, and
// what it does to it.
type Object struct {
	Section Section
	Access  Access  // Files
	Path    string  // Files, Exec: canonical; "" if it has none
	Folder  bool    // Files: Path is one
	Link    bool    // Files: Path is a symbolic link, which is meant itself
	Bind    bool    // Network: the address is taken; else it is talked to
	Address Address // Network
	Socket  *Socket // Network: what is made, which has no address yet
}

// Socket is one that is made, as socket(2) is called.
type Socket struct{ Domain, Type, Protocol uint32 }

// Rule is the least rule that permits what is asked, as it stands in the section,
// and what is to be said of it, if anything is. The rule names the object whatever
// characters are in its name. Where no rule can name it, it is "", and why says so.
func (o *Object) Rule() (rule, why string) {
	if o.Socket != nil {
		return o.Socket.rule()
	}
	text, why := o.name()
	if text == "" {
		return "", "no rule of " + o.Section.String() + " can name it: " + why
	}
	return o.word() + ": " + Quote(text), why
}

// word is the verb of the least rule.
func (o *Object) word() string {
	switch {
	case o.Section == Files && o.Access == Write:
		return "write"
	case o.Section == Files:
		return "read" // includes to look at it
	case o.Section == Exec:
		return "allow"
	case o.Bind:
		return "bind"
	}
	return "connect"
}

// name is the object as a pattern or an address has it; "" if none can.
func (o *Object) name() (text, why string) {
	if o.Section == Network {
		return o.Address.name()
	}
	text, why = nameOf(o.Path)
	switch {
	case text == "":
		return "", why
	case o.Link:
		text = Unfollowed(text)
	}
	switch {
	case len(text) > maxPattern:
		return "", tooLong
	case o.Folder:
		why = "and all beneath it"
	case ofProcess(o.Path):
		why = "another process has this number the next time"
	}
	return text, why
}

const tooLong = "its name, with what is to be escaped, has more than 4096 bytes"

// nameOf is the pattern that matches a path alone, and what is beneath it.
func nameOf(path string) (text, why string) {
	switch {
	case path == "" || path[0] != '/':
		return "", "it has no path"
	case !utf8.ValidString(path):
		return "", notText
	}
	return Escape(path), ""
}

const notText = "its name is not UTF-8, as policies are"

// Unfollowed has a pattern's last component match itself and begin with a glob,
// so that no symbolic link of that name is followed when a sandbox starts: a rule
// on a link is none on what it leads to.
func Unfollowed(text string) string {
	at := strings.LastIndexByte(text, '/') + 1
	if at == len(text) {
		return text // the root is no link
	}
	c, rest := classChar(text[at:])
	if len(c) == 1 && !isWord("_"+c) {
		c = `\` + c
	}
	return text[:at] + "[" + c + "]" + rest
}

// ofProcess says whether a path is that of a process's folder in /proc.
func ofProcess(path string) bool {
	rest, ok := strings.CutPrefix(path, "/proc/")
	number, _, _ := strings.Cut(rest, "/")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// name is the address as a rule has it that is on nothing else.
func (a Address) name() (text, why string) {
	a = a.plain()
	switch {
	case a.IP.IsValid():
		one := address{form: isPrefix, prefix: netip.PrefixFrom(a.IP, a.IP.BitLen()), ports: ports{a.Port, a.Port}}
		return one.String(), ""
	case a.Family == afUnix && !a.Abstract:
		text, why = nameOf(a.Path)
	case a.Family == afUnix && !utf8.ValidString(a.Path):
		why = notText
	case a.Family == afUnix:
		text = "@" + Escape(a.Path)
	default:
		return familyName(uint32(a.Family))
	}
	switch {
	case text == "":
		return "", why
	case len("unix:"+text) > maxPattern:
		return "", tooLong
	}
	return "unix:" + text, ""
}

// familyName is a family as a rule has it.
func familyName(family uint32) (text, why string) {
	p := familyParam()
	text = p.Consts.Format(uint64(family), p.Bits)
	if v, ok := p.Consts.Value(text); !ok || v != uint64(family) {
		return "", "its address family has no name"
	}
	return text, ""
}

// Reason is what the section has against the object, whatever its rules are; "" if
// it is for them to say.
func (o *Object) Reason() string {
	if o.Socket != nil && o.Socket.inet() && !addressed(o.Socket.Type, o.Socket.Protocol) {
		return "the addresses of such a socket do not stand where rules look"
	}
	return ""
}

func (s *Socket) inet() bool { return s.Domain == afInet || s.Domain == afInet6 }

// rule is Object.Rule. A rule on an address permits sockets that could reach it;
// where rules tell addresses of the family apart, it is not known yet which.
func (s *Socket) rule() (rule, why string) {
	const alone = "no rule is on a socket alone: permit what it is for, as by network: - connect: "
	switch {
	case s.inet() && !addressed(s.Type, s.Protocol):
		return "", "no rule of network can permit it"
	case s.Domain == afInet:
		return "", alone + `"192.0.2.1:443"`
	case s.Domain == afInet6:
		return "", alone + `"[2001:db8::1]:443"`
	case s.Domain == afUnix:
		return "", alone + `"unix:/run/x.sock"`
	}
	family, why := familyName(s.Domain)
	if family == "" {
		return "", "no rule of network can name it: " + why
	}
	return "connect: " + strconv.Quote(family), ""
}

// Quote quotes a pattern or an address as YAML wants it, if it does: the
// escapes of Go are YAML's too, but those of bytes that are no UTF-8.
func Quote(text string) string {
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+@", r) {
			return strconv.Quote(text)
		}
	}
	if text[0] != '/' {
		return strconv.Quote(text)
	}
	return text
}
