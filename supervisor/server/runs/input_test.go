package runs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestInputKilled has a daemon die at every step of writing to a job's input, and the
// next one know what has arrived.
func TestInputKilled(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "input"), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(filepath.Join(dir, "input"), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	command := os.NewFile(uintptr(fd), "input")
	defer command.Close()
	arrived := int64(0)
	next := func(after string) *input {
		t.Helper()
		buf := make([]byte, 64<<10)
		if n, err := unix.Read(fd, buf); err == nil {
			arrived += int64(n)
		}
		in := &input{}
		if err := in.open(dir); err != nil {
			t.Fatal(err)
		}
		if in.offset != arrived {
			t.Fatalf("after %s the next daemon takes %d bytes for arrived, not %d", after, in.offset, arrived)
		}
		return in
	}
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, length := range []int{10000, 1, 4096, 123456 % maxPiece} {
		step(next("nothing").copy(t.Context(), bytes.NewReader(make([]byte, length))))
		in := next("a body")
		step(in.mark())
		in = next("a mark")
		step(in.mark())
		step(in.note(7))
		in = next("a note")
		step(in.mark())
		step(in.note(length % maxPiece))
		in = next("another note")
		step(in.mark())
		in = next("a mark after a note")
		step(in.write(in.fifo.Load(), make([]byte, 5)))
		in = next("a piece")
		in.close()
	}
}

// TestInputAsked: who asks how much has arrived does not wait for the command to read, and
// what is broken off goes on from there, to the byte.
func TestInputAsked(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(unix.Mkfifo(filepath.Join(dir, "input"), 0o600), os.WriteFile(filepath.Join(dir, "begun"), []byte{1}, 0o600)); err != nil {
		t.Fatal(err)
	}
	command, err := os.OpenFile(filepath.Join(dir, "input"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	text := make([]byte, 300000)
	for i := range text {
		text[i] = byte(i % 251)
	}
	r := &Run{dir: dir}
	ctx, vanish := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		_, err := r.Write(ctx, bytes.NewReader(text), 0, false)
		written <- err
	}()
	arrived, before := int64(0), int64(-1)
	for arrived == 0 || arrived != before { // the FIFO takes so much
		before = arrived
		time.Sleep(20 * time.Millisecond)
		if arrived, err = r.Write(t.Context(), nil, -1, false); err != nil {
			t.Fatal(err)
		}
	}
	vanish()
	if err := <-written; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the write that was broken off: %v", err)
	}
	if arrived, err = r.Write(t.Context(), nil, -1, false); err != nil { // on a busy machine it wrote until now
		t.Fatal(err)
	}
	var elsewhere *OffsetError
	if _, err := r.Write(t.Context(), nil, arrived+1, false); !errors.As(err, &elsewhere) || elsewhere.Arrived != arrived {
		t.Errorf("asked for another offset than %d: %v", arrived, err)
	}
	go func() {
		_, err := r.Write(t.Context(), bytes.NewReader(text[arrived:]), arrived, false)
		written <- err
	}()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(command, got); err != nil || !bytes.Equal(got, text) {
		t.Errorf("what came is not what was sent: %v", err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
