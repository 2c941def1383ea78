package audit

import (
	"bytes"
	"encoding/json"
	"io"
	"time"
)

// JSONOptions are what NewJSON may be told.
type JSONOptions struct {
	Now func() time.Time // the clock of lines that no event gives a time; nil: time.Now
}

// NewJSON writes events to w as NDJSON: one object a line (docs/audit.md). Its
// Close does not close w.
//
// Where w fails or is too slow, events are lost: they are counted, and a line
// {"event":"lost","lost":N} stands where they are missing once writing works
// again. A line is never left torn if writing works again.
func NewJSON(w io.Writer, opt JSONOptions) Sink {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	enc := &jsonEncoder{now: opt.Now}
	enc.enc = json.NewEncoder(&enc.line)
	enc.enc.SetEscapeHTML(false)
	return newQueue(w, enc)
}

type jsonEncoder struct {
	now     func() time.Time
	line    bytes.Buffer
	enc     *json.Encoder
	sandbox string // of the last event
}

// lostLine is the event that stands for missing ones.
type lostLine struct {
	Time    time.Time `json:"time"`
	Sandbox string    `json:"sandbox"`
	Kind    Kind      `json:"event"`
	Lost    uint64    `json:"lost"`
}

func (j *jsonEncoder) event(dst []byte, e *Event, lost uint64) ([]byte, error) {
	e.Time = e.Time.UTC()
	j.sandbox = e.Sandbox
	if e.CallInfo != nil && e.Args == nil {
		e.Args = []string{}
	}
	if e.ExecInfo != nil && e.Argv == nil {
		e.Argv = []string{}
	}
	if e.Totals != nil {
		e.Totals.Lost += lost
	}
	return j.append(dst, e)
}

func (j *jsonEncoder) append(dst []byte, v any) ([]byte, error) {
	j.line.Reset()
	if err := j.enc.Encode(v); err != nil {
		return dst, err
	}
	return append(dst, j.line.Bytes()...), nil
}

func (j *jsonEncoder) gap(dst []byte, e *Event, n uint64) []byte {
	line := lostLine{Sandbox: j.sandbox, Kind: Lost, Lost: n}
	if e != nil {
		line.Time, line.Sandbox = e.Time.UTC(), e.Sandbox
	} else {
		line.Time = j.now().UTC()
	}
	dst, _ = j.append(dst, &line) // a time, a string and a number always encode
	return dst
}

func (j *jsonEncoder) end(dst []byte) []byte { return dst }
