package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// served gives a client of a daemon that is nothing but these answers.
func served(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return New(socket)
}

func write(t *testing.T, w io.Writer, v any) {
	t.Helper()
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

func refuse(t *testing.T, w http.ResponseWriter, p *Problem) {
	t.Helper()
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	write(t, w, p)
}

func TestProblem(t *testing.T) {
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/jobs":
			p := NewProblem(BadPolicy, "")
			p.Mistakes = []Mistake{{Policy: "ci.yaml", Line: 3, Column: 5, Message: `unknown system call "opnat"`, Hint: `did you mean "openat"?`}, {Policy: "b.yaml", Message: "is empty"}}
			refuse(t, w, p)
		case "/v1/jobs/a%2Fb", "/v1/jobs/a/b":
			if r.URL.EscapedPath() != "/v1/jobs/a%2Fb" {
				t.Errorf("an id leads to %s", r.URL.EscapedPath())
			}
			refuse(t, w, NewProblem(NotFound, "there is no job a/b"))
		default:
			http.NotFound(w, r)
		}
	})
	ctx := context.Background()
	_, err := c.Submit(ctx, &Request{Argv: []string{"true"}}, "")
	want := "ci.yaml:3:5: unknown system call \"opnat\"; did you mean \"openat\"?\nb.yaml: is empty"
	if err == nil || err.Error() != want || !errors.Is(err, BadPolicy) || errors.Is(err, NotFound) {
		t.Errorf("got %q", err)
	}
	if _, err := c.Inspect(ctx, "a/b"); !errors.Is(err, NotFound) || err.Error() != "there is no job a/b" {
		t.Errorf("got %v", err)
	}
	for _, err := range []error{NewProblem(KeyReused, ""), KeyReused} {
		if err.Error() != "the key has submitted another job" {
			t.Errorf("got %v", err)
		}
	}
	if err := (&Problem{}).Error(); err != "" {
		t.Errorf("got %q", err)
	}
	if _, err := c.Version(ctx); err == nil || err.Error() != "it is not callgated that answered 404" {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "none"))
	_, err := c.Wait(context.Background(), "abcdefgh")
	if err == nil || !strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "http://") {
		t.Errorf("got %v", err)
	}
}

// TestEventsGoOn: an answer that is cut off, in the middle of a line, between
// lines or by an unavailable daemon, is asked for again where it ended.
func TestEventsGoOn(t *testing.T) {
	line := func(n uint64) string {
		e := Event{Offset: 10 * n, Kind: StdoutEvent, Content: NewContent(fmt.Append(nil, n))}
		if n == 5 {
			e.Kind, e.Job = StateEvent, &Job{State: Ended}
		}
		b, _ := json.Marshal(e)
		return string(b) + "\n"
	}
	asked := 0
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch asked {
		case 1:
			io.WriteString(w, line(1)+line(2)[:20])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 2:
			io.WriteString(w, line(2))
		case 3:
			refuse(t, w, NewProblem(Unavailable, "stopping"))
		case 4:
			io.WriteString(w, line(3)+line(4)+line(5))
		}
		if want := []string{"", "10", "20", "20"}[asked-1]; asked > 1 && r.FormValue("after") != want {
			t.Errorf("request %d is after %s, want %s", asked, r.FormValue("after"), want)
		}
	})
	var got string
	for e, err := range c.Events(context.Background(), "abcdefgh", EventQuery{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got += string(e.Bytes())
	}
	if got != "12345" {
		t.Errorf("got %q", got)
	}
}

func TestEventsStop(t *testing.T) {
	c := served(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{\"offset\":1}\n{\"offset\":2}\n") })
	for range c.Events(context.Background(), "abcdefgh", EventQuery{}) {
		break
	}
	gone, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	var last error
	for _, err := range c.Events(gone, "abcdefgh", EventQuery{Follow: true}) {
		last = err
	}
	if !errors.Is(last, context.DeadlineExceeded) {
		t.Errorf("got %v", last)
	}
}

func TestContent(t *testing.T) {
	for _, s := range []string{"", "text\n", "\x00", "\xff\xfe", "ä"} {
		b, err := json.Marshal(NewContent([]byte(s)))
		if err != nil {
			t.Fatal(err)
		}
		var c Content
		if err := json.Unmarshal(b, &c); err != nil || string(c.Bytes()) != s {
			t.Errorf("%q became %s, and that %q, %v", s, b, c.Bytes(), err)
		}
	}
}
