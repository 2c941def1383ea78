package policy

import (
	"strings"
	"unicode/utf8"
)

// parser reads the part of YAML that a policy is written in: block and flow
// collections, plain and quoted text on one line, and blocks of text (| and
// >). What it accepts means the same to every YAML parser; what it leaves out
// (anchors, aliases, tags, several documents, text folded over lines without a
// mark) is refused with a word about it, never misread. It is here, rather
// than a general parser, because positions must be exact, every run of a
// command pays for it, and the text may come from anyone.
//
// The first flaw ends the parse: the position jumps to the end of the text,
// where every loop stops.
type parser struct {
	text  string
	pos   int
	line  int // of pos, from 1
	start int // where that line begins
	depth int
	seen  struct{ pos, col int } // a place on the line whose column is known
	flaw  *flaw
}

// flaw is a mistake in the text itself, before anything is known of its
// meaning.
type flaw struct {
	line, col     int
	message, hint string
}

// parseYAML gives the tree of a whole text, or what is wrong with it. A text
// without content is an empty scalar.
func parseYAML(text string) (node, *flaw) {
	p := &parser{text: text, line: 1}
	p.seen.col = 1
	p.marker()
	p.blank()
	n := p.here(scalarNode)
	if !p.eof() {
		n = p.block(-1)
		p.blank()
	}
	if !p.eof() {
		p.failHere("this line fits nowhere", "indent it as its neighbours are, with spaces")
	}
	return n, p.flaw
}

func (p *parser) eof() bool { return p.pos >= len(p.text) }

// at is the byte i places on, 0 past the end. The text has no NUL.
func (p *parser) at(i int) byte {
	if p.pos+i < len(p.text) {
		return p.text[p.pos+i]
	}
	return 0
}

// gap says whether a byte ends a word: white space or the end.
func gap(c byte) bool { return c == ' ' || c == '\n' || c == 0 || c == '\t' }

func (p *parser) indent() int { return p.pos - p.start }

func (p *parser) here(kind nodeKind) node {
	return node{kind: kind, line: p.line, col: p.column()}
}

// column counts on from the last place asked for, so that a text of one long
// line costs no more than one of many.
func (p *parser) column() int {
	pos := min(p.pos, len(p.text))
	if p.seen.pos < p.start || p.seen.pos > pos {
		p.seen.pos, p.seen.col = p.start, 1
	}
	p.seen.col += utf8.RuneCountInString(p.text[p.seen.pos:pos])
	p.seen.pos = pos
	return p.seen.col
}

func (p *parser) failHere(message, hint string) { p.fail(p.line, p.column(), message, hint) }

func (p *parser) fail(line, col int, message, hint string) {
	if p.flaw == nil {
		p.flaw = &flaw{line, col, message, hint}
	}
	p.pos = len(p.text)
}

// marker passes over a "---" that begins the document.
func (p *parser) marker() {
	rest := p.text
	lines := 0
	for strings.HasPrefix(strings.TrimLeft(rest, " "), "#") || strings.HasPrefix(strings.TrimLeft(rest, " "), "\n") {
		_, rest, _ = strings.Cut(rest, "\n")
		lines++
	}
	if !strings.HasPrefix(rest, "---") || len(rest) > 3 && !gap(rest[3]) {
		return
	}
	p.start = len(p.text) - len(rest)
	p.pos, p.line = p.start+3, 1+lines
	p.lineEnd()
}

// spaces passes over spaces within the line.
func (p *parser) spaces() {
	for p.at(0) == ' ' {
		p.pos++
	}
	if p.at(0) == '\t' {
		p.failHere("a tab", "indent and separate with spaces; YAML takes no tabs")
	}
}

// blank passes over spaces, comments and line ends to the next content.
func (p *parser) blank() {
	for {
		p.spaces()
		switch {
		case p.at(0) == '#' && (p.pos == p.start || p.text[p.pos-1] == ' '):
			p.comment()
		case p.at(0) == '\n':
			p.newline()
		default:
			p.markerInside()
			return
		}
	}
}

func (p *parser) comment() {
	if i := strings.IndexByte(p.text[p.pos:], '\n'); i >= 0 {
		p.pos += i
	} else {
		p.pos = len(p.text)
	}
}

func (p *parser) newline() {
	p.pos++
	p.line++
	p.start = p.pos
}

// markerInside refuses a second document.
func (p *parser) markerInside() {
	if p.pos != p.start || p.eof() {
		return
	}
	if rest := p.text[p.pos:]; (strings.HasPrefix(rest, "---") || strings.HasPrefix(rest, "...")) && gap(p.at(3)) {
		p.failHere("a second document", "one file holds one policy; use extends for several")
	}
}

// lineEnd requires that only a comment follows on the line.
func (p *parser) lineEnd() {
	before := p.pos
	p.spaces()
	switch c := p.at(0); {
	case c == '\n' || c == 0:
	case c == '#' && p.pos > before:
		p.comment()
	case c == ':' && gap(p.at(1)):
		p.failHere(`": " where no key can stand`, `quote text that has ": " in it`)
	default:
		p.failHere("unexpected "+p.word()+" after the value", "quote the value if this belongs to it")
	}
}

// word is the text here up to the next gap, quoted and shortened, for
// messages.
func (p *parser) word() string {
	rest := p.text[min(p.pos, len(p.text)):]
	if i := strings.IndexAny(rest, " \n\t"); i >= 0 {
		rest = rest[:i]
	}
	return quote(rest)
}

// dash says whether a block list's item begins here.
func (p *parser) dash() bool { return p.at(0) == '-' && gap(p.at(1)) }

// block reads the value that begins here, inside a collection that is
// indented by parent.
func (p *parser) block(parent int) node {
	if !p.enter() {
		return node{}
	}
	defer p.leave()
	switch {
	case p.dash():
		return p.blockList(p.indent())
	case p.keyAhead():
		return p.blockMap(p.indent())
	}
	return p.inline(parent)
}

func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.failHere("values are nested too deeply", "")
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

// keyAhead says whether the line goes on as "key:".
func (p *parser) keyAhead() bool {
	rest := p.text[p.pos:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	switch rest[0] {
	case '[', '{':
		return false
	case '"', '\'':
		end := closing(rest)
		if end < 0 {
			return false
		}
		rest = strings.TrimLeft(rest[end+1:], " ")
		return strings.HasPrefix(rest, ":") && (len(rest) == 1 || gap(rest[1]))
	}
	if i := strings.Index(rest, " #"); i >= 0 {
		rest = rest[:i]
	}
	return strings.HasSuffix(rest, ":") || strings.Contains(rest, ": ") || strings.Contains(rest, ":\t")
}

// blockMap reads "key: value" lines that are all indented by c.
func (p *parser) blockMap(c int) node {
	n := p.here(mapNode)
	for !p.eof() && p.indent() == c && !p.dash() {
		key := p.scalar(inKey)
		p.spaces()
		if p.at(0) != ':' || !gap(p.at(1)) {
			p.failHere(`expected ":" after `+quote(key.text), "")
			break
		}
		p.pos++
		n.fields = append(n.fields, field{key, p.blockValue(c)})
		p.blank()
		p.tooDeep(c)
	}
	return n
}

// blockValue reads what follows "key:" of a map that is indented by c.
func (p *parser) blockValue(c int) node {
	p.spaces()
	if !p.restEmpty() {
		return p.inline(c)
	}
	nothing := p.here(scalarNode)
	p.blank()
	switch {
	case p.eof():
		return nothing
	case p.indent() > c:
		return p.block(c)
	case p.indent() == c && p.dash():
		return p.blockList(c)
	}
	return nothing
}

// restEmpty says whether only a comment follows on this line, at which spaces
// just stopped.
func (p *parser) restEmpty() bool {
	c := p.at(0)
	return c == '\n' || c == 0 || c == '#' && p.text[p.pos-1] == ' '
}

// blockList reads "- value" lines that are all indented by c.
func (p *parser) blockList(c int) node {
	n := p.here(listNode)
	for !p.eof() && p.indent() == c && p.dash() {
		p.pos++
		p.spaces()
		item := p.here(scalarNode)
		if !p.restEmpty() {
			item = p.block(c)
		} else if p.blank(); !p.eof() && p.indent() > c {
			item = p.block(c)
		}
		n.items = append(n.items, item)
		p.blank()
		p.tooDeep(c)
	}
	return n
}

// tooDeep refuses a line that is indented more than the collection whose next
// entry it should be.
func (p *parser) tooDeep(c int) {
	if !p.eof() && p.indent() > c {
		p.failHere("this line is indented more than the entries that it follows",
			"align it with them; text of several lines is written after | or >")
	}
}

// inline reads a value that begins on this line and is neither a block list
// nor a block map.
func (p *parser) inline(parent int) node {
	var n node
	switch p.at(0) {
	case '[', '{':
		n = p.flow()
	case '|', '>':
		return p.textBlock(parent)
	default:
		n = p.scalar(inValue)
	}
	p.lineEnd()
	return n
}
