package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// testKeys are those of one entry of `tests`.
var testKeys = []string{"call", "expect", "errno", "value", "abi", "reason"}

// CallTest is a call that a policy's `tests` name, and the verdict on it that its
// author expects.
type CallTest struct {
	Pos    Position // of the call
	Text   string   // the call as written
	Arch   abi.Arch // of a call that names none; 0: this machine's
	Expect Action
	Errno  uint16 // Deny: what the call is to fail with; 0: whatever it does
	Value  *int64 // Skip: what the call is to return; nil: whatever it does
	Reason string // why it matters, for people; may be empty

	plain bool // written without quotes
}

// Call reads the call by ParseCall. What a Loader gives has been read before.
func (t *CallTest) Call() (CallText, error) {
	arch := t.Arch
	if arch == 0 {
		arch = abi.Native()
	}
	c, err := ParseCall(t.Text, arch)
	if err == nil && t.Arch != 0 && c.Arch != t.Arch {
		err = fmt.Errorf("the call is of %v, and the line abi says %v", c.Arch, t.Arch)
	}
	return c, err
}

// Met says whether a verdict is the one that is expected.
func (t *CallTest) Met(v Verdict) bool {
	return v.Action == t.Expect && (t.Errno == 0 || v.Errno == t.Errno) && (t.Value == nil || v.Value == *t.Value)
}

// Expected is the verdict that is expected, in words.
func (t *CallTest) Expected() string {
	switch {
	case t.Errno != 0:
		return t.Expect.String() + ", " + ErrnoName(t.Errno)
	case t.Value != nil:
		return t.Expect.String() + ", returns " + strconv.FormatInt(*t.Value, 10)
	}
	return t.Expect.String()
}

const testExample = "write for example `- call: openat(AT_FDCWD, \"/etc/shadow\", O_RDONLY)` and, below it, `expect: deny`"

// tests reads the section `tests`, but for what its calls say.
func (r *reader) tests(n *node) {
	if n.kind != listNode {
		r.fail(n, testExample, "expected a list of tests, found %s", n.describe())
		return
	}
	for i := range n.items {
		if r.led.full() {
			return
		}
		r.test(&n.items[i])
	}
}

// test reads one entry, which makes a test of each of its calls.
func (r *reader) test(n *node) {
	if n.kind != mapNode {
		r.fail(n, testExample, "expected a test, found %s", n.describe())
		return
	}
	var t CallTest
	var calls, expect, errno, value *field
	before := len(r.led.list)
	r.fields(n, "test key", testKeys, func(key string, f *field) {
		switch key {
		case "call":
			calls = f
		case "expect":
			expect = f
		case "errno":
			errno = f
		case "value":
			value = f
		case "abi":
			t.Arch = r.abi(&f.value)
		case "reason":
			t.Reason = r.text(&f.value)
		}
	})
	if expect != nil {
		t.Expect = r.expected(&expect.value)
	}
	if len(r.led.list) == before { // else a key or word is probably one of these misspelt
		switch {
		case calls == nil:
			r.fail(n, testExample, "the test names no call")
		case expect == nil:
			r.fail(n, "", "the test does not say what to expect; expected %s", oneOf(actionKeys))
		}
	}
	r.expectedAnswer(&t, errno, value)
	if calls != nil {
		r.testCalls(&t, &calls.value)
	}
}

func (r *reader) expected(n *node) Action {
	if a, ok := parseAction(n.text); ok && n.kind == scalarNode {
		return a
	}
	r.wrongWord(n, "verdict", actionKeys)
	return 0
}

// expectedAnswer reads what the call is to fail with or return.
func (r *reader) expectedAnswer(t *CallTest, errno, value *field) {
	if errno != nil {
		t.Errno = r.errno(&errno.value)
		if t.Expect != Deny && t.Expect != 0 {
			r.fail(&errno.key, "", "errno belongs to tests that expect deny; this one expects %s", t.Expect)
		}
	}
	if value != nil {
		v := r.value(&value.value)
		t.Value = &v
		if t.Expect != Skip && t.Expect != 0 {
			r.fail(&value.key, "", "value belongs to tests that expect skip; this one expects %s", t.Expect)
		}
	}
}

func (r *reader) abi(n *node) abi.Arch {
	var names []string
	for _, a := range abi.Arches() {
		if names = append(names, a.String()); n.kind == scalarNode && n.text == a.String() {
			return a
		}
	}
	r.wrongWord(n, "ABI", names)
	return 0
}

// maxCall is the greatest length of a call in bytes: enough for two names.
const maxCall = 2*maxPattern + 1024

// testCalls makes a test of each call. One can be a bare number.
func (r *reader) testCalls(t *CallTest, n *node) {
	items := r.list(n, "a call")
	r.part.tests = slices.Grow(r.part.tests, len(items))
	for i := range items {
		item := &items[i]
		if item.kind != scalarNode || item.empty() || !item.quoted && isBool(item.text) {
			r.fail(item, "", "expected a call, found %s", item.describe())
			continue
		}
		if len(item.text) > maxCall {
			r.fail(item, "", "the call has more than %d bytes", maxCall)
			continue
		}
		one := *t
		one.Pos, one.Text, one.plain = r.pos(item), item.text, !item.quoted
		r.part.tests = append(r.part.tests, one)
	}
}

// readCalls reports what is wrong with the calls of a file's tests.
func (p *part) readCalls(led *ledger) {
	for i := range p.tests {
		if led.full() {
			return
		}
		t := &p.tests[i]
		if _, err := t.Call(); err != nil {
			led.add(Mistake{Pos: t.Pos, Message: err.Error(), Hint: t.hint()})
		}
	}
}

// hint is what to do about a call that cannot be read, where its author may not see it.
func (t *CallTest) hint() string {
	name, _, open := strings.Cut(t.Text, "(")
	switch _, err := named(name, abi.Native()); {
	case t.plain && open && strings.Count(t.Text, `"`)%2 == 1:
		return "quote a call with # in it: YAML takes what follows for a comment"
	case err != nil && t.Arch == 0 && abi.Known(name):
		return "name an ABI that has it, as in `abi: " + exemplar(name).Arch.String() + "`"
	}
	return ""
}
