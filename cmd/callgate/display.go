package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Control sequences of ECMA-48 and xterm, which every terminal in use knows.
const (
	enterDisplay = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J" // the alternate screen, empty and without a cursor
	leaveDisplay = "\x1b[?25h\x1b[?1049l"
	topLeft      = "\x1b[H"
	wholeLine    = "\x1b[2K" // is emptied of what stood there before
	restBelow    = "\x1b[J"
	reversed     = "\x1b[7m"
	normal       = "\x1b[m"
)

// ownKeys are the terminal's ways with keys that are off while it shows a table.
const ownKeys = unix.ICANON | unix.ECHO | unix.ECHONL

const ctrlDKey = 4

// display is a terminal that a view fills. Ctrl-C and ctrl-Z work as ever.
type display struct {
	in, out  *os.File
	settings unix.Termios // to give back
	signals  chan os.Signal
	taken    bool
}

// openDisplay takes the terminal that in and out are; nil if either is none.
func openDisplay(in, out *os.File) *display {
	settings, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &display{in: in, out: out, settings: *settings}
}

// view is what a display shows.
type view interface {
	look(context.Context) error
	lines(width, height int) []string
}

// run shows the view until a key or a signal ends it. However it ends, a panic
// included, the terminal is as it was before.
func (d *display) run(every time.Duration, v view) error {
	d.signals = make(chan os.Signal, 8)
	signal.Notify(d.signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGTSTP, unix.SIGCONT, unix.SIGWINCH)
	defer signal.Stop(d.signals)
	if err := v.look(context.Background()); err != nil {
		return err
	}
	defer d.leave()
	if err := d.enter(); err != nil {
		return err
	}
	keys := d.keys()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := d.draw(v); err != nil {
			return err
		}
		select {
		case <-tick.C:
			if err := v.look(context.Background()); err != nil {
				return err
			}
		case key, open := <-keys:
			if !open || key == 'q' || key == ctrlDKey {
				return nil
			}
		case sig := <-d.signals:
			if done, err := d.handle(sig.(unix.Signal)); done {
				return err
			}
		}
	}
}

// handle says whether a signal ends it. Ctrl-C is a way to leave, not a failure.
func (d *display) handle(sig unix.Signal) (done bool, err error) {
	switch sig {
	case unix.SIGINT:
		return true, nil
	case unix.SIGWINCH:
		return false, nil
	case unix.SIGTSTP:
		return d.stop()
	case unix.SIGCONT: // after a stop that nobody asked this process about
		err := d.enter()
		return err != nil, err
	}
	return true, &failure{status: 128 + int(sig)}
}

// stop has job control stop this process, and goes on when that is over. Keys that
// were typed again because it took its time count once.
func (d *display) stop() (done bool, err error) {
	d.leave()
	runtime.LockOSThread()
	stopSelf(unix.SIGSTOP)
	runtime.UnlockOSThread()
	if err := d.enter(); err != nil {
		return true, err
	}
	for {
		select {
		case sig := <-d.signals:
			if sig != unix.SIGTSTP && sig != unix.SIGCONT {
				return d.handle(sig.(unix.Signal))
			}
		default:
			return false, nil
		}
	}
}

func (d *display) enter() error {
	d.taken = true
	settings := d.settings
	settings.Lflag &^= ownKeys
	settings.Cc[unix.VMIN], settings.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(d.in.Fd()), unix.TCSETSW, &settings); err != nil {
		return err
	}
	_, err := io.WriteString(d.out, enterDisplay)
	return err
}

// leave gives the terminal back, once: after a stop it may be another's. One that
// is gone needs nothing.
func (d *display) leave() {
	if !d.taken {
		return
	}
	d.taken = false
	_, _ = io.WriteString(d.out, leaveDisplay)
	_ = unix.IoctlSetTermios(int(d.in.Fd()), unix.TCSETSW, &d.settings)
}

func (d *display) draw(v view) error {
	width, height := 80, 24
	if size, err := unix.IoctlGetWinsize(int(d.out.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 1 {
		width, height = int(size.Col), int(size.Row)
	}
	var b strings.Builder
	b.WriteString(topLeft)
	for i, line := range v.lines(width, height) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if line != "" && strings.HasPrefix(topHeader, line) {
			line = reversed + line + normal
		}
		b.WriteString(wholeLine + line)
	}
	b.WriteString(restBelow)
	_, err := io.WriteString(d.out, b.String())
	return err
}

// keys gives what is typed.
func (d *display) keys() <-chan byte {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		buf := make([]byte, 1)
		for {
			if n, err := d.in.Read(buf); err != nil || n == 0 {
				return
			}
			keys <- buf[0]
		}
	}()
	return keys
}
