// Package terminal gives a command a terminal of its own (pty(7)) and passes
// between that and the caller's what is typed, what is shown, and the window's
// size. The command then has no descriptor of the caller's terminal: nothing
// can be pushed into it (TIOCSTI in ioctl_tty(2)), and no mode of it changed.
//
// # Limits
//
// While the command runs, the caller's terminal is in raw mode. It gets its
// settings back at every end of this process but by SIGKILL, and by a panic in a
// goroutine that knows nothing of terminals.
//
// What comes from a pipe goes through a line discipline as if it were typed: a
// line of more than 4095 bytes is cut (termios(3), "Canonical mode").
package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Terminal is one command's.
type Terminal struct {
	in, out *os.File // the caller's; nil: none
	master  *os.File
	tty     *os.File // the command's side
	wake    *os.File // closed to end the reading of in
	woken   *os.File
	changes chan os.Signal

	mu    sync.Mutex
	saved *unix.Termios // of in, while that is raw
	ended bool

	shown, typed, resized sync.WaitGroup
}

// usualSize is a terminal's where nobody knows better.
var usualSize = unix.Winsize{Row: 24, Col: 80}

// Open makes a terminal whose settings and size are those of in, if that is a
// terminal. Both in and out may be nil.
func Open(in, out *os.File) (*Terminal, error) {
	master, tty, err := open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudoterminal: %w", err)
	}
	woken, wake, err := os.Pipe()
	if err != nil {
		master.Close()
		tty.Close()
		return nil, fmt.Errorf("open a pseudoterminal: %w", err)
	}
	t := &Terminal{in: in, out: out, master: master, tty: tty, wake: wake, woken: woken, changes: make(chan os.Signal, 1)}
	if err := t.settle(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// open is what posix_openpt(3) and its like do, with the other end opened by
// descriptor: no name can be another's. The command's end must not be Go's to
// poll: it would be non-blocking for the command too.
func open() (master, tty *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var fd int
	err = control(master, func(m int) (err error) {
		if err = unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err == nil {
			fd, err = peer(m)
		}
		return err
	})
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, os.NewFile(uintptr(fd), "tty"), nil
}

// peer opens the command's end of a terminal (ioctl_tty(2), Linux 4.13).
func peer(master int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// control lends a file's descriptor.
func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if lent := conn.Control(func(fd uintptr) { err = do(int(fd)) }); lent != nil {
		return lent
	}
	return err
}

// settle gives the new terminal its settings.
func (t *Terminal) settle() error {
	settings := settingsOf(t.in)
	if settings == nil { // what is not typed by a person is not shown as typed
		if settings = settingsOf(t.tty); settings == nil {
			return errors.New("a new terminal has no settings")
		}
		settings.Lflag &^= unix.ECHO
	}
	if err := set(t.tty, unix.TCSETS, settings); err != nil {
		return err
	}
	return t.fit()
}

// Is says whether a file is a terminal.
func Is(f *os.File) bool { return settingsOf(f) != nil }

// settingsOf are a terminal's, nil of anything else.
func settingsOf(f *os.File) *unix.Termios {
	if f == nil {
		return nil
	}
	var settings *unix.Termios
	err := control(f, func(fd int) (err error) {
		settings, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil {
		return nil
	}
	return settings
}

func set(f *os.File, when uint, settings *unix.Termios) error {
	err := control(f, func(fd int) error { return unix.IoctlSetTermios(fd, when, settings) })
	if err != nil {
		return fmt.Errorf("set a terminal's modes: %w", err)
	}
	return nil
}

// fit gives the command's terminal the size of the caller's.
func (t *Terminal) fit() error {
	size := t.size()
	err := control(t.master, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
	if err != nil {
		return fmt.Errorf("set a terminal's size: %w", err)
	}
	return nil
}

// size is that of the window, on whichever side there is one.
func (t *Terminal) size() *unix.Winsize {
	size := usualSize
	for _, f := range []*os.File{t.out, t.in} {
		if f == nil {
			continue
		}
		_ = control(f, func(fd int) error {
			if ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil && ws.Col > 0 && ws.Row > 0 {
				size = *ws
			}
			return nil
		})
	}
	return &size
}

// Files are the command's standard input, output and error.
func (t *Terminal) Files() []*os.File { return []*os.File{t.tty, t.tty, t.tty} }

// Start puts the caller's terminal in raw mode and begins to relay.
func (t *Terminal) Start() error {
	if err := t.raw(); err != nil {
		return err
	}
	signal.Notify(t.changes, unix.SIGWINCH, unix.SIGCONT)
	t.shown.Go(t.show)
	if t.in != nil {
		t.typed.Go(t.typeIn)
	}
	t.resized.Go(t.resize)
	return nil
}

// foreground says whether the caller's terminal is this process's to read and to
// set: elsewhere both would stop it (SIGTTIN, SIGTTOU). A terminal that is not the
// controlling one has no job control.
func (t *Terminal) foreground() bool {
	group := 0
	err := control(t.in, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return err != nil || group == unix.Getpgrp()
}

// raw is cfmakeraw(3): every key is the command's, and so is what it makes of
// its output.
func (t *Terminal) raw() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.in == nil || !t.foreground() {
		return nil
	}
	now := settingsOf(t.in)
	if now == nil {
		return nil
	}
	if t.saved == nil {
		t.saved = now
	}
	want := *t.saved
	want.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	want.Oflag &^= unix.OPOST
	want.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	want.Cflag = want.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	want.Cc[unix.VMIN], want.Cc[unix.VTIME] = 1, 0
	return set(t.in, unix.TCSETS, &want)
}

// Restore gives the caller's terminal its settings back and ends nothing: for a
// caller that cannot say that the command is gone.
func (t *Terminal) Restore() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.saved == nil {
		return nil
	}
	saved := t.saved
	t.saved = nil
	if !t.foreground() {
		return nil // whoever put this process there has seen to it
	}
	// One that hung up has no settings any more.
	if err := set(t.in, unix.TCSETS, saved); err != nil && !errors.Is(err, unix.EIO) {
		return err
	}
	return nil
}

// isRaw says whether a line's end needs a carriage return of its own.
func (t *Terminal) isRaw() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saved != nil
}

// Close ends the relay once all that the command has written is shown, and
// restores the caller's terminal. It is called when nothing of the command is
// left, or nothing was started.
func (t *Terminal) Close() error {
	t.tty.Close() // its last holder: what is left to read comes before EIO
	t.shown.Wait()
	t.wake.Close()
	t.master.Close()
	t.typed.Wait()
	signal.Stop(t.changes)
	close(t.changes)
	t.resized.Wait()
	t.woken.Close()
	return t.Restore()
}
