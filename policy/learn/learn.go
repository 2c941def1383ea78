// Package learn makes a policy of what a command asked for: it collects what another
// policy has no rule for, and writes the rules that permit it, as a person would who is to
// review them.
//
// What is learned is written by the command that is learned from, which may be hostile. So
// names are escaped to stand for themselves alone, nothing of theirs ends a line or a
// comment, and what would permit more than was asked (a folder for its files) is written
// only where the Place says that nothing of worth is beneath.
//
// # Limits
//
// A Log holds so many things, and a policy so many rules, and no more: what is beyond is
// counted and left out, so that the policy is too narrow then, never too wide. A rule on a
// folder is one on all that is beneath it. That a folder was listed alone cannot be said.
package learn

import (
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// Bounds of a Log: a command can ask for millions of different things.
const (
	mostObjects  = 50_000
	mostBytes    = 16 << 20
	mostValues   = 64 // of the conditions on one call
	mostPrograms = 16 // remembered of one thing
)

// Log collects what a command asked for.
type Log struct {
	// Base is the policy that is asked first: where it has conditions on a call's
	// parameters, so have the rules that are learned.
	Base *policy.Policy
	// Extending says that the policy is to extend the base. If not, it has each of the base's
	// sections, if only to be empty.
	Extending bool

	calls   map[string]map[string]*seen // by name, and by the values of its conditions
	objects map[objectKey]*object
	denials map[string]*denial // by the place of the rule
	bytes   int
	left    uint64
	foreign [2]*seen // calls by the ABIs i386 and x32
}

type objectKey struct {
	section policy.Section
	word    string // the verb
	name    string // as Object has it, whatever its form
}

// object is something of files, exec or network.
type object struct {
	policy.Object
	seen
	fresh bool // it was not there before
	exact bool // a rule was lifted for it
}

// seen is who asked.
type seen struct {
	programs []string // their names, sorted
	values   []string // of a call: those that its conditions are on
	clean    bool     // of a clone: it makes no namespace
}

// Left is how many things were left out, each as often as it was asked for.
func (l *Log) Left() uint64 { return l.left }

// Empty says whether nothing was asked for.
func (l *Log) Empty() bool { return len(l.calls) == 0 && len(l.objects) == 0 }

// Call notes a call that a program made.
func (l *Log) Call(program string, c abi.Call) {
	entry, ok := c.Arch.Lookup(c.Nr)
	if !ok {
		l.left++ // no rule can name it
		return
	}
	if i := foreign(c.Arch); i >= 0 {
		if l.foreign[i] == nil {
			l.foreign[i] = &seen{}
		}
		l.foreign[i].by(program)
	}
	values := l.values(entry, c)
	key := strings.Join(values, " ")
	if l.calls == nil {
		l.calls = map[string]map[string]*seen{}
	}
	of := l.calls[entry.Canonical]
	if of == nil {
		of = map[string]*seen{}
		l.calls[entry.Canonical] = of
	}
	s := of[key]
	switch {
	case s == nil && len(of) >= mostValues:
		l.left++
		return
	case s == nil:
		s = &seen{values: values, clean: entry.Canonical == "clone" && c.Args[0]&namespaces == 0}
		of[key] = s
	}
	s.by(program)
}

func foreign(a abi.Arch) int {
	switch a {
	case abi.I386:
		return 0
	case abi.X32:
		return 1
	}
	return -1
}

// Object notes what a program asked of files, exec or network. fresh says of a file that
// nothing had its name yet; exact that a rule denies it which was lifted, so that a rule is
// to be on nothing but it.
func (l *Log) Object(program string, o *policy.Object, fresh, exact bool) {
	key := keyOf(o)
	have := l.objects[key]
	if have == nil {
		if len(l.objects) >= mostObjects || l.bytes+len(key.name) > mostBytes {
			l.left++
			return
		}
		if l.objects == nil {
			l.objects = map[objectKey]*object{}
		}
		l.bytes += len(key.name)
		have = &object{Object: *o, fresh: fresh, exact: exact}
		l.objects[key] = have
	}
	have.Folder = have.Folder || o.Folder
	if o.Section != policy.Exec || nameOf(program) != nameOf(o.Path) { // which is not who started it
		have.by(program)
	}
}

func keyOf(o *policy.Object) objectKey {
	switch {
	case o.Section == policy.Network:
		rule, why := o.Rule()
		word, _, _ := strings.Cut(rule, ":")
		return objectKey{o.Section, word, rule + why + "\x00" + o.Address.Path}
	case o.Section == policy.Exec:
		return objectKey{o.Section, "allow", o.Path}
	case o.Access == policy.Write:
		return objectKey{o.Section, "write", o.Path}
	}
	return objectKey{o.Section, "read", o.Path}
}

// by notes a program by the last part of its name.
func (s *seen) by(program string) {
	name := nameOf(program)
	if i, have := slices.BinarySearch(s.programs, name); !have && name != "" && len(s.programs) < mostPrograms {
		s.programs = slices.Insert(s.programs, i, name)
	}
}

// nameOf is the last part of a path.
func nameOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// merge adds those who asked for another thing.
func (s *seen) merge(other *seen) {
	for _, name := range other.programs {
		s.by(name)
	}
}

// String is the programs as a comment has them.
func (s *seen) String() string {
	const shown, letters = 4, 32
	var names []string
	for i, name := range s.programs {
		if i == shown {
			names = append(names, "...")
			break
		}
		if len(name) > letters {
			name = name[:letters] + "..."
		}
		names = append(names, policy.Printable(name))
	}
	return strings.Join(names, ", ")
}
