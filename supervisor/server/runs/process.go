package runs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a run's supervisor, as long as it cannot be taken for another: its
// user may stop it, and hold what it holds, but not keep it from being killed.
type process struct {
	pid   int
	fd    *os.File      // a pidfd
	ended chan struct{} // closed when it has, and was waited for if it is a child

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

// note writes down which process it is, and when it is to have ended if that is not zero,
// for a daemon after this one.
func (p *process) note(file string, due time.Time) (err error) {
	if p.started == "" {
		if p.started, err = startOf(p.pid); err != nil {
			return err
		}
	}
	if p.boot == "" {
		if p.boot, err = BootID(); err != nil {
			return err
		}
	}
	at := int64(0)
	if !due.IsZero() {
		at = due.Unix()
	}
	// What is longer there is read as far as this goes. To cut it off has ext4 write on close.
	fd, err := openIn("", file, unix.O_WRONLY|unix.O_CREAT)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, fmt.Appendf(nil, "%d %s %s %d\n", p.pid, p.started, p.boot, at))
	return errors.Join(os.NewSyscallError("write", err), os.NewSyscallError("close", unix.Close(fd)))
}

// find is the process that was noted, and when it is to have ended; with none and no
// error it is gone.
func find(file string) (p *process, due time.Time, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, due, err
	}
	p = &process{}
	var started, boot string
	var at int64
	if _, err := fmt.Sscan(string(text), &p.pid, &started, &boot, &at); err != nil {
		return nil, due, fmt.Errorf("read %s: %w", file, err)
	}
	if at > 0 {
		due = time.Unix(at, 0)
	}
	if now, err := BootID(); err != nil || now != boot {
		return nil, due, err
	}
	if err := p.open(); err != nil {
		return nil, due, ignore(err, unix.ESRCH)
	}
	if now, err := startOf(p.pid); err != nil || now != started { // of the process that is held
		_ = p.fd.Close()
		return nil, due, ignore(err, fs.ErrNotExist)
	}
	go p.watch(false)
	return p, due, nil
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
	p.fd, p.ended = os.NewFile(uintptr(fd), "pidfd"), make(chan struct{})
	return nil
}

// watch waits for the process's end.
func (p *process) watch(child bool) {
	conn, err := p.fd.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool { return ended(int(fd)) })
	}
	if err != nil {
		return // a pidfd can be waited for
	}
	if child {
		reap(p.pid)
	}
	_ = p.fd.Close()
	close(p.ended)
}

// reap waits for a child, which has ended.
func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
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

// BootID tells this boot of the kernel from any other (random(4)).
func BootID() (string, error) {
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
