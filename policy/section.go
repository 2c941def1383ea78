package policy

import (
	"net/netip"
	"strconv"
)

// Section is a part of a policy that decides calls. A call must pass every
// section that speaks of it.
type Section uint8

const (
	Syscalls Section = iota // numbers and arguments
	Files                   // the files that a call names
	Exec                    // the programs that it runs
	Network                 // the addresses that it talks to or takes
)

var sectionWords = [...]string{Syscalls: "syscalls", Files: "files", Exec: "exec", Network: "network"}

// String is the section's key in a policy.
func (s Section) String() string {
	if int(s) < len(sectionWords) {
		return sectionWords[s]
	}
	return "section " + strconv.Itoa(int(s))
}

// Access is what a call does to a file. A greater one includes the smaller.
type Access uint8

const (
	// Look is to learn that a file is there, and what stat(2) tells of it. Only
	// deny and kill rules keep from looking: Landlock cannot hide a file, and
	// hiding costs a stop a look.
	Look  Access = iota + 1
	Read         // its content; of a folder, the names in it
	Write        // content and metadata; to make, remove, rename or link it
)

var accessWords = [...]string{Look: "look at", Read: "read", Write: "write"}

// String is the access as a verb.
func (a Access) String() string {
	if a >= Look && a <= Write {
		return accessWords[a]
	}
	return "access " + strconv.Itoa(int(a))
}

// Place is where a set's sections are to hold: what its patterns are relative
// to, and how it looks there at the start.
type Place struct {
	Dir  string   // the command's working folder, absolute; what shipped policies' relative patterns and $PWD begin at
	Home string   // what ~ stands for; "" if that is unknown
	Env  []string // the command's environment, for $NAME
	// The environment that the policies were given, for what they keep from one another, or set in its
	// place: see Bind.
	Caller []string
	// Links follows the symbolic links in an absolute path as far as it exists
	// and gives what it comes to, and by which links, each by its canonical name; nil:
	// there are no links. What leads to /proc/self, as /dev/fd does, must be left
	// there: it is each task's own.
	Links func(path string) (real string, through []string)
	// Lookup gives a host's addresses; nil: there are no hosts, so that a rule
	// that denies one cannot be bound.
	Lookup func(host string) ([]netip.Addr, error)
}

// Address is where a call connects, sends or binds to.
type Address struct {
	Family uint16     // AF_*
	IP     netip.Addr // AF_INET, AF_INET6; not valid where the call gave none
	Port   uint16     // AF_INET, AF_INET6
	// AF_UNIX: the canonical name of the socket's file or, if Abstract, its name
	// without the leading NUL. "" if it has none.
	Path     string
	Abstract bool
}

// BoundRule is one rule of files or exec as it bears on one Place.
type BoundRule struct {
	Rule *Rule
	// Access is the greatest that a permitting rule speaks of; a rule that does
	// not permit speaks of all.
	Access Access
	Paths  []BoundPath
}

// BoundPath is one pattern of a BoundRule: absolute, clean and, as far as it
// existed at the start, without symbolic links.
type BoundPath struct {
	// Path is the pattern or, where Glob, the fixed folder that it begins with.
	// It stands for itself and all that is beneath it.
	Path string
	Glob bool
}
