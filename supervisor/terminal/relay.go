package terminal

import (
	"bytes"
	"io"

	"golang.org/x/sys/unix"
)

// relayed is how much is passed on at once.
const relayed = 32 << 10

// guarded restores the caller's terminal before a panic ends the process.
func (t *Terminal) guarded() {
	if p := recover(); p != nil {
		_ = t.Restore()
		panic(p)
	}
}

// show passes on what the command writes. Where nobody takes it the command's
// terminal hangs up, on which it gets SIGHUP and later writes EIO.
func (t *Terminal) show() {
	defer t.guarded()
	var to io.Writer = io.Discard
	if t.out != nil {
		to = t.out
	}
	buf := make([]byte, relayed)
	for {
		n, err := t.master.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				t.master.Close()
				return
			}
		}
		if err != nil { // EIO: no other end is left
			return
		}
	}
}

// typeIn passes on what the caller types, until there is no more.
func (t *Terminal) typeIn() {
	defer t.guarded()
	buf := make([]byte, relayed)
	last := byte('\n')
	for t.awaitKeys() {
		n, err := unix.Read(int(t.in.Fd()), buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if n <= 0 {
			t.endInput(last)
			return
		}
		last = buf[n-1]
		if _, err := t.master.Write(buf[:n]); err != nil {
			return
		}
	}
}

// awaitKeys waits until something is typed; false says that the relay ends.
func (t *Terminal) awaitKeys() bool {
	for {
		in, wait := int32(t.in.Fd()), -1
		if !t.foreground() {
			in, wait = -1, inBackground
		} else if !t.isRaw() {
			_ = t.raw() // a shell's fg does not always say so
		}
		ready := []unix.PollFd{{Fd: in, Events: unix.POLLIN}, {Fd: int32(t.woken.Fd()), Events: unix.POLLIN}}
		_, err := unix.Poll(ready, wait)
		switch {
		case err != nil && err != unix.EINTR, ready[1].Revents != 0:
			return false
		case ready[0].Revents != 0 && t.foreground():
			return true
		}
	}
}

// inBackground is how often, in milliseconds, a job in the background looks
// whether it is in the foreground by now.
const inBackground = 200

// endInput types the key that ends input, where the command's terminal has one. In
// the middle of a line it ends that only.
func (t *Terminal) endInput(last byte) {
	settings := settingsOf(t.master)
	if settings == nil || settings.Lflag&unix.ICANON == 0 {
		return
	}
	end := []byte{settings.Cc[unix.VEOF]}
	if last != '\n' {
		end = append(end, end...)
	}
	_, _ = t.master.Write(end) // a command that is gone has no input
}

// resize passes on the window's size. After a stop (job control) the shell has
// given the terminal other settings.
func (t *Terminal) resize() {
	defer t.guarded()
	for sig := range t.changes {
		if sig == unix.SIGCONT {
			_ = t.raw()
		}
		_ = t.fit() // the command may just be gone
	}
}

// Lines is w for lines of text that go to the caller's terminal while that is in
// raw mode.
func (t *Terminal) Lines(w io.Writer) io.Writer { return lines{t, w} }

type lines struct {
	t *Terminal
	w io.Writer
}

func (l lines) Write(p []byte) (int, error) {
	if !l.t.isRaw() {
		return l.w.Write(p)
	}
	if _, err := l.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}
