package runs

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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
		step(next("nothing").copy(bytes.NewReader(make([]byte, length))))
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
