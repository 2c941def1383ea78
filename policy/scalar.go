package policy

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// place is where a scalar stands, which decides what ends it.
type place uint8

const (
	inKey place = iota
	inValue
	inFlow
)

// maxKey bounds a key's length in bytes; YAML's own bound is 1024.
const maxKey = 512

// flow reads a list in brackets or a map in braces.
func (p *parser) flow() node {
	if !p.enter() {
		return node{}
	}
	defer p.leave()
	n, end := p.here(listNode), byte(']')
	if p.at(0) == '{' {
		n.kind, end = mapNode, '}'
	}
	p.pos++
	for p.blank(); p.at(0) != end && !p.eof(); p.blank() {
		if n.kind == mapNode {
			n.fields = append(n.fields, p.flowField())
		} else {
			n.items = append(n.items, p.flowValue())
		}
		if p.blank(); p.at(0) == ',' {
			p.pos++
		} else if p.at(0) != end && !p.eof() {
			p.failHere("expected \",\" or \""+string(end)+"\", found "+p.word(), p.openHint(&n))
		}
	}
	if p.eof() {
		p.fail(n.line, n.col, "this bracket is never closed", "")
		return n
	}
	p.pos++
	return n
}

// openHint is the likely remedy where brackets that begin at n do not go on as
// they should.
func (p *parser) openHint(n *node) string {
	if n.line != p.line {
		return "the bracket of line " + strconv.Itoa(n.line) + " is still open"
	}
	return "quote text that has : # , [ ] { or } in it"
}

func (p *parser) flowField() field {
	key := p.scalar(inFlow)
	p.spaces()
	if p.at(0) != ':' || !key.quoted && !gap(p.at(1)) {
		p.failHere(`expected ":" after the key `+quote(key.text), "a map in braces is written {key: value}")
		return field{}
	}
	p.pos++
	p.blank()
	value := p.here(scalarNode)
	if c := p.at(0); c != ',' && c != '}' {
		value = p.flowValue()
	}
	return field{key, value}
}

func (p *parser) flowValue() node {
	if c := p.at(0); c == '[' || c == '{' {
		return p.flow()
	}
	return p.scalar(inFlow)
}

// flowGap says whether the byte i places on ends a word in brackets.
func (p *parser) flowGap(i int) bool {
	c := p.at(i)
	return gap(c) || strings.IndexByte(",[]{}", c) >= 0
}

// scalar reads one piece of text on one line.
func (p *parser) scalar(where place) node {
	n := p.here(scalarNode)
	from := p.pos
	switch c := p.at(0); c {
	case '"':
		n.quoted, n.text = true, p.doubleQuoted()
	case '\'':
		n.quoted, n.text = true, p.singleQuoted()
	default:
		if p.plainStart(where) {
			n.text = p.plain(where)
		}
	}
	if where != inValue && p.pos-from > maxKey && p.at(0) == ':' {
		p.fail(n.line, n.col, "the key is too long", "")
	}
	return n
}

// plainStart refuses what cannot begin plain text.
func (p *parser) plainStart(where place) bool {
	switch c := p.at(0); c {
	case '*':
		p.failHere("an alias", "callgate reads no YAML anchors and aliases; quote text that begins with *")
	case '&':
		p.failHere("an anchor", "callgate reads no YAML anchors and aliases; quote text that begins with &")
	case '!':
		p.failHere("a tag", "callgate reads no YAML tags; quote text that begins with !")
	case '@', '`':
		p.failHere("text cannot begin with "+string(c), "quote it: \""+strings.Trim(p.word(), `"[],{}:`)+"\"")
	case '%', '|', '>', ',', '[', ']', '{', '}', '#':
		p.failHere("text cannot begin with "+string(c), "quote it if it is text")
	case '-', '?', ':':
		if gap(p.at(1)) || where == inFlow && (c != '-' || p.flowGap(1)) {
			p.failHere(`unexpected "`+string(c)+`"`, "")
		}
	}
	return p.flaw == nil
}

// plain reads unquoted text up to what ends it.
func (p *parser) plain(where place) string {
	from := p.pos
scan:
	for ; !p.eof(); p.pos++ {
		switch c := p.at(0); {
		case c == '\n' || c == '#' && p.text[p.pos-1] == ' ':
			break scan
		case c == '\t':
			p.failHere("a tab", "separate with spaces; quote text that has a tab in it")
		case c == ':' && gap(p.at(1)):
			break scan
		case where == inFlow && (c == '?' || c == ':' && p.flowGap(1)):
			p.failHere("unexpected \""+string(c)+"\"", "put a space after it, or quote the text that has it") // YAML's versions differ here
		case where == inFlow && strings.IndexByte(",[]{}", c) >= 0:
			break scan
		}
	}
	if p.flaw != nil {
		return ""
	}
	text := strings.TrimRight(p.text[from:p.pos], " ")
	p.pos = from + len(text)
	return text
}

// closing is the index of the quote that ends the quoted text which s begins
// with, or -1.
func closing(s string) int {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] == s[0] && s[0] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			i++
		case s[i] == s[0]:
			return i
		}
	}
	return -1
}

func (p *parser) singleQuoted() string {
	end := closing(p.text[p.pos:])
	if end < 0 {
		p.failHere("the quote is not closed on its line", "")
		return ""
	}
	text := p.text[p.pos+1 : p.pos+end]
	p.pos += end + 1
	return strings.ReplaceAll(text, "''", "'")
}

func (p *parser) doubleQuoted() string {
	end := closing(p.text[p.pos:])
	if end < 0 {
		p.failHere("the quote is not closed on its line", "")
		return ""
	}
	stop := p.pos + end
	p.pos++
	raw := p.text[p.pos:stop]
	if strings.IndexByte(raw, '\\') >= 0 {
		raw = p.unescape(stop)
	}
	if p.flaw == nil {
		p.pos = stop + 1
	}
	return raw
}

// unescape reads double-quoted text with escapes up to stop.
func (p *parser) unescape(stop int) string {
	var out []byte
	for p.pos < stop {
		c := p.text[p.pos]
		if c != '\\' {
			out = append(out, c)
			p.pos++
			continue
		}
		r, size := escape(p.text[p.pos+1 : stop])
		if size == 0 {
			p.failHere("unknown escape "+quote(p.text[p.pos:min(p.pos+2, stop)]), `write \\ for a backslash, or use single quotes`)
			return ""
		}
		out = utf8.AppendRune(out, r)
		p.pos += 1 + size
	}
	return string(out)
}

// escape reads YAML's escape sequence after its backslash; size is 0 where
// there is none such.
func escape(s string) (r rune, size int) {
	const letters = "0abtnvfre\"\\N_LP "
	const runes = "\x00\a\b\t\n\v\f\r\x1b\"\\\u0085\u00a0\u2028\u2029 "
	if s == "" {
		return 0, 0
	}
	if i := strings.IndexByte(letters, s[0]); i >= 0 {
		return []rune(runes)[i], 1
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	if digits == 0 || len(s) <= digits {
		return 0, 0
	}
	v, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
		return 0, 0
	}
	return rune(v), 1 + digits
}

// textBlock reads text of several lines after | (as it stands) or > (lines
// joined), inside a collection that is indented by parent.
func (p *parser) textBlock(parent int) node {
	n := p.here(scalarNode)
	n.quoted = true
	folded := p.at(0) == '>'
	p.pos++
	strip := p.at(0) == '-'
	if strip {
		p.pos++
	}
	p.lineEnd()
	if p.eof() {
		return n
	}
	p.newline()
	lines, ended := p.textLines(parent)
	if folded {
		n.text = p.fold(&n, lines)
	} else {
		n.text = strings.Join(lines, "\n")
	}
	if !strip && ended && n.text != "" {
		n.text += "\n"
	}
	return n
}

// textLines reads the lines of a block of text, without their indentation and
// without blank lines at the end. ended says that a line end follows the last.
func (p *parser) textLines(parent int) (lines []string, ended bool) {
	indent := 0
	for last := 0; ; {
		line, _, more := strings.Cut(p.text[p.pos:], "\n")
		body := strings.TrimLeft(line, " ")
		deep := len(line) - len(body)
		switch {
		case body == "" && (deep > indent || indent == 0 && more):
			p.failHere("spaces and nothing else in a block of text", "begin the text on the line after its mark, and leave empty lines empty")
		case body == "":
			lines = append(lines, "")
		case indent == 0 && deep > max(parent, 0):
			indent = deep
			fallthrough
		case deep >= indent && indent > 0:
			if strings.IndexByte(body, '\t') >= 0 {
				p.failHere("a tab in a block of text", "")
			}
			lines = append(lines, line[indent:])
			last, ended = len(lines), more
		default:
			return lines[:last], ended
		}
		if !more || p.flaw != nil {
			p.pos = len(p.text)
			return lines[:last], ended
		}
		p.pos += len(line)
		p.newline()
	}
}

// fold joins lines as > does: with a space, or with as many line ends as empty
// lines stand between.
func (p *parser) fold(n *node, lines []string) string {
	var b strings.Builder
	gapBefore := false
	for i, line := range lines {
		if strings.HasPrefix(line, " ") {
			p.fail(n.line, n.col, "indented lines inside text after >", "use | to keep lines as they are")
			return ""
		}
		if line == "" {
			b.WriteByte('\n')
			gapBefore = true
			continue
		}
		if i > 0 && !gapBefore {
			b.WriteByte(' ')
		}
		b.WriteString(line)
		gapBefore = false
	}
	return b.String()
}
