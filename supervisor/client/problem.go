package client

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// problemPrefix begins the type of every problem of the daemon's.
const problemPrefix = "urn:callgate:problem:"

// ProblemName is what kind of problem it is; the text does not change between
// versions. It is an error for errors.Is.
type ProblemName string

func (name ProblemName) Error() string { return within(name.title()) }

const (
	Malformed   ProblemName = "malformed"   // not JSON, or not what is expected there
	Forbidden   ProblemName = "forbidden"   // the caller may not do this
	NotFound    ProblemName = "not-found"   // there is no such thing, or it is not for the caller to know
	BadMethod   ProblemName = "method"      // not at this path
	KeyReused   ProblemName = "key-reused"  // the idempotency key has submitted another job
	NotEnded    ProblemName = "not-ended"   // only what has ended can be removed
	NotRunning  ProblemName = "not-running" // only what runs takes signals
	NotOpen     ProblemName = "not-open"    // nobody reads the input any more, or it never was open
	WrongOffset ProblemName = "offset"      // the input goes on elsewhere, at Problem.Offset
	TooLarge    ProblemName = "too-large"   // the body is larger than the daemon takes
	Invalid     ProblemName = "invalid"     // a field, Problem.Field, has a value that cannot be
	BadPolicy   ProblemName = "policy"      // a policy has mistakes, Problem.Mistakes
	Quota       ProblemName = "quota"       // the user has as much as the config allows
	Internal    ProblemName = "internal"    // a bug of the daemon's
	Unavailable ProblemName = "unavailable" // starting, stopping, or without its store; ask again later
	Full        ProblemName = "full"        // the disk has no room for another job
)

// Problem is the daemon's no, as RFC 9457 has it: an error, of which
// errors.Is(err, client.NotFound) and the like tell the kind.
type Problem struct {
	Type   string `json:"type"` // urn:callgate:problem:NAME
	Title  string `json:"title"`
	Status int    `json:"status"` // HTTP's
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`  // what can be done about it
	Field  string `json:"field,omitempty"` // a JSON pointer (RFC 6901) into the request, or a query parameter
	// Offset is with WrongOffset what has arrived so far, in bytes.
	Offset   *int64    `json:"offset,omitempty"`
	Mistakes []Mistake `json:"mistakes,omitempty"`
}

// Mistake is one in a policy. Line and Column count from 1; 0 where it is of no
// place.
type Mistake struct {
	Policy  string `json:"policy"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// NewProblem makes a problem of that name, which is one of those above.
func NewProblem(name ProblemName, detail string) *Problem {
	return &Problem{Type: problemPrefix + string(name), Title: name.title(), Status: kinds[name].status, Detail: detail}
}

// ProblemAt makes a problem with a field.
func ProblemAt(name ProblemName, field, detail string) *Problem {
	p := NewProblem(name, detail)
	p.Field = field
	return p
}

// Is says whether the problem is of the name that target is.
func (p *Problem) Is(target error) bool { return p.Name() == target }

// within is a title as it stands within a line.
func within(title string) string {
	_, n := utf8.DecodeRuneInString(title)
	return strings.ToLower(title[:n]) + title[n:]
}

// Name is the problem's.
func (p *Problem) Name() ProblemName { return ProblemName(strings.TrimPrefix(p.Type, problemPrefix)) }

// Error is the detail, else the title, or a line for each mistake of a policy.
func (p *Problem) Error() string {
	if len(p.Mistakes) > 0 {
		lines := make([]string, len(p.Mistakes))
		for i, m := range p.Mistakes {
			lines[i] = m.String()
		}
		return strings.Join(lines, "\n")
	}
	text := p.Detail
	if text == "" {
		text = within(p.Title)
	}
	if p.Field != "" {
		text = p.Field + ": " + text
	}
	return text
}

func (m Mistake) String() string {
	text := m.Policy
	if m.Line > 0 {
		text += ":" + strconv.Itoa(m.Line) + ":" + strconv.Itoa(m.Column)
	}
	text += ": " + m.Message
	if m.Hint != "" {
		text += "; " + m.Hint
	}
	return text
}

// kinds are the problems that there are.
var kinds = map[ProblemName]struct {
	status int // HTTP's
	title  string
}{
	Malformed:   {400, "The request is not understood"},
	Forbidden:   {403, "That is not permitted"},
	NotFound:    {404, "There is no such thing"},
	BadMethod:   {405, "That cannot be done there"},
	KeyReused:   {409, "The key has submitted another job"},
	NotEnded:    {409, "The job has not ended"},
	NotRunning:  {409, "The job does not run"},
	NotOpen:     {409, "The job reads no input"},
	WrongOffset: {409, "The input goes on elsewhere"},
	TooLarge:    {413, "The request is too large"},
	Invalid:     {422, "A field's value cannot be"},
	BadPolicy:   {422, "A policy has mistakes"},
	Quota:       {429, "A quota is used up"},
	Internal:    {500, "The daemon failed"},
	Unavailable: {503, "The daemon takes nothing now"},
	Full:        {507, "The disk is full"},
}

func (name ProblemName) title() string {
	if k, ok := kinds[name]; ok {
		return k.title
	}
	return string(name)
}
