package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is one that runs while jobs are measured.
type daemon struct {
	address string
	web     *http.Client
	cmd     *exec.Cmd
	log     string // a file
	files   string // a folder of its own
}

const startMost = 20 * time.Second

// callgated starts the daemon beside the callgate that is measured, once. What it keeps is
// on a disk, as it would be, not in memory.
func (t *tools) callgated() (*daemon, error) {
	return t.daemon("callgated", func(d *daemon) error {
		program := filepath.Join(filepath.Dir(t.callgate), "callgated")
		if _, err := exec.LookPath(program); err != nil {
			return absent("there is no callgated beside callgate")
		}
		d.address = filepath.Join(d.files, "socket")
		config := filepath.Join(d.files, "config.yaml")
		text := fmt.Sprintf("callgated: 1\nsocket: socket\nstate: state\nsupervisor: %s\nroot-jobs: true\n", t.callgate)
		d.cmd = exec.Command(program, "--config", config)
		return os.WriteFile(config, []byte(text), 0o600)
	}, "unix")
}

// goJudge starts go-judge, once, as it comes, but that it writes no log. Where it
// does not start, which takes privileges, it is not measured.
func (t *tools) goJudge() (*daemon, error) {
	d, err := t.daemon("go-judge", func(d *daemon) (err error) {
		program, err := t.findJudge()
		if err != nil {
			return err
		}
		if d.address, err = freePort(); err != nil {
			return err
		}
		d.cmd = exec.Command(program, "-http-addr", d.address, "-silent", "-release")
		d.cmd.Dir = d.files // without a mount.yaml
		return nil
	}, "tcp")
	if err != nil {
		err = absent(err.Error())
	}
	return d, err
}

// findJudge finds the go-judge to measure: the one that is named, the one that `make
// bench` built, or the one in PATH.
func (t *tools) findJudge() (string, error) {
	if t.judge != "" {
		return exec.LookPath(t.judge)
	}
	if built := filepath.Join(filepath.Dir(t.callgate), "go-judge"); unix.Access(built, unix.X_OK) == nil {
		return built, nil
	}
	found, err := exec.LookPath("go-judge")
	if err != nil {
		return "", absent("there is no go-judge beside callgate or in PATH; .ci/go-judge builds it, -go-judge FILE names it")
	}
	return filepath.Abs(found)
}

// freePort is an address on which nobody listens.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// daemon gives the daemon of that name, which it starts if there is none yet. One
// that does not start is not tried again.
func (t *tools) daemon(name string, prepare func(*daemon) error, network string) (*daemon, error) {
	if known, tried := t.daemons[name]; tried {
		return known.daemon, known.err
	}
	files, err := os.MkdirTemp("/var/tmp", "callbench")
	if err != nil {
		return nil, err
	}
	d := &daemon{files: files, log: filepath.Join(files, "log"), web: &http.Client{Timeout: jobMost, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	if err = prepare(d); err == nil {
		err = d.start(network)
	}
	if err != nil {
		d.stop()
		d = nil
	}
	t.daemons[name] = started{d, err}
	return d, err
}

// started is a daemon, or why there is none.
type started struct {
	daemon *daemon
	err    error
}

// start starts it and waits until it listens.
func (d *daemon) start(network string) error {
	log, err := os.Create(d.log)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < startMost; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial(network, d.address)
		if err == nil {
			return conn.Close()
		}
	}
	said, _ := os.ReadFile(d.log) // else what it lacks is not known
	return errors.New("it does not start: " + string(said))
}

// stop ends it, and removes what it wrote.
func (d *daemon) stop() {
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(unix.SIGTERM)
		kill := time.AfterFunc(startMost, func() { _ = d.cmd.Process.Kill() })
		_ = d.cmd.Wait()
		kill.Stop()
	}
	os.RemoveAll(d.files)
}
