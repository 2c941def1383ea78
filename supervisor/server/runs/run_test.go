package runs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"weak"

	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// TestOverStays: a run is over for good, though word of its journal may come late.
func TestOverStays(t *testing.T) {
	r := &Run{grew: make(chan struct{})}
	grew := r.Grew()
	r.tell(true)
	<-grew
	r.tell(false)
	if !r.Over() {
		t.Error("it is not over any more")
	}
}

// TestFoundAfterItsEnd: a run is found whose supervisor has another job by now. It is
// over, with or without a result that can be read, and that supervisor is none of its
// business, whatever is due or ordered.
func TestFoundAfterItsEnd(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]string{"whole": `{"cause":"exit"}` + "\n", "cut off": `{"cause":`, "none": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := New(t.TempDir(), "/bin/false")
			if err != nil {
				t.Fatal(err)
			}
			other := exec.Command("sleep", "100")
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = other.Process.Kill()
				_ = other.Wait()
			}()
			l, err := h.blank()
			if err == nil {
				err = l.settle(h.path("a", 1), &Job{Spec: &handover.Spec{}})
			}
			if err != nil {
				t.Fatal(err)
			}
			l.close()
			for !l.run.silent() { // what another test is just starting has copies of all descriptors, until its execve
				time.Sleep(time.Millisecond)
			}
			l.run.close()
			if err := os.WriteFile(filepath.Join(l.dir, "result"), []byte(result), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := (&process{pid: other.Process.Pid}).note(filepath.Join(l.dir, "pid"), time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			r, err := h.Adopt("a", 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Kill(); err != nil {
				t.Log(err) // it is over already
			}
			<-r.Done()
			if got, err := r.Result(); (got != nil) != (name == "whole") {
				t.Errorf("%+v, %v", got, err)
			}
			time.Sleep(100 * time.Millisecond) // what kills is not waited for
			if pid, err := unix.Wait4(other.Process.Pid, nil, unix.WNOHANG, nil); pid != 0 || err != nil {
				t.Errorf("another job's supervisor was ended: %d, %v", pid, err)
			}
		})
	}
}

// TestUnreadableResult: a supervisor that goes on, though its result cannot be read, is not
// waited for without end.
func TestUnreadableResult(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{pid: cmd.Process.Pid}
	if err := p.open(); err != nil {
		t.Fatal(err)
	}
	go p.watch(true)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "result"), []byte("no result\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	_ = held.Close()
	r := &Run{dir: dir, process: p, given: &supervisor{process: p}, alive: alive, grew: make(chan struct{})}
	if r.attend(); !p.over() {
		t.Error("the run is over, and its supervisor has neither ended nor a result")
	}
}

// TestKeepsNothing: who has a job from the daemon keeps nothing of the request in its memory.
func TestKeepsNothing(t *testing.T) {
	hand, theirs, err := handover.NewHand()
	if err != nil {
		t.Fatal(err)
	}
	defer hand.Close()
	defer syscall.Close(theirs)
	s := &supervisor{process: &process{pid: os.Getpid()}, hand: hand}
	stdin := func() weak.Pointer[byte] {
		j := &Job{Spec: &handover.Spec{}, Stdin: make([]byte, 1<<20)}
		j.Spec.As = &j.As
		if err := (&Run{dir: t.TempDir()}).begin(s, j, nil); err != nil {
			t.Fatal(err)
		}
		return weak.Make(&j.Stdin[0])
	}()
	runtime.GC()
	if stdin.Value() != nil {
		t.Error("a job's input is still there")
	}
	runtime.KeepAlive(s)
}

// TestDropped: of a run that was prepared and is not to start nothing is left but its
// supervisor, if that waits for its user's next job anyhow.
func TestDropped(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "waits")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 100\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	h, err := New(t.TempDir(), program)
	if err != nil {
		t.Fatal(err)
	}
	h.pool.most = 1
	defer h.pool.close()
	for _, jobs := range []int{0, 1} {
		p, err := h.Prepare(&Job{Spec: &handover.Spec{ID: "a"}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		s := p.supervisor
		s.jobs, s.as = jobs, &p.job.As
		p.Drop()
		if left, err := os.ReadDir(h.folder); len(left) > 0 || err != nil {
			t.Errorf("%v is left, %v", left, err)
		}
		if waits := len(h.pool.idle) > 0; waits != (jobs > 0) {
			t.Errorf("it has had %d jobs; it waits for another: %t", jobs, waits)
		}
		if jobs == 0 {
			<-s.ended
		}
	}
}

// TestPreparedIsFound: a run that a daemon had prepared when it died is over for the next,
// and its command has not begun.
func TestPreparedIsFound(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	h, err := New(state, "/bin/false")
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Prepare(&Job{Spec: &handover.Spec{ID: "a"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	p.supervisor.dismiss() // as with the daemon
	p.layout.close()
	p.layout.run.close()
	next, err := New(state, "/bin/false")
	if err != nil {
		t.Fatal(err)
	}
	r, err := next.Adopt("a", 1)
	if err != nil {
		t.Fatal(err)
	}
	<-r.Done()
	if result, err := r.Result(); result != nil || !errors.Is(err, ErrGone) || r.Begun() {
		t.Errorf("%+v, %v, begun %t", result, err, r.Begun())
	}
	if err := next.Remove("a"); err != nil {
		t.Error(err)
	}
}
