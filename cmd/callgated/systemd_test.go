package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// passing is the daemon's command as systemd starts it: with sockets from
// descriptor 3 on, which are meant for the process pid; "": for it.
func (h *host) passing(pid string, sockets ...*os.File) *exec.Cmd {
	cmd := h.command()
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=${0:-$$} exec "$@"`, pid, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(sockets)), "LISTEN_FDNAMES=callgated.socket", "LISTEN_PIDFDID=1")
	cmd.ExtraFiles = sockets
	return cmd
}

// refusal is what the daemon says that does not start.
func (h *host) refusal(cmd *exec.Cmd) string {
	h.t.Helper()
	cmd.Stderr = nil
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			_ = cmd.Process.Kill()
		}
	})
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		h.t.Errorf("the daemon ended with %v", err)
	}
	return string(said)
}

// descriptor is a socket's, as systemd has it.
func descriptor(t *testing.T, family, kind int, address unix.Sockaddr, listen bool) *os.File {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	if listen {
		if err := unix.Listen(fd, 16); err != nil {
			t.Fatal(err)
		}
	}
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestActivation has who connects start the daemon: the socket is systemd's, and is
// there before the daemon and after it.
func TestActivation(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	name := filepath.Join(h.dir, "passed")
	socket := descriptor(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: name}, true)
	h.Client = client.New(name)
	waiting := make(chan error, 1)
	go func() {
		_, err := h.List(t.Context(), client.Query{Limit: 1})
		waiting <- err
	}()
	var id string
	for range 2 {
		h.begin(h.passing("", socket))
		if _, err := os.Lstat(filepath.Join(h.dir, "s")); err == nil {
			t.Error("the daemon listens at a socket of its own too")
		}
		id = h.submit(openShell("env; ls -l /proc/self/fd; tr '\\0' '\\n' </proc/$PPID/environ; exit 0")).ID
		h.wait(id)
		h.stop()
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("the socket of systemd's: %v", err)
		}
	}
	if err := <-waiting; err != nil {
		t.Errorf("who connected before the daemon was there: %v", err)
	}
	h.begin(h.passing("", socket))
	if out := h.output(id, client.StdoutEvent); !strings.Contains(out, "PATH=") || regexp.MustCompile(`LISTEN_|socket:|CALLGATED`).MatchString(out) {
		t.Errorf("a job is handed on what the daemon was started with:\n%s", out)
	}
}

// TestActivationOfAnother: what was passed to another process, that is, inherited,
// is not used.
func TestActivationOfAnother(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	name := filepath.Join(h.dir, "passed")
	h.begin(h.passing("1", descriptor(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: name}, true)))
	if j := h.wait(h.submit(shell("exit 3")).ID); j.Result.Status != 3 {
		t.Errorf("%+v", j.Result)
	}
}

// TestActivationRefused passes what cannot be served.
func TestActivationRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	at := func(name string) *unix.SockaddrUnix { return &unix.SockaddrUnix{Name: filepath.Join(h.dir, name)} }
	stream := descriptor(t, unix.AF_UNIX, unix.SOCK_STREAM, at("a"), true)
	file, err := os.Open(filepath.Join(h.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for want, sockets := range map[string][]*os.File{
		"2 sockets were passed (LISTEN_FDS), where one is expected":     {stream, stream},
		"it is not a unix socket":                                       {descriptor(t, unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, true)},
		"it is not one of streams":                                      {descriptor(t, unix.AF_UNIX, unix.SOCK_SEQPACKET, at("b"), true)},
		"say ListenStream":                                              {descriptor(t, unix.AF_UNIX, unix.SOCK_DGRAM, at("c"), false)},
		"it does not listen":                                            {descriptor(t, unix.AF_UNIX, unix.SOCK_STREAM, at("d"), false)},
		"the passed socket: getsockopt: socket operation on non-socket": {file},
	} {
		if said := h.refusal(h.passing("", sockets...)); !strings.HasPrefix(said, "callgated: ") || !strings.Contains(said, want) || strings.Count(said, "\n") != 1 {
			t.Errorf("%q, not %q", said, want)
		}
	}
	cmd := h.passing("", stream)
	cmd.Env = append(cmd.Env, "LISTEN_FDS=one")
	if said := h.refusal(cmd); !strings.Contains(said, "one sockets were passed") {
		t.Errorf("%q", said)
	}
}

// TestSocket makes a socket where there is one of a daemon that was killed, or
// what is not to be touched; its folder is one that all users enter.
func TestSocket(t *testing.T) {
	t.Parallel()
	h := newHost(t, "")
	name := filepath.Join(h.dir, "s")
	stale := descriptor(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: name}, true)
	if said := h.refusal(h.command()); !strings.Contains(said, "another callgated listens there") {
		t.Errorf("%q", said)
	}
	stale.Close()
	h.start()
	if st, err := os.Lstat(name); err != nil || st.Mode() != os.ModeSocket|0o666 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	h.stop()
	if err := os.WriteFile(name, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := h.refusal(h.command()); !strings.Contains(said, "address already in use") {
		t.Errorf("%q", said)
	}
	if text, err := os.ReadFile(name); string(text) != "a file" {
		t.Errorf("the file that was in the way: %q, %v", text, err)
	}
	text, err := os.ReadFile(filepath.Join(h.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "c.yaml"), []byte(strings.Replace(string(text), "socket: s", "socket: new/s", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Client = client.New(filepath.Join(h.dir, "new", "s"))
	h.start()
	if st, err := os.Stat(filepath.Join(h.dir, "new")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("the socket's folder: %v, %v", st.Mode(), err)
	}
}

// TestReload: the socket is closed at once to whom it is closed, and what waits for a
// restart is told, each time.
func TestReload(t *testing.T) {
	t.Parallel()
	h := running(t, "labels: {a: b}\n")
	program := must(callgate())
	for _, tt := range []struct {
		config, mode, waits string
	}{
		{"socket-mode: 0600\nmetrics: 127.0.0.1:9465\nhost: other\nslots: 3\n", "-rw-------", `"host, metrics"`},
		{"socket-mode: 0660\ntraces: http://127.0.0.1:1\n", "-rw-rw----", "traces"},
		{"socket-mode: 0660\n", "-rw-rw----", ""},
	} {
		h.configure("supervisor: " + program + "\n" + tt.config)
		before, reloads := len(h.log.String()), strings.Count(h.log.String(), "msg=reloaded")
		h.signal(unix.SIGHUP)
		h.until("reload", func() bool { return strings.Count(h.log.String(), "msg=reloaded") > reloads })
		if tt.waits != "" {
			h.until("what waits is told", func() bool { return strings.Contains(h.log.String()[before:], "keys="+tt.waits+"\n") })
		}
		st, err := os.Stat(filepath.Join(h.dir, "s"))
		if err != nil || st.Mode().Perm().String() != tt.mode {
			t.Errorf("%s: the socket is %v, %v", tt.config, st.Mode(), err)
		}
		if told := h.log.String()[before:]; tt.waits == "" && strings.Contains(told, "wait for a restart") {
			t.Errorf("%s: %s", tt.config, told)
		}
	}
}

// TestStoppedAtStart: a daemon that waits for its store ends when it is told to.
func TestStoppedAtStart(t *testing.T) {
	t.Parallel()
	h := newHost(t, "nats: [\"nats://127.0.0.1:1\"]\n")
	h.cmd = h.command()
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.until("the socket", func() bool {
		_, err := os.Stat(filepath.Join(h.dir, "s"))
		return err == nil
	})
	begun := time.Now()
	h.signal(unix.SIGHUP)
	h.stop()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// told is what a daemon told systemd at a socket of that name.
func told(t *testing.T, name string) <-chan string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	out := make(chan string, 1000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				close(out)
				return
			}
			out <- string(buf[:n])
		}
	}()
	return out
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

// TestNotify: systemd is told of start, reloads and stop as they happen, at a socket
// in the file system or an abstract one, and that the daemon is alive if it asks.
func TestNotify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind, pid string
		watched   bool
	}{{"path", "", true}, {"abstract", "1", false}} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "stop: kill\n")
			name := filepath.Join(h.dir, "notify")
			if tt.kind == "abstract" {
				name = "@" + name
			}
			messages := told(t, name)
			cmd := h.command()
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=200000", "WATCHDOG_PID="+tt.pid)
			h.begin(cmd)
			alive := false
			next := func(form string) {
				t.Helper()
				for {
					select {
					case m := <-messages:
						if m == "WATCHDOG=1" {
							alive = true
							continue
						}
						if !regexp.MustCompile("^" + form + "$").MatchString(m) {
							t.Fatalf("%q, not %q", m, form)
						}
						return
					case <-time.After(time.Minute):
						t.Fatalf("nothing, where %q is due; the log: %s", form, h.log.String())
					}
				}
			}
			next("READY=1\nSTATUS=takes jobs")
			before := monotonic(t)
			h.signal(unix.SIGHUP)
			m := <-messages
			for ; m == "WATCHDOG=1"; m = <-messages {
				alive = true
			}
			var at int64
			if _, err := fmt.Sscanf(m, "RELOADING=1\nMONOTONIC_USEC=%d", &at); err != nil || at < before || at > monotonic(t) {
				t.Errorf("%q: %v", m, err)
			}
			next("READY=1\nSTATUS=takes jobs")
			h.configure("wrong: 1\nfalse: 2\n")
			h.signal(unix.SIGHUP)
			next("RELOADING=1\nMONOTONIC_USEC=[0-9]+")
			next("READY=1\nSTATUS=takes jobs, by the config before: .*unknown key \"wrong\".*; .*unknown key \"false\".*")
			id := h.submit(openShell("env; sleep 100")).ID
			for h.output(id, client.StdoutEvent) == "" {
				pause()
			}
			for tt.watched && !alive {
				alive = <-messages == "WATCHDOG=1"
			}
			h.stop()
			next("STOPPING=1\nSTATUS=stops; running jobs: kill")
			if alive != tt.watched {
				t.Errorf("the watchdog was told: %t, not %t", alive, tt.watched)
			}
			h.configure("supervisor: " + must(callgate()) + "\n")
			h.begin(h.command())
			if out := h.output(id, client.StdoutEvent); regexp.MustCompile("NOTIFY|WATCHDOG").MatchString(out) {
				t.Errorf("a job could notify systemd:\n%s", out)
			}
		})
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

func (h *host) signal(s unix.Signal) {
	h.t.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.t.Fatal(err)
	}
}
