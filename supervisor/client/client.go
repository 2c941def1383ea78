// Package client uses a callgated's API from a program: what it takes and
// gives as types, and a Client that talks to its socket.
//
//	c := client.New("")
//	job, err := c.Submit(ctx, &client.Request{Argv: []string{"make", "test"}, Folder: "/src", Copy: true}, "")
//	...
//	job, err = c.Wait(ctx, job.ID)
//
// The API is described by supervisor/server/openapi.yaml; a curl does as well.
//
// Errors: what the daemon refuses is a *Problem. A daemon that is not there, or a
// connection that breaks, is an error of package net's or io's. Nothing is sent
// twice by itself; Wait and Events, which only read, go on after a restart of the daemon.
//
// # Limits
//
// A Client is for one socket and safe for concurrent use. It keeps up to four connections
// for ten seconds each, and the daemon takes what comes on one for that user's who made it:
// a program that becomes another user makes another Client. What an answer may
// weigh is bounded (16 MiB a JSON body, 4 MiB an event); files and output, which
// are streams, are not.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// DefaultSocket is where callgated listens unless its config says otherwise.
const DefaultSocket = "/run/callgated/callgated.sock"

// SocketVariable is the environment variable that names another socket.
const SocketVariable = "CALLGATE_SOCKET"

const (
	maxAnswer = 16 << 20 // bytes of a JSON answer
	longPoll  = 60       // seconds that one request of Wait's takes
)

// Client talks to one daemon.
type Client struct {
	socket   string
	kept     kept
	answered atomic.Bool // the daemon did, once: it is there, if restarting
}

// New makes a client of the socket at that path; "" is what CALLGATE_SOCKET names, or
// else DefaultSocket. It does not connect yet.
func New(socket string) *Client {
	if socket == "" {
		socket = os.Getenv(SocketVariable)
	}
	if socket == "" {
		socket = DefaultSocket
	}
	return &Client{socket: socket}
}

// Submit has a job run. With a key, which is the caller's to choose, the same
// call again gives the same job and makes no second one.
func (c *Client) Submit(ctx context.Context, r *Request, key string) (*Job, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var header []string
	if key != "" {
		if !visible(key) {
			return nil, errors.New("an idempotency key is 1 to 255 visible ASCII characters")
		}
		header = []string{"Idempotency-Key: " + key}
	}
	return answer[Job](c.send(ctx, &request{method: "POST", path: "/v1/jobs", header: header, body: body}))
}

// Query says which jobs to list; what is not set says nothing.
type Query struct {
	State  State
	User   string // by name or number
	Host   string
	Labels []string // KEY=VALUE, or KEY; all must hold
	Limit  int      // jobs on a page, up to 1000; 0: 100
	Page   string   // Page.Next of the page before
}

// List gives one page of the jobs that the caller may see, newest first.
func (c *Client) List(ctx context.Context, q Query) (*Page, error) {
	v := url.Values{}
	for name, value := range map[string]string{"state": string(q.State), "user": q.User, "host": q.Host, "page": q.Page} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	for _, l := range q.Labels {
		v.Add("label", l)
	}
	return answer[Page](c.get(ctx, "/v1/jobs", v))
}

// Inspect gives a job as it is.
func (c *Client) Inspect(ctx context.Context, id string) (*Job, error) {
	return answer[Job](c.get(ctx, jobPath(id, ""), nil))
}

// Wait gives a job when it has ended.
func (c *Client) Wait(ctx context.Context, id string) (*Job, error) {
	var job *Job
	err := c.persist(ctx, func(alive func()) (done bool, err error) {
		job, err = answer[Job](c.get(ctx, jobPath(id, ""), url.Values{"wait_seconds": {strconv.Itoa(longPoll)}}))
		if err == nil {
			alive()
		}
		return err == nil && job.State == Ended, err
	})
	return job, err
}

// Kill ends a job with every process of it, and takes a queued one out of the
// queue. It does not wait for the end, and a job that has ended stays as it is.
func (c *Client) Kill(ctx context.Context, id string) error {
	return discard(c.send(ctx, &request{method: "POST", path: jobPath(id, "/kill")}))
}

// Signal sends a signal to a running job.
func (c *Client) Signal(ctx context.Context, id string, s Signal) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return discard(c.send(ctx, &request{method: "POST", path: jobPath(id, "/signal"), body: body}))
}

// Remove forgets a job that has ended.
func (c *Client) Remove(ctx context.Context, id string) error {
	return discard(c.send(ctx, &request{method: "DELETE", path: jobPath(id, "")}))
}

// Output gives standard output or error, as kind says, of a job's last
// attempt from that byte on; with follow, it goes on until the job has ended.
func (c *Client) Output(ctx context.Context, id string, kind EventKind, offset int64, follow bool) (io.ReadCloser, error) {
	return body(c.get(ctx, jobPath(id, "/"+string(kind)),
		url.Values{"offset": {strconv.FormatInt(offset, 10)}, "follow": {strconv.FormatBool(follow)}}))
}

// Files lists what was collected of an ended job.
func (c *Client) Files(ctx context.Context, id string) (*Files, error) {
	return answer[Files](c.get(ctx, jobPath(id, "/files"), nil))
}

// File gives one collected file.
func (c *Client) File(ctx context.Context, id, path string) (io.ReadCloser, error) {
	return body(c.get(ctx, jobPath(id, "/file"), url.Values{"path": {path}}))
}

// Hosts lists the hosts that share the queue.
func (c *Client) Hosts(ctx context.Context) (*Hosts, error) {
	return answer[Hosts](c.get(ctx, "/v1/hosts", nil))
}

// Version says what answers at the socket.
func (c *Client) Version(ctx context.Context) (*Version, error) {
	return answer[Version](c.get(ctx, "/v1/version", nil))
}

func jobPath(id, rest string) string { return "/v1/jobs/" + url.PathEscape(id) + rest }

func (c *Client) get(ctx context.Context, path string, query url.Values) (*response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.send(ctx, &request{method: "GET", path: path})
}

// send makes one request; its error is the daemon's problem, or why there was
// no answer.
func (c *Client) send(ctx context.Context, req *request) (*response, error) {
	resp, err := c.roundTrip(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.status < 500 {
		c.answered.Store(true)
	}
	if resp.status < 300 {
		return resp, nil
	}
	defer resp.body.Close()
	return nil, problem(resp)
}

// problem reads a refusal.
func problem(resp *response) error {
	text, err := io.ReadAll(io.LimitReader(resp.body, maxAnswer))
	if err != nil {
		return fmt.Errorf("callgated answered %d, and then: %w", resp.status, err)
	}
	p := new(Problem)
	if err := json.Unmarshal(text, p); err != nil || !strings.HasPrefix(p.Type, problemPrefix) {
		return fmt.Errorf("it is not callgated that answered %d", resp.status)
	}
	return p
}

// visible says whether s can be an Idempotency-Key.
func visible(s string) bool {
	return len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

// answer reads a JSON body.
func answer[T any](resp *response, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	defer resp.body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.body, maxAnswer))
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("callgated's answer is not understood: %w", err)
	}
	return v, nil
}

func discard(resp *response, err error) error {
	if err != nil {
		return err
	}
	return resp.body.Close()
}

func body(resp *response, err error) (io.ReadCloser, error) {
	if err != nil {
		return nil, err
	}
	return resp.body, nil
}
