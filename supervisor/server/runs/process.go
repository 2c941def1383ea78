package runs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a run's supervisor, as long as it cannot be taken for another: its
// user may stop it, and hold what it holds, but not keep it from being killed.
type process struct {
	pid int
	fd  *os.File  // a pidfd
	due time.Time // when it is to have ended of itself; zero: there is no such time

	started, boot string // as note has them, once it was asked
}

// Times that a supervisor gets beyond those of its job.
const (
	killTime  = 5 * time.Second // from the order to end until it is killed itself
	extraTime = time.Minute     // to copy, to collect, to end
)

// dueAt is when a job that starts now has ended: its limit holds for the filling of
// its folder, and then for the command.
func dueAt(wallSeconds float64) time.Time {
	if wallSeconds <= 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(2*min(wallSeconds, 1e9)*float64(time.Second)) + extraTime)
}

// note writes down which process it is, for a daemon after this one. What is written
// over another note is as long as that, so that there is always one.
func (p *process) note(file string) (err error) {
	if p.started == "" {
		if p.started, err = startOf(p.pid); err != nil {
			return err
		}
	}
	if p.boot == "" {
		if p.boot, err = bootID(); err != nil {
			return err
		}
	}
	due := int64(0)
	if !p.due.IsZero() {
		due = p.due.Unix()
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d %s %s %020d\n", p.pid, p.started, p.boot, due)
	return errors.Join(err, f.Close())
}

// find is the process that was noted; with none and no error it is gone.
func find(file string) (*process, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var p process
	var started, boot string
	var due int64
	if _, err := fmt.Sscan(string(text), &p.pid, &started, &boot, &due); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if due > 0 {
		p.due = time.Unix(due, 0)
	}
	if now, err := bootID(); err != nil || now != boot {
		return nil, err
	}
	if err := p.open(); err != nil {
		return nil, ignore(err, unix.ESRCH)
	}
	if now, err := startOf(p.pid); err != nil || now != started { // of the process that is held
		_ = p.fd.Close()
		return nil, ignore(err, fs.ErrNotExist)
	}
	return &p, nil
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

func (p *process) open() error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // has Go wait for it without a thread
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	p.fd = os.NewFile(uintptr(fd), "pidfd")
	return nil
}

// wait returns when the process has ended.
func (p *process) wait() error {
	conn, err := p.fd.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(fd uintptr) bool { return ended(int(fd)) })
}

// kill kills it. One that has ended stays as it is.
func (p *process) kill() {
	if conn, err := p.fd.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	}
}

// startOf is when a process began, in ticks since the boot (proc_pid_stat(5)).
func startOf(pid int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is cut off", pid)
	}
	return string(fields[19]), nil
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// over says whether it has ended.
func (p *process) over() bool {
	gone := true
	if conn, err := p.fd.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { gone = ended(int(fd)) })
	}
	return gone
}

// ended says whether a pidfd's process has (pidfd_open(2)).
func ended(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// launch starts the supervisor, and holds it.
func (r *Run) launch(l *layout, program string) error {
	p := &process{}
	var err error
	if p.pid, err = l.exec(program); err != nil {
		return err
	}
	r.process, r.ours = p, true
	if err = p.open(); err == nil {
		err = p.note(filepath.Join(r.dir, "pid"))
	}
	if err != nil { // nobody could end it
		_ = unix.Kill(p.pid, unix.SIGKILL)
		r.reap()
		r.process = nil
	}
	return err
}
