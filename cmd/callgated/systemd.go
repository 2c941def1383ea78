package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const firstPassed = 3 // SD_LISTEN_FDS_START

// taken is a variable that was meant for this process alone: what it starts is
// not to take it for its own.
func taken(variable string) string {
	value := os.Getenv(variable)
	os.Unsetenv(variable)
	return value
}

// ours says whether what systemd passed was meant for this process, and not for
// one that started it.
func ours(pid string) bool { return pid == strconv.Itoa(os.Getpid()) }

// passed is the socket that systemd passes (sd_listen_fds(3)); nil if none is.
func passed() (*net.UnixListener, error) {
	pid, count := taken("LISTEN_PID"), taken("LISTEN_FDS")
	taken("LISTEN_FDNAMES")
	taken("LISTEN_PIDFDID")
	switch {
	case !ours(pid) || count == "" || count == "0":
		return nil, nil
	case count != "1":
		return nil, fmt.Errorf("%.20s sockets were passed (LISTEN_FDS), where one is expected; callgated.socket is to have one ListenStream", count)
	}
	unix.CloseOnExec(firstPassed)
	if err := checkPassed(firstPassed); err != nil {
		return nil, fmt.Errorf("the passed socket: %w", err)
	}
	f := os.NewFile(firstPassed, "the passed socket")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the passed socket: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.New("BUG: the passed socket is not a unix socket after all")
	}
	u.SetUnlinkOnClose(false) // systemd goes on listening there
	return u, nil
}

// checkPassed wants a unix socket of streams, as sd_is_socket_unix(3) does.
func checkPassed(fd int) error {
	for _, c := range []struct {
		option, want int
		otherwise    string
	}{
		{unix.SO_DOMAIN, unix.AF_UNIX, "it is not a unix socket: who connects would not be known"},
		{unix.SO_TYPE, unix.SOCK_STREAM, "it is not one of streams; callgated.socket is to say ListenStream"},
		{unix.SO_ACCEPTCONN, 1, "it does not listen; callgated.socket is to say Accept=no"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, c.option)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		if got != c.want {
			return errors.New(c.otherwise)
		}
	}
	return nil
}

// systemd is who started this process, if it wants to be told how it goes
// (sd_notify(3)).
type systemd struct {
	socket   string // "": nobody wants to
	watchdog time.Duration
	log      *slog.Logger
}

func newSystemd(log *slog.Logger) *systemd {
	s := &systemd{socket: taken("NOTIFY_SOCKET"), log: log}
	pid, every := taken("WATCHDOG_PID"), taken("WATCHDOG_USEC")
	if pid == "" || ours(pid) {
		usec, _ := strconv.ParseInt(every, 10, 64) // none, or none that sd_watchdog_enabled(3) would take: no watchdog
		s.watchdog = time.Duration(max(0, usec)) * time.Microsecond
	}
	return s
}

// tell sends assignments, and what a person is to see as STATUS.
func (s *systemd) tell(status string, assignments ...string) {
	if s.socket == "" {
		return
	}
	if status != "" {
		assignments = append(assignments, "STATUS="+strings.ReplaceAll(status, "\n", "; "))
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"}) // @ is an abstract name's
	if err == nil {
		_, err = conn.Write([]byte(strings.Join(assignments, "\n")))
		_ = conn.Close()
	}
	if err != nil {
		s.log.Warn("notify systemd", "err", err)
	}
}

// watch tells twice in the watchdog's time that the daemon goes on, for as long as
// what is asked comes back.
func (s *systemd) watch(ask func()) {
	if s.socket == "" || s.watchdog == 0 {
		return
	}
	for {
		ask()
		s.tell("", "WATCHDOG=1")
		time.Sleep(s.watchdog / 2)
	}
}

// reloading is what is told before a reload; systemd compares the time with that of
// its request.
func reloading() string {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // there is that clock
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000)
}
