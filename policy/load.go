package policy

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy/abi"
)

// Limits of what one policy may extend: how deep, and how many files in all.
const (
	maxExtends = 16
	maxFiles   = 64
)

const builtinPrefix = "builtin:"

// GuardName is the shipped policy that closes the ways around the others.
const GuardName = "builtin:guard"

// GuardNamesName is the one that closes the ways around sections.
const GuardNamesName = "builtin:guard-names"

// GuardRoomName is the one that keeps what Isolation gave a sandbox.
const GuardRoomName = "builtin:guard-room"

// IsGuard says whether a policy is one that Guard adds, which no user's can
// permit anything against.
func IsGuard(name string) bool {
	return name == GuardName || name == GuardNamesName || name == GuardRoomName
}

// Loader finds the texts of policies.
type Loader struct {
	// Builtin holds NAME.yaml for each "builtin:NAME"; nil: there are none.
	Builtin fs.FS
	// Trees holds NAME.tree for those of Builtin whose text need not be parsed any
	// more, unless with Tests: what AppendTree makes of it. May be nil.
	Trees fs.FS
	// Tests has policies keep their tests, and reports what is wrong with the calls in
	// them. Who decides calls needs neither, and which calls there are depends on the
	// machine. What else can be wrong with tests is reported to all.
	Tests bool
	// ReadFile reads a policy at a path; nil is the function of that name.
	ReadFile func(path string) ([]byte, error)
}

// Load reads the policy of that name, a path or "builtin:NAME", with all that
// it extends. The error is Mistakes, with every mistake of every file.
func (l *Loader) Load(name string) (*Policy, error) {
	var led ledger
	p := l.load(reference{name: name, pos: Position{File: name}}, nil, &led)
	if err := led.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// LoadAll loads several policies, and reports the mistakes of all of them.
// No names at all are a mistake: nothing may run under a set that says
// nothing.
func (l *Loader) LoadAll(names ...string) (Set, error) { return l.LoadAdded(nil, names...) }

// Guard gives the set to run a command under: with the policy of GuardName at
// its end, unless the set restricts nothing and there is nothing to go around,
// and before it those of GuardNamesName if it has sections and GuardRoomName if
// it isolates. A set from LoadAll that is compiled without them leaves those ways
// open. The error is that of Load.
func (l *Loader) Guard(set Set) (Set, error) {
	isolates := set.Isolation() != 0
	if !set.Restricts() && !isolates {
		return set, nil
	}
	var names []string
	if set.HasSections() {
		names = append(names, GuardNamesName)
	}
	if isolates {
		names = append(names, GuardRoomName)
	}
	names = append(names, GuardName)
	guards, err := l.LoadAll(names...)
	if err != nil {
		return nil, err
	}
	return append(slices.Clip(set), guards...), nil
}

// Parse is Load of a text at hand; name is what positions call it and what
// its extends are relative to.
func (l *Loader) Parse(name string, text []byte) (*Policy, error) {
	var led ledger
	j := &joiner{loader: l, led: &led}
	j.take(name, text)
	p := j.merge(name)
	if err := led.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (l *Loader) load(ref reference, added []Added, led *ledger) *Policy {
	j := &joiner{loader: l, led: led}
	for i := range added {
		j.add(&added[i])
	}
	j.visit(ref)
	return j.merge(ref.name)
}

// reference is one name under `extends`.
type reference struct {
	name string
	pos  Position
}

// joiner walks a policy and what it extends, depth first, each file once: a
// second visit could add only rules that the first already decides.
type joiner struct {
	loader *Loader
	led    *ledger
	parts  []*part  // in the order in which their rules are tried
	path   []string // the files that lead to the present one
	seen   []string
}

func (j *joiner) visit(ref reference) {
	name := identity(ref.name)
	if i := slices.Index(j.path, name); i >= 0 {
		j.led.add(Mistake{Pos: ref.pos, Message: "the policy extends itself: " + strings.Join(append(j.path[i:], name), " -> ")})
		return
	}
	if slices.Contains(j.seen, name) {
		return
	}
	if len(j.path) > maxExtends || len(j.seen) >= maxFiles {
		j.led.add(Mistake{Pos: ref.pos, Message: "too many policies extend one another", Hint: "at most 16 deep and 64 files"})
		return
	}
	if root, ok := j.loader.parsed(ref.name); ok {
		j.join(ref.name, readRoot(ref.name, &root, j.led))
		return
	}
	text, err := j.loader.read(ref.name)
	if err != nil {
		j.led.add(j.loader.unreadable(ref, err))
		return
	}
	if !strings.HasPrefix(ref.name, builtinPrefix) && !isPolicy(text) {
		j.led.add(Mistake{Pos: Position{ref.name, 1, 1}, Message: noVersion, Hint: versionHint})
		return
	}
	j.take(ref.name, text)
}

// identity is one spelling for all of a file's names.
func identity(name string) string {
	if strings.HasPrefix(name, builtinPrefix) {
		return name
	}
	return filepath.Clean(name)
}

func (j *joiner) take(name string, text []byte) { j.join(name, readPart(name, text, j.led)) }

// join adds a file's part, and those of the files that it extends.
func (j *joiner) join(name string, p *part) {
	p.from = identity(name)
	j.seen = append(j.seen, p.from)
	j.path = append(j.path, p.from)
	j.parts = append(j.parts, p)
	if j.loader.Tests {
		p.readCalls(j.led)
	}
	for _, ref := range p.extends {
		j.visit(resolve(name, ref))
	}
	j.path = j.path[:len(j.path)-1]
}

// resolve makes a path under `extends` relative to the folder of the file that
// has it.
func resolve(from string, ref reference) reference {
	if strings.HasPrefix(ref.name, builtinPrefix) || filepath.IsAbs(ref.name) {
		return ref
	}
	if strings.HasPrefix(from, builtinPrefix) {
		ref.name = builtinPrefix + strings.TrimSuffix(strings.TrimPrefix(ref.name, "./"), ".yaml")
		return ref
	}
	ref.name = filepath.Join(filepath.Dir(from), ref.name)
	return ref
}

// Builtins lists the names of the shipped policies, "builtin:" included,
// sorted.
func (l *Loader) Builtins() []string {
	if l.Builtin == nil {
		return nil
	}
	entries, err := fs.ReadDir(l.Builtin, ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			names = append(names, builtinPrefix+name)
		}
	}
	return names
}

func (j *joiner) merge(name string) *Policy {
	p := merge(name, j.parts, j.led)
	own := slices.IndexFunc(j.parts, func(p *part) bool { return p.added == nil })
	if own >= 0 && j.loader.Tests {
		p.Tests = j.parts[own].tests
	}
	for _, part := range j.parts {
		if part.ofCalls() {
			p.CallsFrom = append(p.CallsFrom, part.from)
		}
	}
	return p
}

// merge joins a file and what it extends into one policy: for each line that
// can stand once, the first file that has it speaks.
func merge(name string, parts []*part, led *ledger) *Policy {
	p := &Policy{Name: name, Open: true, Default: Deny, Errno: errnoEPERM, Compat: Compat{CompatKill, CompatKill}}
	for _, part := range slices.Backward(parts) {
		overlay(p, part)
	}
	fitAdded(p, parts, led)
	var speaks *part
	for _, part := range parts {
		p.Rules = append(p.Rules, part.rules...)
		p.Open = p.Open && !part.syscalls
		p.sections.join(&part.sections)
		if part.action != 0 && speaks == nil {
			speaks = part
		}
	}
	p.finish(Syscalls, p.Errno, led)
	for sec := Files; sec <= Network; sec++ {
		p.finish(sec, errnoEACCES, led)
	}
	if p.Open && !p.sections.any() && speaks != nil && speaks.action != Allow {
		led.add(Mistake{Pos: speaks.actionPos, Message: "default: " + p.Default.String() + " applies to nothing: there is no section with rules",
			Hint: "add `syscalls: []` to let it decide every system call"})
	}
	return p
}

// join appends another file's sections.
func (s *sections) join(other *sections) {
	for sec := range s {
		s[sec].has = s[sec].has || other[sec].has
		s[sec].rules = append(s[sec].rules, other[sec].rules...)
	}
}

// finish bounds a section's rules and gives those that deny or ask their errno.
func (p *Policy) finish(sec Section, errno uint16, led *ledger) {
	rules, _ := p.Section(sec)
	if len(rules) > maxRules {
		led.add(Mistake{Pos: rules[maxRules].Pos, Message: "more than 10000 rules", Hint: tooManyHint(sec)})
	}
	for _, r := range rules {
		if (r.Action == Deny || r.Action == Ask) && r.Errno == 0 {
			r.Errno = errno
		}
	}
}

func tooManyHint(sec Section) string {
	switch sec {
	case Syscalls:
		return "one rule takes a list of calls, and one condition a list of values"
	case Network:
		return "one rule takes a list of addresses"
	}
	return "one rule takes a list of paths"
}

// overlay puts one file's lines over those of the files that it extends.
func overlay(p *Policy, part *part) {
	if part.description != "" {
		p.Description = part.description
	}
	if part.action != 0 {
		p.Default = part.action
	}
	if part.errno != 0 {
		p.Errno = part.errno
	}
	if part.kernel != (abi.Version{}) {
		p.Kernel = part.kernel
	}
	if part.compat.I386 != 0 {
		p.Compat.I386 = part.compat.I386
	}
	if part.compat.X32 != 0 {
		p.Compat.X32 = part.compat.X32
	}
	p.Limits.narrow(&part.limits)
	p.Isolate |= part.isolate
	p.Environment = part.environment.over(p.Environment)
	if part.privateTmp {
		p.Environment.PrivateTmp = part.environment.PrivateTmp
	}
}
