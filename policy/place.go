package policy

import (
	"path"
	"slices"
	"strings"
)

// binder puts the patterns and addresses of rules in their place.
type binder struct {
	at       Place
	mistakes *ledger

	set    Set
	policy *Policy // of which patterns are bound; nil: no other has a say in what variables are

	homeless bool                   // it was told that ~ stands for nothing
	folders  map[string][]boundName // the components of those where patterns begin
	room     []boundName            // for the names of one pattern

	led     []trail            // where links have led patterns that permit
	planted map[*pattern]trail // those of them that are not to be followed
}

// trail is where links lead a pattern of a rule that permits.
type trail struct {
	policy  *Policy
	rule    *Rule
	pattern *pattern
	to      string
	through []string // the links
}

// fail reports what keeps a rule from being held. A rule that permits without more then
// matches less, which is no mistake.
func (b *binder) fail(rule *Rule, pos Position, hint, message string) {
	if rule.Action.Restricts() {
		b.mistakes.add(Mistake{Pos: pos, Message: message + ", so that this " + rule.word() + " rule cannot be held", Hint: hint})
	}
}

const unknownHome = "the home folder is unknown"

// failHome reports that once: it is one mistake, and policies have a hundred
// patterns with it.
func (b *binder) failHome(rule *Rule, pos Position) {
	if b.homeless || !rule.Action.Restricts() {
		return
	}
	b.homeless = true
	b.mistakes.add(Mistake{
		Pos:     pos,
		Message: unknownHome + ", so that this " + rule.word() + " rule, and others with ~, cannot be held: HOME is not set, and the list of users does not have this one",
		Hint:    "set HOME; to a folder that is not there, if the user has none",
	})
}

// names gives a pattern's components here, which are good until it is called again. A why
// that is not empty says what is unknown.
func (b *binder) names(p *pattern) (names []boundName, why string) {
	switch {
	case p.start == atHome && !path.IsAbs(b.at.Home):
		return nil, unknownHome
	case p.start == atHome:
		names = append(b.room[:0], b.folder(b.at.Home)...)
	case p.start == atDir && !path.IsAbs(b.at.Dir):
		return nil, "the working folder is unknown"
	case p.start == atDir:
		names = append(b.room[:0], b.folder(b.at.Dir)...)
	default:
		names = b.room[:0]
	}
	for i := range p.names {
		c := &p.names[i]
		switch {
		case c.variable != "":
			if names, why = b.expand(names, c, i == 0 && p.start == atVariable); why != "" {
				return nil, why
			}
		case c.glob:
			names = append(names, boundName{c.text, true, c.deep})
		default:
			names = append(names, boundName{text: unescape(c.text)})
		}
	}
	b.room = names
	for len(names) > 0 && names[len(names)-1].deep {
		names = names[:len(names)-1]
	}
	return names, ""
}

// folder is the components of one where patterns begin.
func (b *binder) folder(dir string) []boundName {
	folder, known := b.folders[dir]
	if !known {
		folder = literals(dir)
		if b.folders == nil {
			b.folders = map[string][]boundName{}
		}
		b.folders[dir] = folder
	}
	return folder
}

// literals are the components of an absolute path.
func literals(p string) []boundName {
	var names []boundName
	for name := range strings.SplitSeq(path.Clean(p), "/") {
		if name != "" {
			names = append(names, boundName{text: name})
		}
	}
	return names
}

// expand appends a component that begins with a variable, whose value is
// literal and may have slashes.
func (b *binder) expand(names []boundName, c *component, first bool) ([]boundName, string) {
	value := b.variable(c.variable)
	switch {
	case value == "":
		return nil, "$" + c.variable + " is not set"
	case first && value[0] != '/':
		return nil, "$" + c.variable + " is no absolute path"
	}
	elements := strings.Split(value, "/")
	last := len(elements) - 1
	end := boundName{text: elements[last] + unescape(c.text)}
	if c.glob {
		end = boundName{Escape(elements[last]) + c.text, true, false}
	}
	elements[last] = end.text
	if slices.Contains(elements, "..") {
		return nil, "$" + c.variable + " has .. in it"
	}
	names = append(names, fixed(elements[:last])...)
	if end.text != "" && end.text != "." {
		names = append(names, end)
	}
	return names, ""
}

func fixed(elements []string) []boundName {
	var names []boundName
	for _, e := range elements {
		if e != "" && e != "." {
			names = append(names, boundName{text: e})
		}
	}
	return names
}

// variable is a variable's value in the command's environment, but for what another policy
// has made of it: that would decide what this one permits. In a ceiling it is what the
// ceiling sets, and TMPDIR a private folder. PWD is the command's working folder, whatever its
// environment says.
func (b *binder) variable(name string) string {
	if name == "PWD" {
		return b.at.Dir
	}
	value, there := valueIn(b.at.Env, name)
	switch p := b.policy; {
	case p == nil, p.Ceiling && name == "TMPDIR" && b.set.PrivateTmp():
		return value
	case p.Ceiling:
		return p.Environment.Set[name]
	case !b.foreign(name, value, there):
		return value
	}
	if own, sets := b.policy.Environment.Set[name]; sets {
		return own
	}
	if e := &b.policy.Environment; !e.Limited || e.keeps(name) {
		value, _ = valueIn(b.at.Caller, name)
		return value
	}
	return ""
}

// foreign says whether another policy has set a variable in the command's environment, or kept it out.
func (b *binder) foreign(name, value string, there bool) bool {
	for _, p := range b.set {
		if set, sets := p.Environment.Set[name]; sets { // the first one's value stands
			return p != b.policy && set == value
		}
	}
	return !there
}

func valueIn(env []string, name string) (value string, there bool) {
	for _, line := range env {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// Expand gives the name of a file that a person wrote for this place, with ~ and a
// variable at its start in place of what they stand for in patterns. A why that is not
// empty says what is unknown.
func (at Place) Expand(name string) (expanded, why string) {
	first, rest, beneath := strings.Cut(name, "/")
	switch {
	case first == "~":
		first = at.Home
		if !path.IsAbs(first) {
			return "", unknownHome
		}
	case strings.HasPrefix(first, "~"):
		return "", "~ stands for the own home only: write the folder's path, or ./" + first + " for a name that begins with ~"
	case strings.HasPrefix(first, "$"):
		word, after := variable(first)
		b := binder{at: at}
		value := b.variable(word)
		switch {
		case word == "":
			return "", "no variable follows the $: write $NAME, or ./" + first + " for a name that begins with it"
		case value == "":
			return "", "$" + word + " is not set"
		}
		first = value + after
	}
	if beneath {
		return first + "/" + rest, ""
	}
	return first, ""
}

// follow gives the fixed folder of a rule's pattern, with the symbolic links in it followed
// and, if there are some, the pattern's names with that. /proc/self is another folder for
// each who looks.
func (b *binder) follow(rule *Rule, from *pattern, names []boundName) (p BoundPath, followed []boundName, links bool) {
	n := 0
	for n < len(names) && !names[n].glob {
		n++
	}
	p = BoundPath{Path: joined(names[:n]), Glob: n < len(names)}
	if _, planted := b.planted[from]; planted || b.at.Links == nil || n == 0 || ownProc(names[:n]) {
		return p, nil, false
	}
	real, through := b.at.Links(p.Path)
	if real == p.Path || !path.IsAbs(real) || path.Clean(real) == p.Path {
		return p, nil, false
	}
	p.Path = path.Clean(real)
	if !rule.Action.Restricts() {
		b.led = append(b.led, trail{b.policy, rule, from, p.Path, through})
	}
	return p, append(literals(real), names[n:]...), true
}

func ownProc(names []boundName) bool {
	return len(names) > 1 && names[0].text == "proc" && (names[1].text == "self" || names[1].text == "thread-self")
}

func joined(names []boundName) string {
	if len(names) == 0 {
		return "/"
	}
	length := len(names)
	for i := range names {
		length += len(names[i].text)
	}
	var b strings.Builder
	b.Grow(length)
	for i := range names {
		b.WriteByte('/')
		b.WriteString(names[i].text)
	}
	return b.String()
}

// enter puts a rule's pattern into a tree, as written and as it is with
// symbolic links followed.
func (b *binder) enter(t *pathTree, rule *Rule, p *pattern, i order) (bound BoundPath, ok bool) {
	names, why := b.names(p)
	switch {
	case why == unknownHome:
		b.failHome(rule, p.pos)
		return bound, false
	case why != "":
		b.fail(rule, p.pos, "", why)
		return bound, false
	}
	bound, followed, links := b.follow(rule, p, names)
	if !t.add(names, i, rule.verb.speaks) || links && !t.add(followed, i, rule.verb.speaks) {
		b.mistakes.add(Mistake{Pos: p.pos, Message: "more than 1024 patterns have ** twice", Hint: "write them with one **"})
		return bound, false
	}
	return bound, true
}
