package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"callgate/supervisor/client"
)

// callgated is the daemon's program: CALLGATED_PROGRAM, or one that is built.
var callgated = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("CALLGATED_PROGRAM"); program != "" {
		return program, nil
	}
	callgate, err := exec.LookPath("callgate")
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(callgate), "callgated")
	out, err := exec.Command("go", "build", "-tags", "netgo,osusergo", "-o", program, "../callgated").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build callgated: %w\n%s", err, out)
	}
	return program, err
})

// startDaemon starts a real daemon, whose jobs the test's callgate supervises, and
// gives its socket.
func startDaemon(t *testing.T) (socket string) {
	t.Helper()
	program, err := callgated()
	if err != nil {
		t.Fatal(err)
	}
	tracee(t) // opens the folder that callgate is in to all
	dir, err := os.MkdirTemp("", "callgated")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "config.yaml"), "callgated: 1\nsocket: socket\nstate: state\nroot-jobs: true\nstop: kill\nsupervisor: "+lookPath(t, "callgate")+"\n")
	cmd := exec.Command(program, "--config", filepath.Join(dir, "config.yaml"), "--text-log")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("the daemon: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", log.String())
		}
	})
	socket = filepath.Join(dir, "socket")
	c := client.New(socket)
	waitFor(t, "the daemon", func() bool {
		_, err := c.Version(context.Background())
		return err == nil
	}, log.String)
	return socket
}
