package policy

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// yamlTexts are accepted by parseYAML; each must mean to it what it means to a
// general parser.
var yamlTexts = []string{
	"", "# nothing\n", "--- # start\na: 1\n", "a: 1\nb: 2\n", "a:\n  b:\n    c: 1\n  d: 2\ne: 3\n",
	"- a\n- b: 1\n  c: 2\n-\n  d\n- - x\n  - y\n", "a:\n- 1\n- 2\nb: 3\n", "a:\n  - 1\n  -\n  - x: 1\n",
	"a: [1, \"two\", 'three', {x: 1, y: [z]}, ]\n", "a: {x: , y: ~, \"q\":1}\n", "a: [\n  1, # one\n  2\n]\nb: 1\n",
	"a: b c  # comment\nb: x#y\nc: 'it''s'\nd: \"tab\\t\\u00e9 \\x41\\n\"\n", "a: http://x/y:80\nb: 10.0.0.0/8:443\n",
	"a: |\n  one\n\n  two\n   three\nb: >\n  one\n  two\n\n  three\nc: |-\n  x\nd: >-\n  y\n\n", "a: |\n  # text\n  b\n# comment\nc: 1\n",
	"\"k 1\": x\n'k2' : y\nk 3: z\n", "a: -1\nb: - x\n"[:6], "a: b: c"[:4], "- |\n  x\n- >\n y\n", "a: '#'\nb: \"#\" # c\n",
	"a:\n\n\n  b: 1\n\n", "  a: 1\n  b: 2\n", "a: ?x\nb: :y\nc: -z\nd: [-a, b]\n", "é: ü\nb: \"ü\"\n",
	"a: x, y\nb: [a b, c  d]\n", "a: 0O7\nb: 1e3\nc: 0b1\n", "a: \"\\\"\\\\ \\_\\N\\L\\P\\e\\0\\a\\b\\v\\f\\r\\ \\U0001F600\"\n",
}

func TestYAMLMeansWhatItMeansElsewhere(t *testing.T) {
	for _, text := range yamlTexts {
		n, flaw := parseYAML(text)
		if flaw != nil {
			t.Errorf("%q: %d:%d: %s", text, flaw.line, flaw.col, flaw.message)
			continue
		}
		if err := sameAsYAML(n, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestYAMLLeavesOut lists what a general parser takes and ours refuses, and
// what both refuse.
func TestYAMLLeavesOut(t *testing.T) {
	for _, text := range []string{
		"a: &x 1\nb: *x\n", "a: !!str 1\n", "a: 1\n---\nb: 1\n", "a: 1\n...\n", "%YAML 1.2\n---\na: 1\n", "? a\n: b\n",
		"a: one\n  two\n", "a: \"one\n  two\"\n", "[a: 1]: 2\n", "a: [b: 1]\n", "a: {b}\n", "a:\tb\n", "\ta: 1\n",
		"a: |+\n  x\n", "a: |2\n  x\n", "a: >\n  x\n    y\n", "a: b: c\n", "a: 1\n b: 2\n", "a:\n    b: 1\n  c: 2\n",
		"a: [1\n", "a: \"x\n", "a: 'x\n", "a: \"\\q\"\n", "a: \"\\ud800\"\n", "a: @b\n", "a: `b\n", "a: %b\n", "- a\nb: 1\n", "a: 1\n- b\n",
		"a: - b\n", "a: [,]\n", "a: [1 2}\n", "a: {x: 1]\n", "a: \"b\"c\n", "a: [b]c\n", "a: \"b\"#c\n", "{a: 1", "a", "a\nb: 1\n"[:1] + "\n b",
		strings.Repeat("[", 100), "a: " + strings.Repeat("{x: ", 100), strings.Repeat("- ", 100) + "x",
	} {
		if n, flaw := parseYAML(text); flaw == nil && text != "a" {
			t.Errorf("%q is taken as %+v", text, n)
		}
	}
}

func FuzzYAML(f *testing.F) {
	for _, text := range yamlTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		text, flaw := checkText([]byte(raw))
		if flaw != nil {
			return
		}
		n, flaw := parseYAML(text)
		if flaw != nil {
			if flaw.line < 1 || flaw.col < 1 || flaw.line > strings.Count(text, "\n")+1 {
				t.Fatalf("a flaw outside of the text: %+v", *flaw)
			}
			return
		}
		if err := sameAsYAML(n, text); err != nil {
			t.Fatal(err)
		}
	})
}

// sameAsYAML compares our tree of a text with yaml.v3's.
func sameAsYAML(n node, text string) error {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case err == io.EOF:
		if !n.empty() {
			return fmt.Errorf("yaml.v3 finds nothing, we %+v", n)
		}
		return nil
	case err != nil:
		return fmt.Errorf("we take what yaml.v3 does not: %w", err)
	}
	return sameNode(&n, doc.Content[0])
}

func sameNode(n *node, y *yaml.Node) error {
	kinds := map[yaml.Kind]nodeKind{yaml.ScalarNode: scalarNode, yaml.SequenceNode: listNode, yaml.MappingNode: mapNode}
	if kind, ok := kinds[y.Kind]; !ok || kind != n.kind {
		return fmt.Errorf("line %d: kind %d, yaml.v3 has %d", n.line, n.kind, y.Kind)
	}
	switch n.kind {
	case listNode:
		if len(n.items) != len(y.Content) {
			return fmt.Errorf("line %d: %d items, yaml.v3 has %d", n.line, len(n.items), len(y.Content))
		}
		for i := range n.items {
			if err := sameNode(&n.items[i], y.Content[i]); err != nil {
				return err
			}
		}
	case mapNode:
		if 2*len(n.fields) != len(y.Content) {
			return fmt.Errorf("line %d: %d fields, yaml.v3 has %d", n.line, len(n.fields), len(y.Content)/2)
		}
		for i := range n.fields {
			if err := sameNode(&n.fields[i].key, y.Content[2*i]); err != nil {
				return err
			}
			if err := sameNode(&n.fields[i].value, y.Content[2*i+1]); err != nil {
				return err
			}
		}
	default:
		return sameScalar(n, y)
	}
	return nil
}

func sameScalar(n *node, y *yaml.Node) error {
	plain := y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if n.text != y.Value || n.quoted == plain {
		return fmt.Errorf("line %d: %q quoted %v, yaml.v3 has %q plain %v", n.line, n.text, n.quoted, y.Value, plain)
	}
	if n.isText() && y.Tag != "!!str" && y.Tag != "!!timestamp" && y.Tag != "!!merge" {
		return fmt.Errorf("line %d: %q is text to us, %s to yaml.v3", n.line, n.text, y.Tag)
	}
	if n.text != "" && (n.line != y.Line || n.col != y.Column) {
		return fmt.Errorf("%q at %d:%d, yaml.v3 has %d:%d", n.text, n.line, n.col, y.Line, y.Column)
	}
	return nil
}
