package runs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// layout is a run's folder as it is made, and the descriptors that its supervisor gets
// with the job. To make files takes its time on some file systems (ext4 looks long for a
// new inode where many files went lately), so that it is done ahead, in a folder that is
// not any job's yet.
type layout struct {
	dir   string
	run   *Run  // the daemon's ends
	files []int // the supervisor's, in handover's order
}

// blankPrefix begins the names of folders that are no job's: those have a dot.
const blankPrefix = "spare-"

const writing = unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND

// folderMode is that of the folders which jobs' users go through: they see no names.
func folderMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o700
}

// blank makes a folder that is no job's yet. All of it is the daemon's.
func (h *Host) blank() (*layout, error) {
	l := &layout{dir: filepath.Join(h.folder, blankPrefix+strconv.FormatInt(h.made.Add(1), 10))}
	if err := l.make(); err != nil {
		h.discard(l)
		return nil, err
	}
	return l, nil
}

// discard gives up a folder, with what was opened of it.
func (h *Host) discard(l *layout) {
	l.close()
	if l.run != nil {
		l.run.close()
	}
	_ = h.removeFolder(l.dir) // what is left, the next daemon removes
}

// sweepBlanks removes those that a daemon before has left.
func (h *Host) sweepBlanks() error {
	left, err := filepath.Glob(filepath.Join(h.folder, blankPrefix+"*"))
	for _, folder := range left {
		err = errors.Join(err, h.removeFolder(folder))
	}
	return err
}

// make makes the folder, and opens both ends of what is between the two.
func (l *layout) make() (err error) {
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
	if l.run, err = open(l.dir); err != nil {
		return err
	}
	return l.open()
}

// settle makes the folder a job's.
func (l *layout) settle(dir string, j *Job) error {
	if err := os.Rename(l.dir, dir); err != nil {
		return err
	}
	l.dir, l.run.dir = dir, dir
	work, err := filepath.Join(dir, "work"), error(nil)
	switch {
	case !j.Spec.Own:
		err = os.Remove(work)
	case os.Geteuid() == 0:
		err = os.Lchown(work, int(j.As.UID), int(j.As.GID))
	}
	if err == nil {
		err = l.collected(j)
	}
	if err == nil {
		if err = l.input(j); err != nil {
			err = fmt.Errorf("the command's input: %w", err)
		}
	}
	return err
}

func fifo(dir, name string) error {
	if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: filepath.Join(dir, name), Err: err}
	}
	return nil
}

// open opens what the supervisor gets with any job, now that the daemon has its ends of the FIFOs.
func (l *layout) open() error {
	for _, end := range [...]struct {
		name  string
		flags int
	}{
		handover.LogFile:     {"log", writing},
		handover.JournalFile: {"journal", writing},
		handover.ResultFile:  {"result", writing},
		handover.ControlFile: {"control", unix.O_RDWR | unix.O_NONBLOCK},
		handover.AliveFile:   {"alive", unix.O_WRONLY | unix.O_NONBLOCK},
		handover.BegunFile:   {"begun", writing},
	} {
		if err := l.add(end.name, end.flags); err != nil {
			return err
		}
	}
	note, err := openIn(l.dir, "pid", unix.O_WRONLY|unix.O_CREAT)
	if err == nil {
		unix.Close(note)
	}
	return err
}

// collected opens where what is collected goes, if anything is to be.
func (l *layout) collected(j *Job) error {
	if len(j.Spec.Collect) == 0 {
		return l.add(os.DevNull, unix.O_WRONLY)
	}
	return l.add("files", writing)
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
