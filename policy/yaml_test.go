package policy

import (
	"fmt"
	"strings"
	"testing"
)

// shape writes a tree as "{a@1:1: [b@1:5, 'c'@1:8]}", each with its position,
// quoted text in quotes.
func (n *node) shape() string {
	var parts []string
	for i := range n.items {
		parts = append(parts, n.items[i].shape())
	}
	for i := range n.fields {
		parts = append(parts, n.fields[i].key.shape()+": "+n.fields[i].value.shape())
	}
	switch inner := strings.Join(parts, ", "); {
	case n.kind == listNode:
		return "[" + inner + "]"
	case n.kind == mapNode:
		return "{" + inner + "}"
	case n.quoted:
		return fmt.Sprintf("%q@%d:%d", n.text, n.line, n.col)
	}
	return fmt.Sprintf("%s@%d:%d", n.text, n.line, n.col)
}

func TestYAMLTree(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "@1:1"},
		{"--- # start\na: 1\n...\n", "{a@2:1: 1@2:4}"},
		{"a:\n- 1\n- x: [y, 'z', ]\nb: ~\n", `{a@1:1: [1@2:3, {x@3:3: [y@3:7, "z"@3:10]}], b@4:1: ~@4:4}`},
		{"é: ü # c\nb: \"\\u00fc\"\n", "{é@1:1: ü@1:4, b@2:1: \"ü\"@2:4}"},
		{"a: |\n  one\n  two\nb: >-\n  one\n  two\n", `{a@1:1: "one\ntwo\n"@1:4, b@4:1: "one two"@4:4}`},
		{"a: one\n  two\nb: x!y\n", "{a@1:1: one two@1:4, b@3:1: x!y@3:4}"},
		// What versions of YAML disagree about stays as the author wrote it.
		{"[no, 0o17, 010, 1_000, 0b1, 1e3, ~, 2001-01-01, 'no', .5]", `[no@1:2, 0o17@1:6, 010@1:12, 1_000@1:17, 0b1@1:24, 1e3@1:29, ~@1:34, 2001-01-01@1:37, "no"@1:49, .5@1:55]`},
	} {
		n, flaw := parseYAML(tt.text)
		if flaw != nil {
			t.Errorf("%q: %+v", tt.text, *flaw)
		} else if got := n.shape(); got != tt.want {
			t.Errorf("%q\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func TestYAMLRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a: &x 1\nb: *x\n", "1:4 an anchor"},
		{"a: 1\nkeep: [GO*, *FLAGS]\n", "2:13 an alias"},
		{"a: &a [1]\nb: [*a, *a]\n", "1:4 an anchor"},
		{"a: !!str 1\n", "1:4 a tag"},
		{"a: ! 1\n", "1:4 a tag"},
		{"é: [é, ! \"1\"]\n", "1:8 a tag"},
		{"!!map {a: 1}\n", "1:1 a tag"},
		{"a: 1\n---\nb: 1\n", "2:1 a second document"},
		{"a: 1\n...\nb: 1\n", "3:1 not YAML: did not find expected <document start>"},
		{"a: 1\n--- [\n", "3:1 not YAML: did not find expected node content"},
		{"[a]: b\n", "1:1 a key must be one piece of text"},
		{"{a: 1}: b\n", "1:1 a key must be one piece of text"},
		{"? " + strings.Repeat("k", maxKey+1) + "\n: b\n", "1:3 the key is too long"},
		{"[,]\n", "1:1 not YAML: did not find expected node content"},
		{"a: b: c\n", "1:1 not YAML: mapping values are not allowed in this context"},
		{"x: 1\n\ta: 1\n", "2:2 not YAML: found a tab character that violates indentation"},
		{"x: 1\ny:\n  a: 1\n b: 2\n", "4:2 not YAML: did not find expected key"},
		{"x: 1\na: \"\\ud800\"\n", "2:1 not YAML: found invalid Unicode character escape code"},
		{strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "1:33 values are nested too deeply"},
		{strings.Repeat("[", 20000), "1:1 not YAML: exceeded max depth of 10000"},
	} {
		n, flaw := parseYAML(tt.text)
		if flaw == nil {
			t.Errorf("%q is taken as %s", tt.text, n.shape())
		} else if got := fmt.Sprintf("%d:%d %s", flaw.line, flaw.col, flaw.message); got != tt.want {
			t.Errorf("%.40q\ngot  %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

// FuzzYAML: a flaw stands inside of its text, and the library never panics in
// a way that we would not turn into a flaw.
func FuzzYAML(f *testing.F) {
	for _, text := range []string{"a: &x 1\nb: *x\n", "- ! a\n- {b: [c, \"d\\n\"]}\n", "a:\n    b: 1\n  c: 2\n", "a: |\n  x\n---\n", "? a\n: [b\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		text, flaw := checkText([]byte(raw))
		if flaw != nil {
			return
		}
		if _, flaw = parseYAML(text); flaw == nil {
			return
		}
		if flaw.line < 1 || flaw.col < 1 || flaw.line > strings.Count(text, "\n")+1 {
			t.Fatalf("a flaw outside of the text: %+v", *flaw)
		}
	})
}
