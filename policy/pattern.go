package policy

import (
	"path/filepath"
	"slices"
	"strings"
)

// pattern is one path pattern of a rule: where it begins and its components
// from there. It stands for what they match and all that is beneath.
type pattern struct {
	pos   Position
	text  string // as written
	start patternStart
	names []component
	dir   int // so many names lead to the policy's folder, where it begins
}

type patternStart uint8

const (
	atRoot     patternStart = iota
	atHome                  // ~
	atDir                   // the command's working folder, $PWD
	atVariable              // the value of the first component's variable
)

// component is what a pattern has between two slashes. It never is empty, `.`
// or `..`.
type component struct {
	variable string // $NAME that it begins with, "" for none
	text     string // what follows the variable, as written
	glob     bool   // text has glob characters
	deep     bool   // `**`: any number of components
}

// maxPattern is the greatest length of a pattern in bytes, the kernel's own
// bound of a path (PATH_MAX).
const maxPattern = 4096

// pattern reads a path pattern; false where a mistake was found.
func (r *reader) pattern(n *node, text string) (p pattern, ok bool) {
	p.pos, p.text = r.pos(n), text
	switch {
	case text == "":
		r.fail(n, "write `/` for everything, `.` for this folder", "the path is empty")
	case len(text) > maxPattern:
		r.fail(n, "", "the path has more than %d bytes", maxPattern)
	case strings.IndexByte(text, 0) >= 0:
		r.fail(n, "", "a path cannot have a NUL in it")
	default:
		why, hint := p.begin(r)
		if why != "" {
			r.fail(n, hint, "%s: %s", quote(text), why)
		}
		return p, why == ""
	}
	return p, false
}

// begin finds where the pattern begins, then reads its components.
func (p *pattern) begin(r *reader) (why, hint string) {
	text := p.text
	first, rest, _ := strings.Cut(text, "/")
	switch {
	case first == "" || first == "**":
	case first == "~":
		p.start, text = atHome, rest
	case first[0] == '~':
		return "~ stands for the own home only", "write the folder's path, or ./" + first + " for a name that begins with ~"
	case first[0] == '$':
		p.start = atVariable
		if first == "$PWD" || first == "${PWD}" {
			p.start, text = atDir, rest
		}
	case r.builtin():
		p.start = atDir
	default:
		dir, err := r.folder()
		if err != nil {
			return "the folder of the policy cannot be told: " + err.Error(), "write an absolute path"
		}
		for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
			if name != "" {
				p.names = append(p.names, component{text: Escape(name)})
			}
		}
		p.dir = len(p.names)
	}
	return p.rest(text)
}

func (p *pattern) rest(text string) (why, hint string) {
	p.names = slices.Grow(p.names, 1+strings.Count(text, "/"))
	for name := range strings.SplitSeq(text, "/") {
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			why, hint = p.up()
		} else {
			why, hint = p.add(name)
		}
		if why != "" {
			return why, hint
		}
	}
	for len(p.names) > 0 && p.names[len(p.names)-1].deep {
		p.names = p.names[:len(p.names)-1] // what is beneath is meant anyway
	}
	return "", ""
}

// up takes `..` for the folder above, which is known only of what is fixed.
func (p *pattern) up() (why, hint string) {
	n := len(p.names)
	switch {
	case n == 0 && p.start == atRoot:
		return "", ""
	case n == 0 || p.names[n-1].deep || p.names[n-1].variable != "":
		return "`..` follows what is not known yet", "write the folder that is meant"
	}
	p.names = p.names[:n-1]
	p.dir = min(p.dir, n-1)
	return "", ""
}

func (p *pattern) add(name string) (why, hint string) {
	c := component{text: name}
	if name[0] == '$' {
		if c.variable, c.text = variable(name); c.variable == "" {
			return "no variable follows the $", `write $NAME or ${NAME}, or \$ for a dollar`
		}
	}
	if name == "**" {
		if n := len(p.names); n == 0 || !p.names[n-1].deep {
			p.names = append(p.names, component{text: name, glob: true, deep: true})
		}
		return "", ""
	}
	if why, hint = checkGlob(c.text); why != "" {
		return why, hint
	}
	if c.glob = isGlob(c.text); c.glob && strings.Contains(c.text, "**") {
		return "** is not a whole component", "write `**/` for any number of folders, * within a name"
	}
	if plain := c.text; c.variable == "" && !c.glob {
		if plain = unescape(plain); plain == "." || plain == ".." {
			return quote(name) + " is no name", "leave the backslashes out"
		}
	}
	p.names = append(p.names, c)
	return "", ""
}

// variable takes $NAME or ${NAME} off a component; "" if there is no name.
func variable(s string) (name, rest string) {
	rest, braced := strings.CutPrefix(s[1:], "{")
	if braced {
		var closed bool
		if name, rest, closed = strings.Cut(rest, "}"); !closed || !isWord(name) {
			return "", s
		}
		return name, rest
	}
	end := 0
	for end < len(rest) && isWord("_"+rest[end:end+1]) {
		end++
	}
	if !isWord(rest[:end]) {
		return "", s
	}
	return rest[:end], rest[end:]
}

func (r *reader) builtin() bool { return strings.HasPrefix(r.file, builtinPrefix) }

// folder is the absolute folder of the file being read, clean.
func (r *reader) folder() (string, error) {
	if r.dir != "" {
		return r.dir, nil
	}
	dir, err := filepath.Abs(filepath.Dir(r.file))
	r.dir = dir
	return dir, err
}

// String is the pattern as a policy has it, wherever that policy lies.
func (p *pattern) String() string {
	var b strings.Builder
	switch p.start {
	case atHome:
		b.WriteString("~")
	case atDir:
		b.WriteString("$PWD")
	}
	for i := range p.names {
		if i > 0 || p.start != atVariable {
			b.WriteByte('/')
		}
		b.WriteString(p.names[i].String())
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

func (c *component) String() string {
	if c.variable == "" {
		return c.text
	}
	return "${" + c.variable + "}" + c.text
}
