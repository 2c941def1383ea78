package policy

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

func (l *Loader) read(name string) ([]byte, error) {
	if b, ok := strings.CutPrefix(name, builtinPrefix); ok {
		if l.Builtin == nil || !fs.ValidPath(b+".yaml") {
			return nil, fs.ErrNotExist
		}
		return fs.ReadFile(l.Builtin, b+".yaml")
	}
	if l.ReadFile != nil {
		return l.ReadFile(name)
	}
	return ReadFile(name)
}

// ReadFile reads a policy's text, as a Loader without a ReadFile of its own does:
// no more than tells that it is too large. A FIFO is read to its end, but where
// nobody writes to it that is not waited for.
func ReadFile(path string) ([]byte, error) {
	const flags = syscall.O_RDONLY | syscall.O_CLOEXEC
	fd, err := syscall.Open(path, flags|syscall.O_NONBLOCK, 0)
	if err == syscall.EAGAIN { // others have a lease on it, which they give back (fcntl(2))
		fd, err = syscall.Open(path, flags, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	begin, err := beginning(fd)
	if err == nil {
		err = syscall.SetNonblock(fd, false)
	}
	f := os.NewFile(uintptr(fd), path) // os.Open would set up the runtime's poller for it
	defer f.Close()
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(begin), f), maxText+1))
}

// writerTime is how long the writer of a FIFO may take to open it.
const writerTime = time.Second

// beginning is what there is to read already of a FIFO, nothing of all else: what has no
// writer is at its end, where one with a writer that has not written yet is EAGAIN (fifo(7)).
func beginning(fd int) ([]byte, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return nil, err
	}
	b := make([]byte, 4096)
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		switch n, err := syscall.Read(fd, b); {
		case n > 0 || err == syscall.EAGAIN:
			return b[:max(n, 0)], nil
		case err != nil:
			return nil, err
		case time.Since(start) > writerTime:
			return nil, errors.New("it is a FIFO, and nobody writes to it")
		}
	}
}

// unreadable is the mistake of naming a policy that cannot be read.
func (l *Loader) unreadable(ref reference, err error) Mistake {
	m := Mistake{Pos: ref.pos, cause: err}
	if strings.HasPrefix(ref.name, builtinPrefix) {
		m.Message = "there is no policy " + quote(ref.name)
		m.Hint = DidYouMean(ref.name, l.Builtins())
		return m
	}
	why := err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = pe.Err
	}
	m.Message = "cannot read the policy: " + why.Error()
	if ref.pos.Line > 0 {
		m.Message = "cannot read " + quote(ref.name) + ": " + why.Error()
	}
	for _, b := range l.Builtins() {
		if b == builtinPrefix+ref.name {
			m.Hint = "did you mean " + quote(b) + "?"
		}
	}
	switch {
	case ref.name == "-":
		m.Hint = "standard input is /dev/stdin"
	case strings.HasPrefix(ref.name, "~") || strings.HasPrefix(ref.name, "$"):
		m.Hint = "~ and $NAME stand for nothing in a policy's own name; write its path"
	}
	return m
}

// isPolicy says whether a text looks like a policy, or has nothing in it. What does not may
// be anything that a policy's author has its reader open, by `extends` or a link: a file of
// keys, of which no message is to quote a word.
func isPolicy(text []byte) bool {
	empty := true
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if empty = false; hasVersion(line) {
			return true
		}
	}
	return empty
}

// hasVersion says whether a line begins with the key that every policy has, or has it in a
// mapping in braces.
func hasVersion(line []byte) bool {
	before, after, found := bytes.Cut(line, []byte("callgate"))
	for ; found; before, after, found = bytes.Cut(after, []byte("callgate")) {
		before = bytes.TrimRight(before, "\"' \t")
		value, colon := bytes.CutPrefix(bytes.TrimLeft(after, "\"' \t"), []byte(":"))
		if (len(before) == 0 || bytes.ContainsRune([]byte("{,"), rune(before[len(before)-1]))) && colon &&
			(len(value) == 0 || bytes.ContainsRune([]byte(" \t,}"), rune(value[0]))) {
			return true
		}
	}
	return false
}
