package learn

import (
	"slices"
	"strings"

	"callgate/policy"

	"gopkg.in/yaml.v3"
)

// Text is the text of a policy to which rules can be added: all else in it stays as it is.
type Text struct {
	lines  []string // with their ends
	indent string   // of keys
	parts  map[string]*piece
	said   map[string]bool // rules that stand in lines of their own: true; those in comments: false
}

// piece is a key of the policy, with its value.
type piece struct {
	key, value *yaml.Node
	end        int // the line that it ends in, with the comments that are its own
}

// ReadText takes a policy's text. The error is policy.Mistakes: where nothing can be added.
func ReadText(file string, raw []byte) (*Text, error) {
	root, err := policy.ParseYAML(file, raw)
	if err != nil {
		return nil, err
	}
	if root == nil || !isBlock(root, yaml.MappingNode) || len(root.Content) == 0 {
		return nil, unfit(file, root, "the policy", "write each key of the policy in lines of its own")
	}
	t := &Text{lines: strings.SplitAfter(string(raw), "\n"), parts: map[string]*piece{}, said: map[string]bool{}}
	if last := len(t.lines) - 1; t.lines[last] == "" {
		t.lines = t.lines[:last]
	}
	t.indent = strings.Repeat(" ", root.Content[0].Column-1)
	for i := 0; i+1 < len(root.Content); i += 2 {
		next := len(t.lines) + 1
		if i+2 < len(root.Content) {
			next = root.Content[i+2].Line
		}
		key := root.Content[i]
		t.parts[key.Value] = &piece{key, root.Content[i+1], t.end(key.Line, next)}
	}
	for _, line := range t.lines {
		t.hear(strings.TrimSpace(line))
	}
	return t, t.check(file)
}

// check finds where rules could not be added. They are never put first, where they would be
// tried before what stands there.
func (t *Text) check(file string) error {
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		p := t.parts[sec.String()]
		if p == nil || isBlock(p.value, yaml.SequenceNode) {
			continue
		}
		if _, empty := t.brackets(p.value); !empty {
			return unfit(file, p.value, "`"+sec.String()+"`", "write its rules in lines of their own, each with `- ` before it")
		}
	}
	if p := t.parts["environment"]; p != nil && !isBlock(p.value, yaml.MappingNode) && t.at(p.value, "{") < 0 {
		return unfit(file, p.value, "`environment`", "write its keys in lines of their own")
	}
	return nil
}

func isBlock(n *yaml.Node, kind yaml.Kind) bool { return n.Kind == kind && n.Style&yaml.FlowStyle == 0 }

func unfit(file string, n *yaml.Node, what, hint string) error {
	m := policy.Mistake{Pos: policy.Position{File: file}, Message: "nothing can be added to " + what + " as it is written", Hint: hint}
	if n != nil {
		m.Pos.Line, m.Pos.Col = n.Line, n.Column
	}
	return policy.Mistakes{m}
}

// end is the last line of a key, which is before the line of the next one. A comment that
// begins where keys do is about what follows.
func (t *Text) end(first, next int) int {
	end := first
	for n := first + 1; n < next; n++ {
		if line := strings.TrimSpace(t.lines[n-1]); line != "" && line[0] != '#' && line != "..." {
			end = n
		}
	}
	for n := end + 1; n < next; n++ {
		line := strings.TrimSpace(t.lines[n-1])
		switch {
		case line == "":
		case line[0] != '#' || len(t.lines[n-1])-len(strings.TrimLeft(t.lines[n-1], " ")) <= len(t.indent):
			return end
		default:
			end = n
		}
	}
	return end
}

// hear notes a rule, or one in a comment, without the comment behind it.
func (t *Text) hear(line string) {
	line, doubt := strings.CutPrefix(line, "# ")
	text, rule := strings.CutPrefix(line, "- ")
	for rest := text; rule; {
		head, more, comment := strings.Cut(rest, " #")
		text := text[:len(text)-len(rest)+len(head)]
		t.said[text] = t.said[text] || !doubt
		if !comment {
			return
		}
		rest = more
	}
}

// says whether the text has a rule already, or one that is to be a comment in a comment.
func (t *Text) says(r rule) bool {
	live, has := t.said[r.text]
	return has && r.args == "" && (live || r.doubt != "")
}

// Has says whether the policy itself has a key, and so on beneath it.
func (t *Text) Has(key string, beneath ...string) bool {
	p := t.parts[key]
	if p == nil {
		return false
	}
	n := p.value
	for _, key := range beneath {
		if n = under(n, key); n == nil {
			return false
		}
	}
	return true
}

func under(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// at is where a node begins in its line, if with these letters; else -1.
func (t *Text) at(n *yaml.Node, begin string) int {
	if n.Line > len(t.lines) || n.Column > len(t.lines[n.Line-1]) || !strings.HasPrefix(t.lines[n.Line-1][n.Column-1:], begin) {
		return -1
	}
	return n.Column - 1
}

// brackets are an empty list's, where they stand in one line.
func (t *Text) brackets(n *yaml.Node) (text string, empty bool) {
	i := t.at(n, "[")
	if i < 0 || len(n.Content) > 0 {
		return "", false
	}
	inner, _, closed := strings.Cut(t.lines[n.Line-1][i+1:], "]")
	return "[" + inner + "]", closed && strings.TrimSpace(inner) == ""
}

// addition is what is added to a text.
type addition struct {
	rules  [policy.Network + 1]block
	tmp    bool   // private-tmp
	compat string // the line
}

// block is what is added to a section.
type block struct {
	lines []string // as they stand beneath the key
	live  bool     // there are rules in them, not comments alone
}

// with is the text with an addition.
func (t *Text) with(a *addition) string {
	c := &change{Text: t, lines: slices.Clone(t.lines), after: map[int]string{}}
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		if len(a.rules[sec].lines) > 0 {
			c.section(sec, &a.rules[sec])
		}
	}
	if a.compat != "" {
		c.put(len(c.lines), t.indent+a.compat)
	}
	if a.tmp {
		c.privateTmp()
	}
	return c.text()
}

// change is what becomes of a text.
type change struct {
	*Text
	lines []string       // of which some are not as they were
	after map[int]string // what follows so many of them
}

func (c *change) put(line int, text string) { c.after[line] += text + "\n" }

func (c *change) section(sec policy.Section, b *block) {
	indent, end := c.indent+"  ", c.place(sec)
	switch p := c.parts[sec.String()]; {
	case p == nil && b.live:
		c.put(end, c.indent+sec.String()+":")
	case p == nil:
		c.put(end, c.indent+"# "+sec.String()+":")
	case isBlock(p.value, yaml.SequenceNode):
		indent = strings.Repeat(" ", p.value.Column-1)
	case b.live:
		text, _ := c.brackets(p.value)
		i, line := c.at(p.value, "["), &c.lines[p.value.Line-1]
		*line = strings.TrimRight((*line)[:i], " ") + (*line)[i+len(text):]
	}
	for _, line := range b.lines {
		c.put(end, indent+line)
	}
}

// privateTmp has `environment` end with that, or begin with it where it is one line.
func (c *change) privateTmp() {
	p := c.parts["environment"]
	switch {
	case p == nil:
		c.put(len(c.lines), c.indent+"environment:\n"+c.indent+"  "+privateTmp)
	case isBlock(p.value, yaml.MappingNode):
		c.put(p.end, strings.Repeat(" ", p.value.Column-1)+privateTmp)
	default:
		i, line := c.at(p.value, "{")+1, &c.lines[p.value.Line-1]
		more := " private-tmp: true "
		if len(p.value.Content) > 0 {
			more = " private-tmp: true,"
		}
		*line = (*line)[:i] + more + (*line)[i:]
	}
}

func (c *change) text() string {
	var out strings.Builder
	for n := 0; n <= len(c.lines); n++ {
		line := ""
		if n > 0 {
			line = c.lines[n-1]
			out.WriteString(line)
		}
		if c.after[n] != "" && line != "" && !strings.HasSuffix(line, "\n") {
			out.WriteString("\n")
		}
		out.WriteString(c.after[n])
	}
	return out.String()
}

// Trial is the text with something added everywhere. If that is no policy, nothing can be added.
func (t *Text) Trial() string {
	a := &addition{tmp: !t.Has("environment", "private-tmp")}
	for sec, rule := range map[policy.Section]string{policy.Syscalls: "allow: getpid", policy.Files: "read: /", policy.Exec: "allow: /", policy.Network: "connect: 127.0.0.1:1"} {
		a.rules[sec] = block{lines: []string{"# a trial", "- " + rule}, live: true}
	}
	return t.with(a)
}

// place is the line that what is added to a section follows: its last one, or where such a
// section stands in a policy that was learned.
func (t *Text) place(sec policy.Section) int {
	before := []string{"extends", "callgate"}
	for each := policy.Syscalls; each <= sec; each++ {
		before = slices.Insert(before, 0, each.String())
	}
	for _, key := range before {
		if p := t.parts[key]; p != nil {
			return p.end
		}
	}
	return len(t.lines)
}
