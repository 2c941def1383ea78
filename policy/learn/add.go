package learn

import (
	"strings"

	"callgate/policy"
)

// rulesMost is how many rules a section of a policy may have, those that it extends included.
const rulesMost = 10_000

// Added tells what was added to a policy's text.
type Added struct {
	Rules  int
	Doubts int    // rules that are comments, which a person is to decide on
	Left   uint64 // things that no rule was written for
}

// Add is Policy for a text that there is already, with what it extends the Log's base. What
// is new stands at the end of each section, so that what is there decides as before; the same
// notes again add nothing.
func (l *Log) Add(d *Draft, t *Text) (text string, told Added) {
	a := &addition{}
	rules, tmp, left := l.rules(d)
	w := &writer{before: t.size()}
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		a.rules[sec] = l.block(w, t, d, sec, rules[sec])
		told.Rules += a.rules[sec].rules()
	}
	a.tmp = tmp && told.Rules > 0
	if d.Compat {
		c := &writer{}
		l.compat(c, d)
		a.compat = strings.TrimSuffix(c.text.String(), "\n")
	}
	told.Doubts, told.Left = w.doubts, left+w.left
	return t.with(a), told
}

func (t *Text) size() (n int) {
	for _, line := range t.lines {
		n += len(line)
	}
	return n
}

// block is what is new of a section's rules, as lines.
func (l *Log) block(all *writer, t *Text, d *Draft, sec policy.Section, rules []rule) (b block) {
	fresh := func(list []rule) (out []rule) {
		for _, r := range list {
			if r.remark == "" && !t.says(r) {
				out = append(out, r)
			}
		}
		return out
	}
	have, _ := l.Base.Section(sec)
	w := &writer{before: all.before + all.text.Len()}
	w.rules(fresh(rules), fresh(l.deniedIn(sec, d)), min(mostRules, rulesMost-len(have)))
	all.doubts, all.left = all.doubts+w.doubts, all.left+w.left
	if w.text.Len() == 0 {
		return block{}
	}
	all.text.WriteString(w.text.String())
	b.lines = append(b.lines, "# Learned from one run of: "+shown(strings.Join(d.Command, " ")))
	for line := range strings.Lines(w.text.String()) {
		b.lines = append(b.lines, strings.TrimSuffix(line[len("  "):], "\n"))
	}
	b.live = b.rules() > 0
	return b
}

// rules counts those that are no comments.
func (b *block) rules() (n int) {
	for _, line := range b.lines {
		if strings.HasPrefix(line, "- ") {
			n++
		}
	}
	return n
}
