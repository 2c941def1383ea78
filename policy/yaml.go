package policy

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// flaw is a mistake in the text itself, before anything is known of its
// meaning. A line of 0 stands for the whole file.
type flaw struct {
	line, col     int
	message, hint string
}

// ParseYAML gives the tree of a file that is to be as plain as a policy: printable UTF-8,
// one document without aliases, anchors and tags. It is nil where the file says nothing.
// The error is Mistakes.
func ParseYAML(file string, raw []byte) (*yaml.Node, error) {
	text, flaw := checkText(raw)
	var doc yaml.Node
	if flaw == nil {
		_, flaw = parseInto(&doc, text)
	}
	if flaw != nil {
		return nil, Mistakes{{Pos: Position{file, flaw.line, flaw.col}, Message: flaw.message, Hint: flaw.hint}}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// parseYAML gives the tree of a whole text, or what is wrong with it. A text
// without content is an empty scalar. Nothing is resolved but quotes and
// escapes: what a plain scalar means is for the readers to say.
func parseYAML(text string) (n node, wrong *flaw) { return parseInto(new(yaml.Node), text) }

// parseInto is parseYAML, and leaves the library's own tree in doc.
func parseInto(doc *yaml.Node, text string) (n node, wrong *flaw) {
	defer func() {
		// The text may come from anyone: a fault of the library's is no more
		// than a policy that cannot be read.
		if recover() != nil {
			n, wrong = node{}, &flaw{message: "the YAML cannot be read"}
		}
	}()
	dec := yaml.NewDecoder(strings.NewReader(text))
	var more yaml.Node
	switch err := dec.Decode(doc); {
	case errors.Is(err, io.EOF):
		return node{line: 1, col: 1}, nil
	case err != nil:
		return node{}, syntaxFlaw(text, err)
	}
	t := &tree{rest: text, line: 1, col: 1}
	n = t.node(doc.Content[0], 1)
	if t.flaw != nil {
		return node{}, t.flaw
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return node{}, &flaw{more.Line, more.Column, "a second document", "one file holds one document; a policy uses extends for several"}
	case !errors.Is(err, io.EOF):
		return node{}, syntaxFlaw(text, err)
	}
	return n, nil
}

// maxKey bounds a key's length in bytes, so that a key that is printed with
// each byte escaped stays under YAML's own bound of 1024 characters.
const maxKey = 250

// tree makes nodes of the library's, up to the first flaw. It follows the
// text along with them: rest begins at line and col.
type tree struct {
	rest      string
	line, col int
	flaw      *flaw
}

func (t *tree) fail(y *yaml.Node, message, hint string) {
	if t.flaw == nil {
		t.flaw = &flaw{y.Line, y.Column, message, hint}
	}
}

// node refuses what a policy needs none of, and what would let its text mean
// other than what it shows: an alias above all, which can also make a small
// text stand for a huge one.
func (t *tree) node(y *yaml.Node, depth int) node {
	n := node{text: y.Value, line: y.Line, col: y.Column}
	switch {
	case y.Kind == yaml.AliasNode:
		t.fail(y, "an alias", aliasHint+"*")
	case y.Anchor != "":
		t.fail(y, "an anchor", aliasHint+"&")
	case y.Style&yaml.TaggedStyle != 0 || t.at(y) == '!':
		t.fail(y, "a tag", "callgate reads no YAML tags; quote text that begins with !")
	case y.Kind != yaml.ScalarNode && depth > maxDepth:
		t.fail(y, "values are nested too deeply", "")
	}
	switch {
	case t.flaw != nil:
	case y.Kind == yaml.SequenceNode:
		n.kind = listNode
		t.items(&n, y, depth)
	case y.Kind == yaml.MappingNode:
		n.kind = mapNode
		t.fields(&n, y, depth)
	default:
		const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
		n.quoted = y.Style&quotes != 0
	}
	return n
}

const aliasHint = "callgate reads no YAML anchors and aliases; quote text that begins with "

func (t *tree) items(n *node, y *yaml.Node, depth int) {
	n.items = make([]node, 0, len(y.Content))
	for _, item := range y.Content {
		if n.items = append(n.items, t.node(item, depth+1)); t.flaw != nil {
			return
		}
	}
}

func (t *tree) fields(n *node, y *yaml.Node, depth int) {
	n.fields = make([]field, 0, len(y.Content)/2)
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := t.node(y.Content[i], depth+1)
		switch {
		case key.kind != scalarNode:
			t.fail(y.Content[i], "a key must be one piece of text", "")
		case len(key.text) > maxKey:
			t.fail(y.Content[i], "the key is too long", "")
		}
		if t.flaw != nil {
			return
		}
		n.fields = append(n.fields, field{key, t.node(y.Content[i+1], depth+1)})
	}
}

// at is the byte of the text where a node begins, 0 past the end. The library
// keeps no word of the tag "!", which makes text of a number. Nodes come in
// the order of the text.
func (t *tree) at(y *yaml.Node) byte {
	for t.line < y.Line && t.rest != "" {
		_, t.rest, _ = strings.Cut(t.rest, "\n")
		t.line, t.col = t.line+1, 1
	}
	for t.col < y.Column && t.rest != "" {
		_, size := utf8.DecodeRuneInString(t.rest)
		t.rest, t.col = t.rest[size:], t.col+1
	}
	if t.rest == "" {
		return 0
	}
	return t.rest[0]
}

// syntaxFlaw puts the library's error ("yaml: line 3: what is wrong") in its
// place. It names a line only: the flaw is given that line's first word.
func syntaxFlaw(text string, err error) *flaw {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if name, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		line, col := position(text, strings.Index(text, "*"+name))
		return &flaw{line, col, "an alias", aliasHint + "*"}
	}
	line := 0 // where it says nothing it means the first
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, message = n, what
		}
	}
	s := syntaxOf(message)
	if s.before {
		line++
	}
	line = min(max(line, 1), 1+strings.Count(text, "\n"))
	return &flaw{line, firstWord(text, line), "not YAML: " + message, s.hint}
}

// syntax is what a user needs beside the library's words.
type syntax struct {
	hint   string
	before bool // the library names the line before the one that it means
}

// syntaxOf knows the library's errors. Those of its parser, unlike its
// scanner's, count lines from 0, and mean the line where what is wrong inside
// begins (parser.fail in its decode.go).
func syntaxOf(message string) syntax {
	switch message {
	case "did not find expected key", "did not find expected '-' indicator":
		return syntax{"of the lines that begin here, one is not indented as its neighbours are", true}
	case "did not find expected ',' or ']'", "did not find expected ',' or '}'":
		return syntax{"a bracket is not closed, or text in it that has : # , [ ] { or } needs quotes", true}
	case "did not find expected node content", "did not find expected <document start>":
		return syntax{"a value is missing or stands where none can", true}
	case "mapping values are not allowed in this context":
		return syntax{`quote text that has ": " in it, and indent keys as their neighbours are`, false}
	case "found character that cannot start any token":
		return syntax{"indent with spaces, not tabs; quote text that begins with @, % or `", false}
	case "found unexpected end of stream":
		return syntax{"a quote is not closed", false}
	case "did not find expected alphabetic or numeric character":
		return syntax{"quote text that begins with * or &", false}
	}
	return syntax{}
}

// firstWord is the column of the first character of a line that is no blank, 1
// where there is none.
func firstWord(text string, line int) int {
	for ; line > 1; line-- {
		_, text, _ = strings.Cut(text, "\n")
	}
	text, _, _ = strings.Cut(text, "\n")
	if word := strings.TrimLeft(text, " \t"); word != "" {
		return 1 + len(text) - len(word)
	}
	return 1
}

// position is the line and column of a place in the text, 1 and 1 of one
// before its start.
func position(text string, offset int) (line, col int) {
	before := text[:max(offset, 0)]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}
