package runs

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// layout is a run's folder as it is made, and the descriptors of its supervisor.
type layout struct {
	dir string
	fds []int // the supervisor's 0, 1, 2 and so on
}

const writing = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND

// folderMode is that of the folders which jobs' users go through: they see no names.
func folderMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// make makes the folder, and opens what does not need the daemon to have opened
// the FIFOs. All of it is the daemon's.
func (l *layout) make(hand int) error {
	if err := os.Mkdir(l.dir, folderMode()); err != nil {
		return err
	}
	if err := os.Chmod(l.dir, folderMode()); err != nil { // whatever the umask
		return err
	}
	if err := os.Mkdir(filepath.Join(l.dir, "work"), 0o700); err != nil {
		return err
	}
	for _, name := range []string{"alive", "control"} {
		if err := fifo(l.dir, name); err != nil {
			return err
		}
	}
	for _, name := range []string{"/dev/null", "/dev/null", "log"} {
		if err := l.add(name, writing); err != nil {
			return err
		}
	}
	hand, err := unix.FcntlInt(uintptr(hand), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	l.fds = append(l.fds, hand)
	for _, name := range []string{"journal", "result"} {
		if err := l.add(name, writing); err != nil {
			return err
		}
	}
	return nil
}

func fifo(dir, name string) error {
	if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: filepath.Join(dir, name), Err: err}
	}
	return nil
}

func (l *layout) add(name string, flags int) error {
	fd, err := openIn(l.dir, name, flags)
	if err != nil {
		return err
	}
	l.fds = append(l.fds, fd)
	return nil
}

// openIn opens a file of a folder's, or one with an absolute name.
func openIn(dir, name string, flags int) (int, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
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
