package foreign

import (
	"strconv"
	"strings"

	"callgate/policy"
)

// minijail reads a policy file as minijail0(5) and google/minijail's syscall_filter.c have
// it: a call that no line names kills, and so does a call by another ABI. Of what only its
// tools/compile_seccomp_policy.py reads, @default and the actions by name are taken.
func (r *reader) minijail() *filter {
	f := &filter{calls: map[string]*treatment{}, rest: answer{action: policy.Kill}, compat: policy.Compat{I386: policy.CompatKill, X32: policy.CompatKill}}
	m := &minijailReader{reader: r, f: f}
	m.file(r.name, string(r.text), false)
	for _, t := range f.calls {
		if t.rest == (answer{}) {
			t.rest = f.rest
		}
	}
	if len(f.calls) == 0 && len(r.mistakes) == 0 {
		r.fail(policy.Position{File: r.name}, "a line is for example `read: 1`", "the file names no system call")
	}
	return f
}

type minijailReader struct {
	*reader
	f   *filter
	pos policy.Position // of the word that is read
}

// file reads the lines of a text; a backslash at a line's end joins the next.
func (m *minijailReader) file(name, text string, included bool) {
	if len(text) > maxText {
		m.fail(policy.Position{File: name}, "", "the file is greater than 1 MiB")
		return
	}
	from, joined := 0, ""
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\r"), "#")
		if joined == "" {
			from = i + 1
		}
		if more, ok := strings.CutSuffix(strings.TrimRight(line, " \t"), `\`); ok {
			joined += more + " "
			continue
		}
		joined += line
		m.pos = policy.Position{File: name, Line: from, Col: 1 + len(joined) - len(strings.TrimLeft(joined, " \t"))}
		m.line(strings.TrimSpace(joined), included)
		joined = ""
	}
	if joined != "" {
		m.fail(m.pos, "", "the last line goes on and there is none")
	}
}

func (m *minijailReader) line(line string, included bool) {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case line == "":
	case word == "@include":
		m.include(rest, included)
	case word == "@default":
		if a, ok := m.action(rest); ok {
			m.f.rest = a
		}
	case word == "@frequency": // for the order of comparisons
	case line[0] == '@':
		m.fail(m.pos, policy.DidYouMean(word, []string{"@include", "@default", "@frequency"}), "unknown statement %s", quote(word))
	default:
		m.call(line)
	}
}

func (m *minijailReader) include(path string, included bool) {
	switch {
	case included:
		m.fail(m.pos, "", "a file that is included includes another")
	case !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "./"):
		m.fail(m.pos, "write ./"+path, "the path is neither absolute nor begins with ./")
	case m.opts.ReadFile == nil:
		m.fail(m.pos, "put its lines in place of this one", "includes another file")
	default:
		text, err := m.opts.ReadFile(path)
		if err != nil {
			m.fail(m.pos, "", "cannot read %s: %v", quote(path), err)
			return
		}
		before := m.pos
		m.file(path, string(text), true)
		m.pos = before
	}
}

// action reads one by its name, or "return ERRNO".
func (m *minijailReader) action(text string) (answer, bool) {
	word, rest, _ := strings.Cut(text, " ")
	switch rest = strings.TrimSpace(rest); {
	case word == "return" && rest != "":
		return m.errno(rest)
	case rest != "":
	case word == "1" || word == "allow":
		return answer{action: policy.Allow}, true
	case word == "log":
		return answer{action: policy.Log}, true
	case word == "kill" || word == "kill-process" || word == "kill-thread" || word == "return":
		return answer{action: policy.Kill}, true
	case word == "trap":
		return answer{action: policy.Kill}, m.stricter(m.pos, "trap sends a signal that a program may catch", "the process is killed")
	case word == "trace" || word == "user-notify":
		return answer{action: policy.Deny, errno: 38}, m.stricter(m.pos, word+" has another program decide", "the call fails with ENOSYS")
	}
	m.fail(m.pos, "expected 1, allow, log, kill, trap or return ERRNO", "unknown action %s", quote(text))
	return answer{}, false
}

func (m *minijailReader) errno(text string) (answer, bool) {
	if text == "0" {
		return answer{action: policy.Skip}, true
	}
	e, ok := policy.ParseErrno(text)
	if !ok {
		m.fail(m.pos, "", "unknown errno %s", quote(text))
	}
	return answer{action: policy.Deny, errno: e}, ok
}

// call reads "name: filter".
func (m *minijailReader) call(line string) {
	name, text, ok := strings.Cut(line, ":")
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	switch {
	case !ok || text == "":
		m.fail(m.pos, "write `"+name+": 1`", "expected a system call, a colon and a filter, found %s", quote(line))
		return
	case !isName(name):
		m.fail(m.pos, "write one line for each name", "%s is no name of a system call", quote(name))
		return
	}
	if nr, err := strconv.ParseUint(name, 0, 32); err == nil {
		s, ok := m.opts.Arch.Lookup(uint32(nr))
		if !ok {
			m.fail(m.pos, "", "%v has no system call %s", m.opts.Arch, name)
			return
		}
		name = s.Name
	}
	if m.f.calls[name] != nil {
		m.fail(m.pos, "", "%s stands twice, first in line %d", quote(name), m.f.calls[name].pos.Line)
		return
	}
	t := &treatment{pos: m.pos}
	m.f.calls[name] = t
	first, last, two := strings.Cut(text, ";")
	first, last = strings.TrimSpace(first), strings.TrimSpace(last)
	if two {
		t.rest, _ = m.action(last)
	}
	if !strings.HasPrefix(first, "arg") && !two {
		t.rest, _ = m.action(first)
		return
	}
	for group := range strings.SplitSeq(first, "||") {
		c := clause{answer: answer{action: policy.Allow}, pos: m.pos}
		for atom := range strings.SplitSeq(group, "&&") {
			if one, ok := m.atom(name, strings.TrimSpace(atom)); ok {
				c.conds = append(c.conds, one)
			}
		}
		if t.clauses = append(t.clauses, c); len(t.clauses) == maxClauses {
			m.fail(m.pos, "", "more than %d alternatives", maxClauses)
			return
		}
	}
}

// atom reads "arg1 == VALUE".
func (m *minijailReader) atom(call, text string) (cond, bool) {
	arg := strings.TrimRight(text[:min(4, len(text))], " ")
	rest := strings.TrimSpace(text[min(4, len(text)):])
	if len(arg) != 4 || arg[:3] != "arg" || arg[3] < '0' || arg[3] > '5' {
		m.fail(m.pos, "", "expected a comparison such as arg0 == 1, found %s", quote(text))
		return cond{}, false
	}
	c := cond{reg: int(arg[3] - '0')}
	for _, o := range []struct {
		word string
		op   op
	}{{"==", equal}, {"!=", notEqual}, {"<=", lessEqual}, {">=", greaterEqual}, {"<", less}, {">", greater}, {"&", notMasked}, {"in ", masked}, {"in~", masked}, {"in(", masked}} {
		operand, ok := strings.CutPrefix(rest, o.word)
		if !ok {
			continue
		}
		if len(o.word) == 3 {
			operand = rest[2:]
		}
		v, ok := m.constant(call, c.reg, strings.TrimSpace(operand))
		if c.op, c.a = o.op, v; c.op == masked {
			c.a = ^v // no other bits than these
		}
		return c, ok
	}
	m.fail(m.pos, "expected ==, !=, <, <=, >, >=, & or in", "unknown comparison in %s", quote(text))
	return c, false
}

// constant reads a value: numbers and names with |, each perhaps with ~ or in brackets.
func (m *minijailReader) constant(call string, reg int, text string) (uint64, bool) {
	p := &constantReader{rest: text}
	p.named = func(name string) (uint64, bool) { return m.named(call, reg, name) }
	v := p.or(0)
	if p.wrong == "" && strings.TrimSpace(p.rest) != "" {
		p.wrong = p.rest
	}
	if p.wrong != "" || p.empty {
		m.fail(m.pos, p.hint, "expected a number or a constant, found %s", quote(strings.TrimSpace(p.wrong)))
		return 0, false
	}
	return v, true
}

// named is a constant of the parameter in that register.
func (m *minijailReader) named(call string, reg int, name string) (uint64, bool) {
	s, ok := m.opts.Arch.ByName(call)
	if !ok {
		return 0, false
	}
	at, ok := seatOf(s, reg)
	if !ok || at.param == nil || at.param.Consts == nil {
		return 0, false
	}
	return at.param.Consts.Value(name)
}

type constantReader struct {
	rest        string
	named       func(string) (uint64, bool)
	wrong, hint string
	empty       bool
}

func (p *constantReader) or(depth int) uint64 {
	v := p.one(depth)
	for p.wrong == "" && !p.empty && p.take("|") {
		v |= p.one(depth)
	}
	return v
}

func (p *constantReader) take(s string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.rest, " \t"), s)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *constantReader) one(depth int) uint64 {
	switch {
	case depth > maxDepth:
		p.wrong, p.hint = p.rest, "nested too deeply"
		return 0
	case p.take("~"):
		return ^p.one(depth + 1)
	case p.take("("):
		v := p.or(depth + 1)
		if p.wrong == "" && !p.take(")") {
			p.wrong, p.hint = p.rest, "a bracket is not closed"
		}
		return v
	}
	p.rest = strings.TrimLeft(p.rest, " \t")
	end := strings.IndexAny(p.rest, "|)~( \t")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return p.word(word)
}

func (p *constantReader) word(word string) uint64 {
	if word == "" {
		p.empty = true
		return 0
	}
	if v, err := strconv.ParseUint(word, 0, 64); err == nil {
		return v
	}
	if v, err := strconv.ParseInt(word, 0, 64); err == nil {
		return uint64(v)
	}
	v, ok := p.named(word)
	if !ok {
		p.wrong, p.hint = word, "write its number; the constants that are known are those of the parameter: callgate syscalls -v NAME"
	}
	return v
}
