package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// Result is a supervisor's word on a job that is over.
type Result struct {
	client.Result
	Usage        client.Usage
	StdoutBytes  int64
	StderrBytes  int64
	DroppedBytes int64
	Ran          bool // the command was started
	Last         bool // the supervisor takes no other job, and the run is over when it is gone
}

// Bounds of a result, in bytes.
const (
	MaxResult  = 64 << 10 // as it is written
	maxMessage = 8 << 10
)

// WriteResult writes r so that ReadResult can tell whether it is whole.
func WriteResult(w io.Writer, r *Result) error {
	short := *r
	short.Message = cut(r.Message)
	b, err := json.Marshal(&short)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// cut is a message as long as it may be.
func cut(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "..."
}

// ReadResult reads what WriteResult wrote, nil where it was not wholly written. It
// comes from a process of the job's user's: what callgate does not write is an error.
func ReadResult(in io.Reader) (*Result, error) {
	b, err := io.ReadAll(io.LimitReader(in, MaxResult+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("a job's result: %w", err)
	case len(b) > MaxResult:
		return nil, errors.New("a job's result: it is too long")
	case len(b) == 0 || b[len(b)-1] != '\n':
		return nil, nil
	}
	r := new(Result)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("a job's result: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("a job's result: %w", err)
	}
	r.Message = cut(r.Message)
	return r, nil
}

func (r *Result) check() error {
	switch r.Cause {
	case client.ByExit, client.BySignal, client.ByLimit, client.ByKill, client.ByFailure: // of a loss the daemon tells
	default:
		return fmt.Errorf("%.20q is no cause", r.Cause)
	}
	switch {
	case r.Status < 0 || r.Status > 255:
		return fmt.Errorf("%d is no exit status", r.Status)
	case r.Signal != "" && unix.SignalNum(r.Signal) == 0:
		return fmt.Errorf("%.20q is no signal", r.Signal)
	case len(r.Limit) > 32 || strings.Trim(r.Limit, "abcdefghijklmnopqrstuvwxyz_") != "":
		return fmt.Errorf("%.20q is no limit", r.Limit)
	}
	u := &r.Usage
	least := min(u.WallSeconds, u.UserSeconds, u.SystemSeconds, float64(u.MemoryBytes), float64(u.MaxRSSBytes), float64(u.Processes), float64(u.Threads),
		float64(r.StdoutBytes), float64(r.StderrBytes), float64(r.DroppedBytes))
	if least < 0 {
		return errors.New("a number is less than 0")
	}
	return nil
}
