package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// screen is an interactive bash on a terminal of its own.
type screen struct {
	t    *testing.T
	file *os.File
	mu   sync.Mutex
	seen strings.Builder
}

func newScreen(t *testing.T) *screen {
	ptmx, tty := openTerminal(t)
	cmd := exec.Command("bash", "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = append(os.Environ(), "PS1=ready> ", "TERM=dumb")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	term := &screen{t: t, file: ptmx}
	go term.read()
	t.Cleanup(func() {
		ptmx.Close() // SIGHUP to the session
		cmd.Process.Kill()
		cmd.Wait()
	})
	term.expect("ready> ")
	return term
}

// openTerminal gives both ends of a new pseudoterminal (pts(4)).
func openTerminal(t *testing.T) (ptmx, tty *os.File) {
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(ptmx.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ptmx, tty
}

func (term *screen) read() {
	buf := make([]byte, 4096)
	for {
		n, err := term.file.Read(buf)
		term.mu.Lock()
		term.seen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// typed sends keys and forgets what was on the screen before.
func (term *screen) typed(keys string) {
	term.mu.Lock()
	term.seen.Reset()
	term.mu.Unlock()
	if _, err := term.file.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// expect waits until the screen shows text and gives all that it shows.
func (term *screen) expect(text string) string {
	term.t.Helper()
	for range 1000 {
		term.mu.Lock()
		seen := term.seen.String()
		term.mu.Unlock()
		if strings.Contains(seen, text) {
			return seen
		}
		time.Sleep(10 * time.Millisecond)
	}
	term.t.Fatalf("the terminal shows no %q but %q", text, term.seen.String())
	return ""
}

// stopped has job control stop what is in the foreground. A shell names the job
// before it gives it the terminal, and ignores the key itself.
func (term *screen) stopped() {
	term.t.Helper()
	shows := func() string {
		term.mu.Lock()
		defer term.mu.Unlock()
		return term.seen.String()
	}
	term.typed("")
	waitFor(term.t, "Stopped", func() bool {
		if _, err := term.file.WriteString(ctrlZ); err != nil {
			term.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(shows(), "Stopped")
	}, shows)
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

func TestCtrlCReachesTheCommand(t *testing.T) {
	term := newScreen(t)
	term.typed("callgate run -- sh -c 'echo up; exec sleep 100'\n")
	term.expect("up\r\n")
	term.typed(ctrlC)
	term.expect("ready> ")
	term.typed("echo status $?\n")
	term.expect("status 130")

	// A command that catches it goes on, and callgate with it. What it waits for says
	// that it is up: bash begins to wait even if the signal came before.
	term.typed("callgate run -- bash -c 'trap \"echo caught\" INT; sh -c \"echo up; exec sleep 100\"; echo after; exit 3'\n")
	term.expect("up\r\n")
	term.typed(ctrlC)
	if seen := term.expect("ready> "); strings.Count(seen, "caught") != 1 || !strings.Contains(seen, "after") {
		t.Errorf("after ctrl-C the terminal shows %q", seen)
	}
	term.typed("echo status $?\n")
	term.expect("status 3")
}

func TestJobControl(t *testing.T) {
	term := newScreen(t)
	term.typed("callgate run -- bash -c 'trap \"echo continued\" CONT; echo up; while :; do sleep 0.05; done'\n")
	term.expect("up\r\n")
	term.stopped()
	term.expect("ready> ")
	term.typed("bg\n")
	term.expect("continued")
	term.typed("fg\n")
	term.expect("callgate run")
	term.stopped()
	term.typed("kill %1; fg\n")
	term.expect("ready> ")

	// A job in the background that reads the terminal stops, as a bare one does.
	term.typed("callgate run -- cat &\n")
	term.expect("ready> ")
	time.Sleep(300 * time.Millisecond)
	term.typed("jobs\n")
	term.expect("Stopped")
	term.typed("fg\n")
	term.expect("callgate run")
	term.typed("echoed\n")
	if seen := term.expect("echoed\r\nechoed\r\n"); !strings.Contains(seen, "echoed") {
		t.Errorf("the terminal shows %q", seen)
	}
	term.typed("\x04")
	term.expect("ready> ")
}

// TestSignalsArePassedOn sends signals to callgate alone, which has no terminal.
func TestSignalsArePassedOn(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			script := fmt.Sprintf("trap 'echo caught; exit 9' %d; echo up; while :; do sleep 0.05; done", int(sig))
			cmd := exec.Command("callgate", "run", "--", "sh", "-c", script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 64)
			n, _ := out.Read(line)
			if string(line[:n]) != "up\n" {
				t.Fatalf("got %q", line[:n])
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			n, _ = out.Read(line)
			if string(line[:n]) != "caught\n" {
				t.Errorf("after the signal: %q", line[:n])
			}
			if cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
				t.Errorf("ended by %v", cmd.ProcessState)
			}
		})
	}
}
