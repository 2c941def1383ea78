package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// HTTP/1.1 (RFC 9112) as far as a unix socket needs it: one request after the other on a
// connection, no TLS, proxies, redirects or content codings. Package net/http brings
// what all of that takes into a program's start, which every `callgate run` would pay.

const (
	maxHead  = 64 << 10 // bytes of an answer's status line and header
	maxChunk = 80       // bytes of the line before a chunk
)

var errWire = errors.New("it is not HTTP that is spoken at the socket")

// request is one to send. The path is escaped, and header values have no line
// ends: who makes one sees to it.
type request struct {
	method, path string
	header       []string // whole lines
	body         []byte
}

// response is an answer; whoever has it closes its body.
type response struct {
	status int
	body   io.ReadCloser
}

// roundTrip sends a request and reads the answer's head. The end of ctx ends the
// reading of its body, too.
func (c *Client) roundTrip(ctx context.Context, req *request) (*response, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	conn := c.kept.take()
	if conn == nil {
		var d net.Dialer
		var err error
		if conn, err = d.DialContext(ctx, "unix", c.socket); err != nil {
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	e := &exchange{ctx: ctx, conn: conn, kept: &c.kept, stop: stop, limit: maxHead}
	resp, err := e.make(req)
	if err != nil {
		e.last = true
		_ = e.Close()
		return nil, e.cause(err)
	}
	return resp, nil
}

// exchange is one request, and its answer, on a connection.
type exchange struct {
	ctx    context.Context
	conn   net.Conn
	kept   *kept
	stop   func() bool
	limit  int64 // bytes still to be read
	in     *bufio.Reader
	data   content // the body, decoded
	last   bool    // the connection takes no other
	closed bool
}

// content is an answer's body. It is whole when it has been read up to where it ends, if it
// says where.
type content interface {
	io.Reader
	whole() bool
}

func (e *exchange) make(req *request) (*response, error) {
	_, sent := e.conn.Write(req.bytes())
	e.in = bufio.NewReader(limited{e})
	status, header, err := readHead(e.in)
	if err != nil {
		if sent != nil { // an early answer would have been the better reason
			return nil, sent
		}
		return nil, err
	}
	e.limit = math.MaxInt64
	if e.data, err = bodyReader(e.in, status, header); err != nil {
		return nil, err
	}
	e.last = sent != nil || strings.EqualFold(header.Get("Connection"), "close")
	return &response{status: status, body: e}, nil
}

func (e *exchange) Read(p []byte) (int, error) {
	n, err := e.data.Read(p)
	if err != nil && err != io.EOF {
		e.last = true
		err = e.cause(err)
	}
	return n, err
}

func (e *exchange) Close() error {
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	if !e.stop() || e.last || !e.data.whole() || e.in.Buffered() > 0 {
		return e.conn.Close()
	}
	e.kept.put(e.conn)
	return nil
}

// cause is why the connection failed: ctx, if that ended.
func (e *exchange) cause(err error) error {
	if e.ctx.Err() != nil {
		return e.ctx.Err()
	}
	return err
}

// limited reads what the limit leaves.
type limited struct{ *exchange }

func (l limited) Read(p []byte) (int, error) {
	if l.limit <= 0 {
		return 0, fmt.Errorf("%w: the answer has no end of its header", errWire)
	}
	n, err := l.conn.Read(p[:min(int64(len(p)), l.limit)])
	l.limit -= int64(n)
	return n, err
}

func (r *request) bytes() []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: callgated\r\n", r.method, r.path)
	for _, line := range r.header {
		b = append(append(b, line...), "\r\n"...)
	}
	if r.method != "GET" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(r.body))
	}
	b = append(b, "\r\n"...)
	return append(b, r.body...)
}

// readHead reads the status line and header of an answer, after those of
// interim ones (RFC 9110, 15.2).
func readHead(in *bufio.Reader) (int, textproto.MIMEHeader, error) {
	r := textproto.NewReader(in)
	for {
		line, err := r.ReadLine()
		if err != nil {
			return 0, nil, err
		}
		version, rest, _ := strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(code)
		if version != "HTTP/1.1" || err != nil || status < 100 || status > 599 {
			return 0, nil, errWire
		}
		header, err := r.ReadMIMEHeader()
		if err != nil {
			return 0, nil, fmt.Errorf("%w: %w", errWire, err)
		}
		if status >= 200 {
			return status, header, nil
		}
	}
}

// bodyReader finds the body's end as RFC 9112, 6.3 says.
func bodyReader(in *bufio.Reader, status int, header textproto.MIMEHeader) (content, error) {
	coding, length := header.Get("Transfer-Encoding"), header.Get("Content-Length")
	switch {
	case status == 204:
		return &sized{in: in}, nil
	case coding == "chunked":
		return &chunks{in: in}, nil
	case coding != "":
		return nil, fmt.Errorf("%w: its body is coded as %q", errWire, coding)
	case length == "":
		return endless{in}, nil
	}
	n, err := strconv.ParseUint(length, 10, 63)
	if err != nil {
		return nil, fmt.Errorf("%w: its body is of length %q", errWire, length)
	}
	return &sized{in: in, left: int64(n)}, nil
}

// endless is a body that the connection's end ends.
type endless struct{ io.Reader }

func (endless) whole() bool { return false }

// sized is a body of a length that was said before.
type sized struct {
	in   io.Reader
	left int64
}

func (s *sized) whole() bool { return s.left == 0 }

func (s *sized) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.in.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err == io.EOF && s.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks is a body that comes in chunks (RFC 9112, 7.1).
type chunks struct {
	in   *bufio.Reader
	left int64 // of the chunk
	last bool
}

func (c *chunks) whole() bool { return c.last }

func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 && !c.last {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if c.last {
		return 0, io.EOF
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err == nil && c.left == 0 {
		err = c.end()
	}
	return n, cut(err)
}

// next reads the line before a chunk, and after the last one what follows.
func (c *chunks) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 63)
	if err != nil {
		return fmt.Errorf("%w: a chunk is of length %q", errWire, size)
	}
	c.left, c.last = int64(n), n == 0
	for c.last && line != "" && err == nil {
		line, err = c.line()
	}
	return err
}

// end reads the line's end that a chunk has.
func (c *chunks) end() error {
	line, err := c.line()
	if err == nil && line != "" {
		err = fmt.Errorf("%w: a chunk is longer than it said", errWire)
	}
	return err
}

func (c *chunks) line() (string, error) {
	line, err := c.in.ReadSlice('\n')
	switch {
	case err != nil:
		return "", cut(err)
	case len(line) > maxChunk:
		return "", fmt.Errorf("%w: a chunk's line does not end", errWire)
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// cut is for an end that is none.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
