package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenTargets opens each of what --audit names. What is the same by two names is
// refused: it would have every event twice, and a descriptor is closed once.
func OpenTargets(specs []string) ([]io.WriteCloser, error) {
	var files []io.WriteCloser
	for i, spec := range specs {
		w, err := OpenTarget(spec)
		if err != nil {
			return nil, err
		}
		for j, have := range files {
			if sameTarget(have, w) {
				return nil, fmt.Errorf("audit: %s and %s are the same: name it once", specs[j], specs[i])
			}
		}
		files = append(files, w)
	}
	return files, nil
}

// sameTarget says whether two targets are one descriptor, or one file. Two
// descriptors of a pipe or a terminal are two readers' matter.
func sameTarget(a, b io.WriteCloser) bool {
	x, y := fileOf(a), fileOf(b)
	if descriptorOf(x) == descriptorOf(y) {
		return true
	}
	s, err := x.Stat()
	if err != nil || !s.Mode().IsRegular() {
		return false
	}
	t, err := y.Stat()
	return err == nil && os.SameFile(s, t)
}

// fileOf is the file that OpenTarget opened.
func fileOf(w io.WriteCloser) *os.File {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return os.Stdout
}

// OpenTarget opens what --audit names: a FILE, which is created (mode 0600) or
// appended to, fd:N, a descriptor above 2 that the caller left open, or "-",
// standard output. The descriptor is not inherited by programs that callgate
// starts. Errors say what was asked for and why it cannot be.
func OpenTarget(spec string) (io.WriteCloser, error) {
	switch n, isFD := strings.CutPrefix(spec, "fd:"); {
	case spec == "":
		return nil, errors.New("audit: no file named: expected FILE, fd:N or -")
	case spec == "-":
		return keepOpen{survivable(os.Stdout)}, nil
	case isFD:
		return openDescriptor(n)
	}
	return openFile(spec)
}

// keepOpen is a writer that is not ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

func openDescriptor(text string) (io.WriteCloser, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("audit: %q is no descriptor: expected fd:N with a number N, or ./fd:%s for a file", text, text)
	}
	if n <= 2 {
		return nil, fmt.Errorf("audit: descriptor %d is the command's own: use - for standard output, or one above 2", n)
	}
	flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("audit: descriptor %d is not open", n)
	}
	if flags&unix.O_ACCMODE == unix.O_RDONLY || flags&unix.O_PATH != 0 {
		return nil, fmt.Errorf("audit: descriptor %d is not open for writing", n)
	}
	unix.CloseOnExec(n)
	return os.NewFile(uintptr(n), "fd:"+text), nil
}

// openFile opens without waiting: a FIFO that nobody reads is an error (ENXIO,
// fifo(7)), not a hang.
func openFile(name string) (io.WriteCloser, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	fd, err := openRetry(name, flags)
	if err == unix.ENXIO {
		return nil, fmt.Errorf("audit: %s: nobody reads this pipe", name)
	}
	if err != nil {
		return nil, &os.PathError{Op: "audit: open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func openRetry(name string, flags int) (int, error) {
	for {
		fd, err := unix.Open(name, flags, 0o600)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// survivable is w, or where w is standard output or error the bare descriptor:
// os.File ends the program by SIGPIPE when a reader of these goes away
// (os/signal, "SIGPIPE"), and callgate must outlive that.
func survivable(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok || f == nil {
		return w
	}
	if fd := descriptorOf(f); fd == 1 || fd == 2 {
		return descriptor(fd)
	}
	return w
}

// descriptorOf is f's, -1 if it is closed. f.Fd would have writes to it block.
func descriptorOf(f *os.File) int {
	fd := -1
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(p uintptr) { fd = int(p) }) // it fails for a closed file only
	}
	return fd
}

// descriptor writes to a descriptor that stays someone else's.
type descriptor int

func (d descriptor) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(int(d), p[done:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			// Another program has made the shared terminal or pipe non-blocking.
			unix.Poll([]unix.PollFd{{Fd: int32(d), Events: unix.POLLOUT}}, -1)
		case err != nil:
			return done, os.NewSyscallError("write", err)
		default:
			done += n
		}
	}
	return done, nil
}
