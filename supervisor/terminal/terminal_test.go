package terminal

import (
	"bytes"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// caller is a terminal of a caller's: what a person types goes into keys.
func caller(t *testing.T) (keys, tty *os.File) {
	t.Helper()
	keys, tty, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close(); tty.Close() })
	return keys, tty
}

func settings(t *testing.T, tty *os.File) unix.Termios {
	t.Helper()
	s := settingsOf(tty)
	if s == nil {
		t.Fatal("no settings")
	}
	return *s
}

// TestRestores: raw while it lasts, and as it was at each end, a panic of the
// relay's own included.
func TestRestores(t *testing.T) {
	for name, end := range map[string]func(*Terminal){
		"close":   func(term *Terminal) { term.Close() },
		"restore": func(term *Terminal) { term.Restore() },
		"panic": func(term *Terminal) {
			defer func() {
				if recover() == nil {
					t.Error("a panic was swallowed")
				}
			}()
			defer term.guarded()
			panic("of the relay's")
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, tty := caller(t)
			before := settings(t, tty)
			term, err := Open(tty, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := term.Start(); err != nil {
				t.Fatal(err)
			}
			if now := settings(t, tty); now.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || now.Oflag&unix.OPOST != 0 {
				t.Errorf("not raw: %+v", now)
			}
			end(term)
			if now := settings(t, tty); now != before {
				t.Errorf("%+v, was %+v", now, before)
			}
		})
	}
}

// TestSettings: the command's terminal begins with the caller's settings and size.
func TestSettings(t *testing.T) {
	_, tty := caller(t)
	want := settings(t, tty)
	want.Cc[unix.VINTR] = 7
	if err := set(tty, unix.TCSETS, &want); err != nil {
		t.Fatal(err)
	}
	size := unix.Winsize{Row: 11, Col: 22}
	if err := control(tty, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &size) }); err != nil {
		t.Fatal(err)
	}
	term, err := Open(tty, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if got := settings(t, term.Files()[0]); got != want {
		t.Errorf("settings %+v, want %+v", got, want)
	}
	if got := *term.size(); got != size {
		t.Errorf("size %+v, want %+v", got, size)
	}
}

// TestLines: while the terminal is raw, lines begin at the left.
func TestLines(t *testing.T) {
	_, tty := caller(t)
	term, err := Open(tty, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := term.Lines(&out)
	io.WriteString(w, "a\n")
	if err := term.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := io.WriteString(w, "b\nc\n"); n != 4 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	term.Close()
	io.WriteString(w, "d\n")
	if got := out.String(); got != "a\nb\r\nc\r\nd\n" {
		t.Errorf("%q", got)
	}
}

// TestNothing: without input and output there is a terminal all the same.
func TestNothing(t *testing.T) {
	term, err := Open(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := term.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := term.Files()[1].WriteString("to nobody"); err != nil {
		t.Error(err)
	}
	if err := term.Close(); err != nil {
		t.Error(err)
	}
}
