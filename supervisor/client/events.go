package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/url"
	"strconv"
	"time"
)

const (
	maxEvent = 4 << 20 // bytes of an event's line
	patience = time.Minute
	pause    = 200 * time.Millisecond // between tries while the daemon restarts
)

// EventQuery says which events to give.
type EventQuery struct {
	After  uint64 // only those after the one with this offset
	Follow bool   // go on until the job has ended
	// Earlier gives the events of attempts that were lost too, which are before the last one's.
	Earlier bool
	Kinds   []EventKind // these, and StateEvent and LostEvent; none: all
}

// Events gives what a job has said and done, in order. An error is the last
// thing it gives. With Follow it ends after the StateEvent of the job's end,
// and a connection that breaks before that is made again, after the last event.
func (c *Client) Events(ctx context.Context, id string, q EventQuery) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		stopped := false
		err := c.persist(ctx, func(alive func()) (bool, error) {
			ended := false
			err := c.stream(ctx, id, q, func(e *Event) bool {
				alive()
				q.After = e.Offset
				ended = e.Kind == StateEvent && e.Job != nil && e.Job.State == Ended
				stopped = !yield(e, nil)
				return !stopped
			})
			if err == nil && q.Follow && !ended && !stopped {
				err = io.ErrUnexpectedEOF // a daemon that stops ends its answers
			}
			return err == nil || stopped, err
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// stream is one request's events.
func (c *Client) stream(ctx context.Context, id string, q EventQuery, yield func(*Event) bool) error {
	v := url.Values{"after": {strconv.FormatUint(q.After, 10)}, "follow": {strconv.FormatBool(q.Follow)}}
	if q.Earlier {
		v.Set("earlier", "true")
	}
	for _, k := range q.Kinds {
		v.Add("kind", string(k))
	}
	resp, err := c.get(ctx, jobPath(id, "/events"), v)
	if err != nil {
		return err
	}
	defer resp.body.Close()
	lines := bufio.NewScanner(resp.body)
	lines.Buffer(nil, maxEvent)
	lines.Split(wholeLines)
	for lines.Scan() {
		e := new(Event)
		if err := json.Unmarshal(lines.Bytes(), e); err != nil {
			return fmt.Errorf("an event of callgated's is not understood: %w", err)
		}
		if !yield(e) {
			return nil
		}
	}
	return lines.Err()
}

// wholeLines splits as bufio.ScanLines does, and takes a last line that does
// not end for what it is: cut off.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// persist calls try until it is done. What a restart of the daemon looks like is
// waited out, if the daemon has ever answered, for as long as one may take since
// the last sign of life that try saw.
func (c *Client) persist(ctx context.Context, try func(alive func()) (done bool, err error)) error {
	var since time.Time // the first failure in a row
	for {
		done, err := try(func() { since = time.Time{} })
		switch {
		case done || err != nil && (ctx.Err() != nil || !c.answered.Load() || !passing(err)):
			return err
		case err == nil:
			continue
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > patience:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// passing says whether an error may be gone when the daemon is back: one of the
// connection, or its own word for that.
func passing(err error) bool {
	var op *net.OpError
	return errors.Is(err, Unavailable) || errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
