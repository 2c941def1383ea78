package runs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// layout is a run's folder as it is made, and the descriptors of its supervisor.
type layout struct {
	dir   string
	fds   []int // the supervisor's 0, 1, 2 and so on; -1: none
	input bool
}

const writing = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND

// make makes the folder. What is in it is the daemon's; work is the user's.
func (l *layout) make(spec *handover.Spec, as *handover.Identity, stdin []byte) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode, spec.As = 0o711, as
	}
	if err := os.Mkdir(l.dir, mode); err != nil {
		return err
	}
	if err := os.Chmod(l.dir, mode); err != nil { // whatever the umask
		return err
	}
	if spec.Own {
		if err := os.Mkdir(filepath.Join(l.dir, "work"), 0o700); err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(filepath.Join(l.dir, "work"), int(as.UID), int(as.GID)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"alive", "control"} {
		if err := l.fifo(name); err != nil {
			return err
		}
	}
	l.input = spec.InputOpen
	if l.input {
		if err := l.fifo("input"); err != nil {
			return err
		}
	}
	return l.open(spec, stdin)
}

func (l *layout) fifo(name string) error {
	if err := unix.Mkfifo(filepath.Join(l.dir, name), 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: filepath.Join(l.dir, name), Err: err}
	}
	return nil
}

func (l *layout) open(spec *handover.Spec, stdin []byte) error {
	if err := l.openInput(stdin); err != nil {
		return err
	}
	if err := l.add("/dev/null", unix.O_WRONLY); err != nil {
		return err
	}
	if err := l.add("log", writing); err != nil {
		return err
	}
	if err := l.spec(spec); err != nil {
		return err
	}
	for _, name := range []string{"journal", "result"} {
		if err := l.add(name, writing); err != nil {
			return err
		}
	}
	return nil
}

// openInput opens what the command is to read.
func (l *layout) openInput(stdin []byte) error {
	switch {
	case l.input:
		if err := l.add("input", unix.O_RDONLY|unix.O_NONBLOCK); err != nil {
			return err
		}
		return unix.SetNonblock(l.fds[0], false)
	case len(stdin) == 0:
		return l.add("/dev/null", unix.O_RDONLY)
	}
	name := filepath.Join(l.dir, "stdin")
	if err := os.WriteFile(name, stdin, 0o600); err != nil {
		return err
	}
	return l.add("stdin", unix.O_RDONLY)
}

func (l *layout) add(name string, flags int) error {
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.dir, name)
	}
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	l.fds = append(l.fds, fd)
	return nil
}

func (l *layout) spec(spec *handover.Spec) error {
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("job", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	l.fds = append(l.fds, fd)
	for rest := b; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		rest = rest[n:]
	}
	_, err = unix.Seek(fd, 0, unix.SEEK_SET)
	return err
}

// connect opens the ends of FIFOs, now that the daemon has the others.
func (l *layout) connect() error {
	for _, end := range []struct {
		name  string
		flags int
	}{{"control", unix.O_RDWR | unix.O_NONBLOCK}, {"alive", unix.O_WRONLY | unix.O_NONBLOCK}, {"begun", writing}, {"files", writing}} {
		if err := l.add(end.name, end.flags); err != nil {
			return err
		}
	}
	if l.input {
		return l.add("input", unix.O_WRONLY)
	}
	return nil
}

// exec starts the supervisor in a session of its own. It becomes its user by itself.
func (l *layout) exec(program string) (pid int, err error) {
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{}, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, fd := range l.fds {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	pid, err = syscall.ForkExec(program, []string{"callgate", "supervise"}, attr)
	if err != nil {
		return 0, &os.PathError{Op: "execute", Path: program, Err: err}
	}
	return pid, nil
}

func (l *layout) close() {
	for _, fd := range l.fds {
		unix.Close(fd)
	}
}

const tailBytes = 2000

// tail is the end of a supervisor's complaints, for the daemon's log.
func tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, tailBytes)
	n, _ := f.ReadAt(b, max(0, st.Size()-tailBytes)) // io.EOF, where it is shorter
	return string(bytes.ToValidUTF8(bytes.Trim(b[:n], "\x00 \n"), []byte("?")))
}
