package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// language is the version of the policy language that this package reads.
const language = 1

// The keys that each kind of mapping may have. The JSON Schema lists the same.
var (
	policyKeys      = []string{"callgate", "description", "extends", "default", "errno", "kernel", "syscalls", "files", "exec", "network", "compat", "limits", "environment", "isolate", "tests"}
	compatKeys      = []string{"i386", "x32"}
	environmentKeys = []string{"keep", "set", "private-tmp"}
)

// part is what one file says, before it is joined with what it extends. A
// zero field is a line that the file does not have.
type part struct {
	from        string // which file
	description string
	extends     []reference
	action      Action // of `default`
	actionPos   Position
	errno       uint16
	kernel      abi.Version
	syscalls    bool // has the section, even if empty
	rules       []*Rule
	sections    sections
	compat      Compat
	limits      Limits
	environment Environment
	privateTmp  bool // has the line
	isolate     Isolation
	tests       []CallTest
	added       *Added // nil: a file's
}

// ofCalls says whether the file says anything of calls by their numbers.
func (p *part) ofCalls() bool {
	return p.syscalls || p.action != 0 || p.errno != 0 || p.kernel != (abi.Version{}) || p.compat != (Compat{})
}

// reader reads one file into a part.
type reader struct {
	file string
	led  *ledger
	part *part
	dir  string // absolute, of the file; "" until it is asked for
}

// readPart reads one file's text; what is wrong with it goes to led.
func readPart(file string, raw []byte, led *ledger) *part {
	text, flaw := checkText(raw)
	var root node
	if flaw == nil {
		root, flaw = parseYAML(text)
	}
	if flaw != nil {
		led.add(Mistake{Pos: Position{file, flaw.line, flaw.col}, Message: flaw.message, Hint: flaw.hint})
		return &part{}
	}
	return readRoot(file, &root, led)
}

// readRoot reads one file's tree.
func readRoot(file string, root *node, led *ledger) *part {
	r := &reader{file: file, led: led, part: &part{}}
	r.top(root)
	return r.part
}

func (r *reader) pos(n *node) Position { return Position{r.file, n.line, n.col} }

func (r *reader) fail(n *node, hint, format string, args ...any) {
	r.led.add(Mistake{Pos: r.pos(n), Message: fmt.Sprintf(format, args...), Hint: hint})
}

// What is said of a text that does not begin as policies do.
const (
	noVersion   = "the line `callgate: 1` is missing"
	versionHint = "a policy begins with `callgate: 1`"
)

func (r *reader) top(root *node) {
	if root.empty() {
		r.fail(root, versionHint, "the file is empty")
		return
	}
	if root.kind != mapNode {
		r.fail(root, versionHint, "expected a mapping, found %s", root.describe())
		return
	}
	version := false
	r.fields(root, "key", policyKeys, func(key string, f *field) {
		version = version || key == "callgate"
		r.line(key, &f.value)
	})
	if !version {
		r.fail(root, versionHint, noVersion)
	}
	r.namesAgainstKernel()
}

// line reads the value of one top-level key.
func (r *reader) line(key string, v *node) {
	switch key {
	case "callgate":
		r.version(v)
	case "description":
		r.part.description = r.text(v)
	case "extends":
		r.extends(v)
	case "default":
		r.part.action, r.part.actionPos = r.defaultAction(v), r.pos(v)
	case "errno":
		r.part.errno = r.errno(v)
	case "kernel":
		r.part.kernel = r.kernel(v)
	case "syscalls":
		r.part.syscalls = true
		r.rules(v)
	case "files":
		r.section(Files, v)
	case "exec":
		r.section(Exec, v)
	case "network":
		r.section(Network, v)
	case "compat":
		r.compat(v)
	case "limits":
		r.limits(v)
	case "environment":
		r.environment(v)
	case "isolate":
		r.isolate(v)
	case "tests":
		r.tests(v)
	}
}

// fields goes through a mapping and reports what is no mapping, keys that are
// unknown, and keys that stand twice. what names the keys in messages.
func (r *reader) fields(n *node, what string, known []string, visit func(key string, f *field)) {
	if n.kind != mapNode {
		with := ""
		if len(known) > 0 {
			with = " with " + oneOf(known)
		}
		r.fail(n, "", "expected a mapping%s, found %s", with, n.describe())
		return
	}
	twice := n.repeated()
	for i := range n.fields {
		f := &n.fields[i]
		switch first, again := twice[i]; {
		case again:
			r.fail(&f.key, "", "the key %s stands twice, first in line %d", quote(f.key.text), n.fields[first].key.line)
		case f.key.text == "<<" && !f.key.quoted:
			r.fail(&f.key, "use extends to share rules", "merge keys are not supported")
		case known == nil || slices.Contains(known, f.key.text):
			visit(f.key.text, f)
		default:
			r.fail(&f.key, keyHint(f.key.text, known), "unknown %s %s", what, quote(f.key.text))
		}
	}
}

// keyHint knows the verbs that another section has for what is meant.
func keyHint(key string, known []string) string {
	switch {
	case key == "allow" && slices.Contains(known, "read"):
		return "expected read or write"
	case key == "allow" && slices.Contains(known, "connect"):
		return "expected connect or bind"
	case (key == "read" || key == "run") && slices.Contains(known, "quiet") && slices.Contains(known, "allow"):
		return "expected allow"
	}
	return DidYouMean(key, known)
}

// list gives a list's items, or a single value as a list of one.
func (r *reader) list(n *node, of string) []node {
	switch {
	case n.kind == scalarNode && !n.empty():
		return []node{*n}
	case n.kind == listNode && len(n.items) > 0:
		return n.items
	case n.kind == listNode:
		r.fail(n, "", "the list is empty; expected %s", of)
	default:
		r.fail(n, "", "expected %s or a list of them, found %s", of, n.describe())
	}
	return nil
}

// text reads a scalar that must be text, "" if it is not.
func (r *reader) text(n *node) string {
	switch {
	case n.isText():
		return strings.TrimRight(n.text, "\n")
	case n.kind == scalarNode && !n.empty():
		r.fail(n, "write "+quote(n.text), "expected text, found %s", n.describe())
	default:
		r.fail(n, "", "expected text, found %s", n.describe())
	}
	return ""
}

func (r *reader) version(n *node) {
	v, err := strconv.Atoi(n.text)
	switch {
	case n.kind != scalarNode || n.quoted || err != nil || v < 1:
		r.fail(n, "write `callgate: 1`", "expected the language version, found %s", n.describe())
	case v > language:
		r.fail(n, "use a newer callgate", "the policy is written in language version %d; this callgate knows version %d", v, language)
	}
}

func (r *reader) extends(n *node) {
	items := r.list(n, "a policy's path or builtin:NAME")
	for i := range items {
		item := &items[i]
		if !item.isText() {
			r.fail(item, "", "expected a policy's path or builtin:NAME, found %s", item.describe())
			continue
		}
		r.part.extends = append(r.part.extends, reference{item.text, r.pos(item)})
	}
}

var defaultActions = []string{"deny", "kill", "ask", "log", "allow"}

func (r *reader) defaultAction(n *node) Action {
	if a, ok := parseAction(n.text); ok && n.kind == scalarNode && a != Skip {
		return a
	}
	r.wrongWord(n, "default", defaultActions)
	return 0
}

// wrongWord reports a scalar that is none of a few words.
func (r *reader) wrongWord(n *node, what string, words []string) {
	if !n.isText() {
		r.fail(n, "", "expected %s, found %s", oneOf(words), n.describe())
		return
	}
	r.fail(n, DidYouMean(n.text, words), "unknown %s %s", what, quote(n.text))
}

// errno reads an errno's name or number, 0 if it is none.
func (r *reader) errno(n *node) uint16 {
	if n.kind == scalarNode && !n.empty() {
		if e, ok := ParseErrno(n.text); ok {
			return e
		}
		if !isNumber(n.text) {
			r.fail(n, DidYouMean(n.text, errnoList()), "unknown errno %s", quote(n.text))
			return 0
		}
	}
	r.fail(n, "", "expected an errno's name or a number from 1 to 4095, found %s", n.describe())
	return 0
}

// kernel reads a version as "5.10".
func (r *reader) kernel(n *node) abi.Version {
	major, minor, ok := strings.Cut(n.text, ".")
	x, err1 := strconv.ParseUint(major, 10, 16)
	y, err2 := strconv.ParseUint(minor, 10, 16)
	if n.kind != scalarNode || !ok || err1 != nil || err2 != nil || x == 0 {
		r.fail(n, "write for example `kernel: 5.10`", "expected a kernel version with two numbers, found %s", n.describe())
		return abi.Version{}
	}
	return abi.Version{Major: uint16(x), Minor: uint16(y)}
}

var compatActions = []string{"kill", "deny", "same"}

func (r *reader) compat(n *node) {
	r.fields(n, "ABI", compatKeys, func(key string, f *field) {
		a, ok := parseCompat(f.value.text)
		if !ok || f.value.kind != scalarNode {
			r.wrongWord(&f.value, "action", compatActions)
			return
		}
		if key == "i386" {
			r.part.compat.I386 = a
		} else {
			r.part.compat.X32 = a
		}
	})
}
