package client

import (
	"context"
	"errors"
	"io"
	"strconv"
)

// maxWrite is what one request sends of a standard input, bytes.
const maxWrite = 64 << 10

// Write sends what r has to the open standard input of a job, as it comes, and
// the end of the input where r ends. offset is where that begins, in bytes of all
// that was so sent. It returns when all has arrived, or with NotOpen when nobody
// reads it any more; the command that does not read holds it up.
func (c *Client) Write(ctx context.Context, id string, offset int64, r io.Reader) error {
	buf := make([]byte, maxWrite)
	for {
		n, err := r.Read(buf)
		end := err == io.EOF
		if err != nil && !end {
			return err
		}
		if n == 0 && !end {
			continue
		}
		if err := c.writePiece(ctx, id, offset, buf[:n], end); err != nil || end {
			return err
		}
		offset += int64(n)
	}
}

// writePiece sends one piece, and after a restart of the daemon what had not
// arrived of it.
func (c *Client) writePiece(ctx context.Context, id string, offset int64, piece []byte, end bool) error {
	return c.persist(ctx, func(func()) (bool, error) {
		path := jobPath(id, "/stdin") + "?offset=" + strconv.FormatInt(offset, 10) + "&end=" + strconv.FormatBool(end)
		_, err := answer[Written](c.send(ctx, &request{method: "POST", path: path, body: piece}))
		var p *Problem
		if !errors.As(err, &p) || !errors.Is(p, WrongOffset) || p.Offset == nil {
			return err == nil, err
		}
		arrived := *p.Offset - offset
		if arrived <= 0 || arrived > int64(len(piece)) {
			return false, err
		}
		offset, piece = *p.Offset, piece[arrived:]
		return len(piece) == 0 && !end, nil
	})
}
