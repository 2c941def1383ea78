package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzAnswer holds that what is taken for an answer is what package net/http
// takes it for.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}",
		"HTTP/1.0 200 OK\n\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := bufio.NewReader(bytes.NewReader(text))
		status, header, err := readHead(in)
		if err != nil {
			return
		}
		r, err := bodyReader(in, status, header)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return
		}
		theirs := bufio.NewReader(bytes.NewReader(text))
		var resp *http.Response
		for {
			if resp, err = http.ReadResponse(theirs, nil); err != nil {
				return // it is stricter about what no server sends
			}
			if resp.StatusCode >= 200 {
				break
			}
		}
		want, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode == 304 {
			return
		}
		if resp.StatusCode != status || !bytes.Equal(want, body) {
			t.Errorf("%q is %d %q, and to net/http %d %q", text, status, body, resp.StatusCode, want)
		}
	})
}

func TestCutOffIsAnError(t *testing.T) {
	for _, text := range []string{
		"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", "220 smtp\r\n\r\n", "HTTP/1.1 999 ?\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1", 5000),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHead),
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", maxHead),
	} {
		c := spoken(t, text)
		r, err := c.Output(context.Background(), "abcdefgh", StdoutEvent, 0, false)
		if err == nil {
			_, err = io.ReadAll(r)
			r.Close()
		}
		if err == nil {
			t.Errorf("%.60q is taken for a whole answer", text)
		}
	}
}

// TestContextEnds: a daemon that never answers, or stops in the middle, holds
// nobody.
func TestContextEnds(t *testing.T) {
	for _, text := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"} {
		c := spoken(t, text+"\x00")
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		r, err := c.Output(ctx, "abcdefgh", StdoutEvent, 0, false)
		if err == nil {
			_, err = io.ReadAll(r)
			r.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %q: %v", text, err)
		}
		cancel()
	}
}

// spoken gives a client of a server that says this and hangs up, or with a NUL
// at its end does not.
func spoken(t *testing.T, text string) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		said, hangs := strings.CutSuffix(text, "\x00")
		io.WriteString(conn, said)
		if !hangs {
			conn.(*net.UnixConn).CloseWrite()
		}
		io.Copy(io.Discard, conn)
	}()
	return New(socket)
}

// TestLargeAnswers go through chunked and whole, against net/http's server.
func TestLargeAnswers(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("follow") == "false" {
			w.Header().Set("Content-Length", "1048576")
		}
		for part := range slices.Chunk(text, 70_001) {
			w.Write(part)
			w.(http.Flusher).Flush()
		}
	})
	for _, follow := range []bool{false, true} {
		r, err := c.Output(context.Background(), "abcdefgh", StdoutEvent, 0, follow)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("follow %t: %d bytes, %v", follow, len(got), err)
		}
	}
}

// TestEarlyRefusal: a request too large is refused before it has been read, and
// the refusal is what the caller sees.
func TestEarlyRefusal(t *testing.T) {
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		refuse(t, w, NewProblem(TooLarge, "more than 1 MiB"))
	})
	_, err := c.Submit(context.Background(), &Request{Argv: []string{strings.Repeat("x", 8<<20)}}, "a key\n")
	if err == nil || errors.Is(err, TooLarge) {
		t.Errorf("a key with a line's end: %v", err)
	}
	if _, err = c.Submit(context.Background(), &Request{Argv: []string{strings.Repeat("x", 8<<20)}}, "key"); !errors.Is(err, TooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestWriteGoesOn: what arrived before a connection broke is not sent twice.
func TestWriteGoesOn(t *testing.T) {
	var got bytes.Buffer
	ended, asked := false, 0
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/version" {
			write(t, w, Version{})
			return
		}
		asked++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if asked == 1 {
			got.Write(body[:4])
			panic(http.ErrAbortHandler)
		}
		if asked == 2 {
			n := int64(got.Len())
			p := NewProblem(WrongOffset, "")
			p.Offset = &n
			refuse(t, w, p)
			return
		}
		got.Write(body)
		ended = r.FormValue("end") == "true"
		write(t, w, Written{Offset: int64(got.Len())})
	})
	ctx := context.Background()
	if _, err := c.Version(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(ctx, "abcdefgh", 0, strings.NewReader("what is typed")); err != nil {
		t.Fatal(err)
	}
	if got.String() != "what is typed" || !ended {
		t.Errorf("arrived: %q, ended %t", got.String(), ended)
	}
}
