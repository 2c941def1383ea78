package runs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// layout is a run's folder as it is made, and the descriptors that its supervisor gets
// with the job.
type layout struct {
	dir   string
	files []int // in handover's order
}

const writing = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND

// folderMode is that of the folders which jobs' users go through: they see no names.
func folderMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// make makes the folder, all of it the daemon's but for the working folder, and opens
// both ends of what is between them.
func (l *layout) make(j *Job) (*Run, error) {
	if err := l.folders(j); err != nil {
		return nil, err
	}
	for _, name := range []string{"alive", "control"} {
		if err := fifo(l.dir, name); err != nil {
			return nil, err
		}
	}
	r, err := open(l.dir)
	if err != nil {
		return nil, err
	}
	if err := l.open(j); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (l *layout) folders(j *Job) error {
	if err := os.Mkdir(l.dir, folderMode()); err != nil {
		return err
	}
	if err := os.Chmod(l.dir, folderMode()); err != nil { // whatever the umask
		return err
	}
	if !j.Spec.Own {
		return nil
	}
	work := filepath.Join(l.dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return os.Lchown(work, int(j.As.UID), int(j.As.GID))
	}
	return nil
}

func fifo(dir, name string) error {
	if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: filepath.Join(dir, name), Err: err}
	}
	return nil
}

// open opens what the supervisor gets, now that the daemon has its ends of the FIFOs.
func (l *layout) open(j *Job) error {
	for _, end := range [...]struct {
		name  string
		flags int
	}{
		handover.LogFile:       {"log", writing},
		handover.JournalFile:   {"journal", writing},
		handover.ResultFile:    {"result", writing},
		handover.ControlFile:   {"control", unix.O_RDWR | unix.O_NONBLOCK},
		handover.AliveFile:     {"alive", unix.O_WRONLY | unix.O_NONBLOCK},
		handover.BegunFile:     {"begun", writing},
		handover.CollectedFile: {"files", writing},
	} {
		if err := l.add(end.name, end.flags); err != nil {
			return err
		}
	}
	if err := l.input(j); err != nil {
		return fmt.Errorf("the command's input: %w", err)
	}
	return nil
}

// input opens what the command is to read, and what keeps that open.
func (l *layout) input(j *Job) error {
	switch {
	case j.Spec.InputOpen:
		if err := fifo(l.dir, "input"); err != nil {
			return err
		}
		if err := l.add("input", unix.O_RDONLY|unix.O_NONBLOCK); err != nil {
			return err
		}
		if err := unix.SetNonblock(l.files[handover.StdinFile], false); err != nil {
			return err
		}
		return l.add("input", unix.O_WRONLY)
	case len(j.Stdin) == 0:
		return l.add("/dev/null", unix.O_RDONLY)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "stdin"), j.Stdin, 0o600); err != nil {
		return err
	}
	return l.add("stdin", unix.O_RDONLY)
}

func (l *layout) add(name string, flags int) error {
	fd, err := openIn(l.dir, name, flags)
	if err == nil {
		l.files = append(l.files, fd)
	}
	return err
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

// close closes what the supervisor has by now.
func (l *layout) close() {
	for _, fd := range l.files {
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
	return tailOf(f)
}

func tailOf(f *os.File) string {
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, tailBytes)
	n, _ := f.ReadAt(b, max(0, st.Size()-tailBytes)) // io.EOF, where it is shorter
	return string(bytes.ToValidUTF8(bytes.Trim(b[:n], "\x00 \n"), []byte("?")))
}
