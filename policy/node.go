package policy

import (
	"strings"
	"unicode/utf8"
)

// node is one value of a policy's text: the tree that YAML makes of it, with
// positions.
type node struct {
	text      string // of a scalar, unquoted
	fields    []field
	items     []node
	line, col int // from 1, columns in characters
	kind      nodeKind
	quoted    bool // a scalar in quotes or a block of text: never a number
}

type field struct{ key, value node }

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	mapNode
)

// maxText is the greatest size of one policy file in bytes, maxDepth how deep
// its values may nest. Both are far above what a policy needs and far below
// what would cost time or stack.
const (
	maxText  = 1 << 20
	maxDepth = 32
)

// empty says whether the node is YAML's null: nothing written, or "~".
func (n *node) empty() bool {
	if n.kind != scalarNode || n.quoted {
		return false
	}
	switch n.text {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// describe names what the node is, for "expected X, found Y".
func (n *node) describe() string {
	switch {
	case n.kind == listNode:
		return "a list"
	case n.kind == mapNode:
		return "a mapping"
	case n.empty():
		return "nothing"
	case !n.quoted && isBool(n.text):
		return "the truth value " + n.text
	case !n.quoted && isNumber(n.text):
		return "the number " + n.text
	}
	return "the text " + quote(n.text)
}

// isText says whether a scalar is text in every version of YAML: what an
// older one takes for a truth value must be quoted.
func (n *node) isText() bool {
	return n.kind == scalarNode && (n.quoted || !n.empty() && !isBool(n.text) && !isNumber(n.text))
}

// repeated gives, for each field whose key stands before, the index of the
// first field that has it.
func (n *node) repeated() map[int]int {
	const few = 12
	var twice map[int]int
	var seen map[string]int
	if len(n.fields) > few {
		seen = make(map[string]int, len(n.fields))
	}
	for i := range n.fields {
		first := i
		if seen == nil {
			for first = 0; n.fields[first].key.text != n.fields[i].key.text; first++ {
			}
		} else if j, ok := seen[n.fields[i].key.text]; ok {
			first = j
		} else {
			seen[n.fields[i].key.text] = i
		}
		if first == i {
			continue
		}
		if twice == nil {
			twice = map[int]int{}
		}
		twice[i] = first
	}
	return twice
}

func isBool(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off":
		return true
	}
	return false
}

// isNumber says whether YAML takes a plain scalar for a number: it begins as
// one and has nothing in it that numbers do not have.
func isNumber(s string) bool {
	t := strings.TrimLeft(s, "+-")
	switch strings.ToLower(t) {
	case ".inf", ".nan":
		return true
	}
	if t = strings.TrimPrefix(t, "."); t == "" || t[0] < '0' || t[0] > '9' {
		return false
	}
	return strings.Trim(t, "0123456789abcdefABCDEFoOxX_.+-") == ""
}

// checkText finds what no policy file may hold, so that the parser meets only
// printable UTF-8 with "\n" at its line ends.
func checkText(raw []byte) (string, *flaw) {
	if len(raw) > maxText {
		return "", &flaw{0, 0, "the file is greater than 1 MiB", "a policy or a config is a few kilobytes"}
	}
	text := strings.TrimPrefix(string(raw), "\ufeff")
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(text, "\r\n", "\n")
	}
	line, col := 1, 0
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c < 0x7f {
			i, col = i+1, col+1
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		col++
		switch {
		case r == '\n':
			line, col = line+1, 0
		case r == utf8.RuneError && size == 1:
			return "", &flaw{line, col, "not UTF-8", "save the file as UTF-8"}
		case r != '\t' && !printable(r):
			return "", &flaw{line, col, "a control character (" + runeName(r) + ")", `write it as an escape in double quotes, such as "\x1b"`}
		}
		i += size
	}
	return text, nil
}

// printable follows YAML 1.2's c-printable, less the characters that YAML 1.1
// takes for line ends (U+0085, U+2028, U+2029) and the byte order mark.
func printable(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

func runeName(r rune) string {
	const digits = "0123456789ABCDEF"
	name := []byte("U+")
	for shift := 20; shift >= 0; shift -= 4 {
		if d := r >> shift & 15; d != 0 || len(name) > 2 || shift < 16 {
			name = append(name, digits[d])
		}
	}
	return string(name)
}
