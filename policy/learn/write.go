package learn

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"callgate/policy"
	"callgate/policy/abi"
)

// columns are how wide lines are where that can be chosen.
const columns = 100

// Bounds of a policy that is written: a policy's text has at most 1 MiB.
const (
	mostRules    = 1000 // of a section
	mostText     = 700 << 10
	mostDenials  = 16 // shown of a rule
	mostRefusers = 64 // rules of which denials are shown
)

// Draft is what a policy is written with beside a Log.
type Draft struct {
	Place   Place
	Command []string // what was run
	Extends []string // as the policy is to have them
	// Kept are rules of what is extended that do not permit and stand for names in any
	// folder: they stand first, or a learned rule on a folder would be tried before them.
	Kept []*policy.Rule
	// Compat says that the other ABIs were permitted, so that not every call by them was noted.
	Compat bool
	// PrivateTmp says that Place.Tmp was made for this run, and that no policy asked for it.
	PrivateTmp bool
	// File is what the places of rules call the text that is added to: what those deny is not
	// written beside them.
	File string
}

// rule is one rule, or a remark in its place.
type rule struct {
	text    string
	args    string
	comment string
	doubt   string // why it is written as a comment
	remark  string
	long    bool // it does not fit the language
}

// denial is what a rule of the base denied.
type denial struct {
	section policy.Section
	reason  string
	things  map[string]*denied
	more    bool
}

// denied is one such thing.
type denied struct {
	seen
	object *policy.Object // nil for a call
	call   string
}

// Denied notes what a rule did not permit, so that it is not learned.
func (l *Log) Denied(program string, r *policy.Rule, c abi.Call, o *policy.Object) {
	place := r.Pos.Place()
	d := l.denials[place]
	if d == nil {
		if len(l.denials) >= mostRefusers {
			l.left++
			return
		}
		if l.denials == nil {
			l.denials = map[string]*denial{}
		}
		d = &denial{section: r.Section, reason: r.Reason, things: map[string]*denied{}}
		l.denials[place] = d
	}
	thing := &denied{object: o}
	if entry, ok := c.Arch.Lookup(c.Nr); ok {
		thing.call, thing.values = entry.Canonical, l.values(entry, c)
	}
	key := thing.text(nil)
	if d.things[key] == nil {
		if d.more = len(d.things) >= mostDenials; d.more {
			return
		}
		d.things[key] = thing
	}
	d.things[key].by(program)
}

// told is what was denied, as a person is told.
func (d *denied) told() string {
	if d.object == nil {
		return strings.TrimSuffix(d.call+" ("+strings.Join(d.values, ", ")+")", " ()")
	}
	return cmp.Or(strings.Replace(d.text(nil), ": ", " ", 1), "what no rule can name")
}

// text is the rule that would permit it; "" if there is none.
func (d *denied) text(at *Place) string {
	switch o := d.object; {
	case o == nil && len(d.values) == 0:
		return "allow: " + d.call
	case o == nil:
		return "{allow: " + d.call + ", args: {" + strings.Join(d.values, ", ") + "}}"
	case at != nil && o.Section != policy.Network && utf8.ValidString(o.Path) && strings.HasPrefix(o.Path, "/"):
		rule, _ := o.Rule()
		word, _, _ := strings.Cut(rule, ":")
		return word + ": " + policy.Quote(at.spell(o.Path, o.Link, false))
	default:
		rule, _ := o.Rule()
		return rule
	}
}

// Refusal tells of a rule that denied something.
type Refusal struct {
	Rule   string // FILE:LINE
	Reason string
	Things []string
}

// Refusals are the rules of which Denied was told, sorted.
func (l *Log) Refusals() (list []Refusal) {
	for _, place := range slices.Sorted(maps.Keys(l.denials)) {
		d := l.denials[place]
		var things []string
		for _, key := range slices.Sorted(maps.Keys(d.things)) {
			things = append(things, d.things[key].told())
		}
		if d.more {
			things = append(things, "...")
		}
		list = append(list, Refusal{place, d.reason, things})
	}
	return list
}

// Policy is the text of a policy that permits what was noted, how many rules of it are
// comments that a person is to decide on, and how many things it leaves out. The same
// notes give the same text, in whatever order they came.
func (l *Log) Policy(d *Draft) (text string, doubts int, left uint64) {
	w := &writer{}
	w.line("# Learned from one run of: " + shown(strings.Join(d.Command, " ")))
	w.line("# It permits what that run asked for. Look at it before you rely on it.")
	w.line("callgate: 1")
	switch names := quoted(d.Extends); len(names) {
	case 0:
	case 1:
		w.line("extends: " + names[0])
	default:
		w.line("extends: " + flow(names))
	}
	rules, tmp, left := l.rules(d)
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		w.section(sec, rules[sec], l, d)
	}
	l.compat(w, d)
	if tmp {
		w.line("environment:")
		w.line("  " + privateTmp)
	}
	return w.text.String(), w.doubts, left + w.left
}

// privateTmp is the line of `environment` for rules on what is in $TMPDIR.
const privateTmp = "private-tmp: true # so that the names in there are nobody else's"

// sectionRules are rules by their section.
type sectionRules [policy.Network + 1][]rule

// rules are those that permit what was noted, how many things they leave out, and whether
// some are on a temporary folder that no policy asked for.
func (l *Log) rules(d *Draft) (rules sectionRules, tmp bool, left uint64) {
	rules[policy.Syscalls] = l.callRules()
	first, files, unnamed := l.fileRules(&d.Place)
	rules[policy.Files] = slices.Concat(first, l.kept(d, files), files)
	var programs, network uint64
	rules[policy.Exec], programs = l.programRules(&d.Place)
	rules[policy.Network], network = l.networkRules(&d.Place)
	inTmp := func(r rule) bool { return strings.Contains(r.text, `: "$TMPDIR`) } // a name with a $ has it escaped
	tmp = d.PrivateTmp && slices.ContainsFunc(slices.Concat(files, rules[policy.Exec], rules[policy.Network]), inTmp)
	return rules, tmp, l.left + unnamed + programs + network
}

// kept are the rules that stand before those on files.
func (l *Log) kept(d *Draft, files []rule) (rules []rule) {
	if !slices.ContainsFunc(files, func(r rule) bool { return r.text != "" && r.doubt == "" }) {
		return nil
	}
	for _, r := range d.Kept {
		rules = append(rules, rule{text: "{" + r.String() + "}", comment: "as " + policy.Printable(r.Pos.Place())})
	}
	return rules
}

// compat is the line on other ABIs, where calls came by them.
func (l *Log) compat(w *writer, d *Draft) {
	if d.Compat {
		w.line("compat: { i386: same, x32: same }")
		return
	}
	var words, who []string
	for i, abi := range []string{"i386", "x32"} {
		if s := l.foreign[i]; s != nil {
			words, who = append(words, abi+": same"), append(who, s.String())
		}
	}
	if len(words) > 0 {
		w.line("compat: { " + strings.Join(words, ", ") + " } # " + strings.Join(who, "; "))
	}
}

// writer writes a policy's lines.
type writer struct {
	before int // bytes that there are already
	text   strings.Builder
	doubts int
	left   uint64
}

func (w *writer) line(text string) { w.text.WriteString(text + "\n") }

// section writes the rules of a section, and what was denied there. One that the base has
// and to which there is nothing to add is left out, unless nothing is extended.
func (w *writer) section(sec policy.Section, rules []rule, l *Log, d *Draft) {
	denied := l.deniedIn(sec, d)
	_, has := l.Base.Section(sec)
	live := slices.ContainsFunc(rules, func(r rule) bool { return r.text != "" && r.doubt == "" })
	switch {
	case live:
		w.line(sec.String() + ":")
	case !l.Extending && has:
		w.line(sec.String() + ": []")
	case len(rules)+len(denied) > 0:
		w.line("# " + sec.String() + ":")
	}
	w.rules(rules, denied, mostRules)
}

// rules writes so many rules, and the comments on what was denied.
func (w *writer) rules(rules, denied []rule, most int) {
	for i, r := range rules {
		if i >= most || r.long || w.full() {
			w.left++
			continue
		}
		if r.doubt != "" {
			w.doubts++
		}
		w.rule(r)
	}
	for _, r := range denied {
		if !w.full() {
			w.rule(r)
		}
	}
}

// full says that nothing more is written.
func (w *writer) full() bool { return w.before+w.text.Len() > mostText }

func (w *writer) rule(r rule) {
	if r.remark != "" {
		w.line("  # " + r.remark)
		return
	}
	mark, comment := "  - ", r.comment
	if r.doubt != "" {
		mark, comment = "  # - ", strings.TrimPrefix(comment+": ", ": ")+r.doubt
	}
	if comment != "" {
		comment = " # " + comment
	}
	w.line(mark + r.text + comment)
	if r.args != "" {
		w.line("    args: " + r.args)
	}
}

// deniedIn are the rules, as comments, that would permit what rules of a section denied.
func (l *Log) deniedIn(sec policy.Section, draft *Draft) (rules []rule) {
	for _, place := range slices.Sorted(maps.Keys(l.denials)) {
		d := l.denials[place]
		if d.section != sec || draft.File != "" && strings.HasPrefix(place, draft.File+":") {
			continue
		}
		by := "denied by " + policy.Printable(place)
		if d.reason != "" {
			by += ", " + policy.Printable(d.reason)
		}
		for _, key := range slices.Sorted(maps.Keys(d.things)) {
			thing := d.things[key]
			if text := thing.text(&draft.Place); text != "" {
				rules = append(rules, rule{text: text, comment: thing.String(), doubt: by})
			}
		}
	}
	return rules
}

func quoted(names []string) (out []string) {
	for _, name := range names {
		out = append(out, strconv.Quote(name))
	}
	return out
}

// shown is a command as a comment has it.
func shown(command string) string {
	const most = 200
	if len(command) > most {
		command = command[:most] + "..."
	}
	return policy.Printable(command)
}
