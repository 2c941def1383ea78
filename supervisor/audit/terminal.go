package audit

import (
	"io"
	"slices"
	"strconv"
	"time"

	"callgate/policy"
)

const (
	told      = 3                // repeats of a denial that are told in full
	toldEvery = 10 * time.Second // then their number, so often at most
	shapesMax = 1024             // kinds of denial that are counted one by one

	prefix           = "callgate: "
	permissivePrefix = "permissive: "
)

// TerminalOptions are what NewTerminal may be told.
type TerminalOptions struct {
	Quiet      bool // tell nothing
	Permissive bool // nothing was enforced: say so at the end
}

// NewTerminal tells a person on w what was denied, skipped or killed: one
// plain line each, prefixed "callgate: ". The first three of a kind (same
// call, rule, program and symbolic arguments) are told in full; later ones are
// counted and told every ten seconds and at the end. Nothing that a tracee or
// a policy wrote can control the terminal. Its Close does not close w.
func NewTerminal(w io.Writer, opt TerminalOptions) Sink {
	if opt.Quiet {
		return Tee()
	}
	t := &terminalEncoder{permissive: opt.Permissive, repeats: map[string]*repeat{}}
	return terminal{newQueue(w, t)}
}

// terminal keeps from the queue what is not for people.
type terminal struct{ *queue }

func (t terminal) Put(e *Event) {
	switch {
	case e.Kind == End && t.begun(): // else there is nothing to count up
	case e.Kind == Limit && e.LimitInfo != nil:
	case e.Kind == Call && e.CallInfo != nil && restricts(e.CallInfo) && !e.Quiet:
	default:
		return
	}
	t.queue.Put(e)
}

// begun says whether anything was put in the queue, or lost on the way.
func (q *queue) begun() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.started
}

func restricts(c *CallInfo) bool {
	return c.Verdict == "ask" || c.Verdict == "deny" || c.Verdict == "skip" || c.Verdict == "kill"
}

type terminalEncoder struct {
	permissive bool
	repeats    map[string]*repeat
	order      []string // keys of repeats, the first seen first
	others     uint64   // denials of kinds beyond shapesMax
	would      uint64   // calls that were not denied because of --permissive
	scratch    []byte
}

// repeat counts denials of one kind. Its key is how a count of them is told.
type repeat struct {
	count uint64    // in all, up to told
	more  uint64    // since they were last told
	last  time.Time // when that was
}

func (t *terminalEncoder) event(dst []byte, e *Event, lost uint64) ([]byte, error) {
	if e.Kind == End {
		return t.end(dst), nil
	}
	if e.Kind == Limit {
		return appendLine(dst, appendLimit(t.scratch[:0], e.LimitInfo)), nil
	}
	if !e.Enforced {
		t.would++
	}
	key := string(appendKind(t.scratch[:0], e))
	r := t.repeats[key]
	if r == nil {
		if len(t.repeats) >= shapesMax {
			t.others++
			return dst, nil
		}
		r = &repeat{last: e.Time}
		t.repeats[key] = r
		t.order = append(t.order, key)
	}
	if r.count < told {
		r.count++
		r.last = e.Time
		return appendLine(dst, appendDenial(t.scratch[:0], e)), nil
	}
	r.more++
	if e.Time.Sub(r.last) >= toldEvery {
		r.last = e.Time
		dst = r.tell(dst, key)
	}
	return dst, nil
}

// tell appends how many more there were of a kind.
func (r *repeat) tell(dst []byte, key string) []byte {
	if r.more == 0 {
		return dst
	}
	line := strconv.AppendUint([]byte(key+", "), r.more, 10)
	if r.more == 1 {
		line = append(line, " more time"...)
	} else {
		line = append(line, " more times"...)
	}
	r.more = 0
	return appendLine(dst, line)
}

func (t *terminalEncoder) gap(dst []byte, _ *Event, n uint64) []byte {
	line := strconv.AppendUint(nil, n, 10)
	return appendLine(dst, append(line, " reports were lost here"...))
}

// end tells all counts and forgets them.
func (t *terminalEncoder) end(dst []byte) []byte {
	for _, key := range t.order {
		dst = t.repeats[key].tell(dst, key)
	}
	if t.others > 0 {
		line := strconv.AppendUint([]byte("and "), t.others, 10)
		dst = appendLine(dst, append(line, " calls of other kinds"...))
	}
	if t.permissive && t.would > 0 {
		line := strconv.AppendUint([]byte(permissivePrefix), t.would, 10)
		dst = appendLine(dst, append(line, " calls went on that the policy does not permit"...))
	}
	clear(t.repeats)
	t.order, t.others, t.would = slices.Delete(t.order, 0, len(t.order)), 0, 0
	return dst
}

// appendLine appends text as one line in which only what is printable is left
// as it is.
func appendLine(dst, text []byte) []byte {
	dst = append(dst, prefix...)
	dst = policy.AppendPrintable(dst, text)
	return append(dst, '\n')
}
