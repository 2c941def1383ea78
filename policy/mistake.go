package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mistake is one thing wrong with a policy.
type Mistake struct {
	Pos     Position // Line is 0 where the whole file is meant
	Message string   // what was found and what was expected
	Hint    string   // what to write instead; may be empty

	cause error // of a file that cannot be read
}

// Mistakes is the error of a policy that cannot be used: all that is wrong
// with it and with what it extends, in the order of the text.
type Mistakes []Mistake

// Error gives one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors of files that could not be read.
func (m Mistakes) Unwrap() []error {
	var causes []error
	for i := range m {
		if m[i].cause != nil {
			causes = append(causes, m[i].cause)
		}
	}
	return causes
}

// String is "file:line:column: message; hint", on one line whatever the policy's
// author put into it.
func (m *Mistake) String() string {
	s := m.Pos.String() + ": " + m.Message
	if m.Hint != "" {
		s += "; " + m.Hint
	}
	return Printable(s)
}

// String is "file:line:column", or less where less is known. Of the file's name only
// what is printable is shown as it is.
func (p Position) String() string {
	s := Printable(p.Place())
	if p.Line > 0 && p.Col > 0 {
		s += ":" + strconv.Itoa(p.Col)
	}
	return s
}

// Place is FILE:LINE, or FILE where it has no line.
func (p Position) Place() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// maxMistakes bounds what one load reports, and with it what a hostile file
// can cost.
const maxMistakes = 100

// ledger collects the mistakes of one load, over all its files.
type ledger struct{ list Mistakes }

func (l *ledger) add(m Mistake) {
	if len(l.list) < maxMistakes {
		l.list = append(l.list, m)
	}
}

// full says that no further mistake would be kept, so that none need be
// looked for.
func (l *ledger) full() bool { return len(l.list) >= maxMistakes }

// err gives what was collected, sorted by file in the order of their first
// mistakes and then by place; nil if there is nothing.
func (l *ledger) err() error {
	if len(l.list) == 0 {
		return nil
	}
	var files []string
	for _, m := range l.list {
		if !slices.Contains(files, m.Pos.File) {
			files = append(files, m.Pos.File)
		}
	}
	slices.SortStableFunc(l.list, func(a, b Mistake) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.Pos.File), slices.Index(files, b.Pos.File)),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	if l.full() {
		last := l.list[len(l.list)-1]
		l.list = append(l.list, Mistake{Pos: Position{File: last.Pos.File}, Message: fmt.Sprintf("more than %d mistakes; the rest is not shown", maxMistakes-1)})
	}
	return l.list
}

// quote quotes text of a policy for a message, cut to a length that a line
// bears.
func quote(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return strconv.Quote(s)
}

// oneOf lists words as a sentence does: "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// DidYouMean is the hint for a word that is none of those known: the nearest,
// if one is near, or else all of them if they are few.
func DidYouMean(word string, known []string) string {
	if len(word) <= 64 {
		if best := Nearest(word, known); best != "" {
			return "did you mean " + strconv.Quote(best) + "?"
		}
	}
	if len(known) > 0 && len(known) <= 16 {
		return "expected " + oneOf(known)
	}
	return ""
}
