package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"
)

// jobUser is whose jobs a test's are, and what runs a command as that user.
func jobUser() (user string, as []string) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	return "65534", []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
}

// change does something to a process, as the user that it is.
func (h *host) change(pid int, how string) {
	h.t.Helper()
	_, as := jobUser()
	args := append(append(as, strings.Fields(how)...), strconv.Itoa(pid))
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		h.t.Fatalf("%q: %v: %s", args, err, out)
	}
	if strings.HasPrefix(how, "kill -STOP") {
		h.until("stop", func() bool {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			return strings.Contains(string(text), ") T ")
		})
	}
}

// TestChangedSupervisor: a supervisor that a process of its user's has changed from outside
// has no other job; and that finds all as it should be.
func TestChangedSupervisor(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // for good: everywhere is of the thread
	h := running(t, "spares: 1\n")
	state := shell("ulimit -a; nice; ionice; chrt -p $$ | sed 's/ [0-9]*//'; nproc; yes | head -c 5000")
	state.User, _ = jobUser()
	one, want := h.run(state)
	if again, got := h.run(state); again != one || got != want {
		t.Errorf("%d, then %d: %s", one, again, got)
	}
	for _, how := range []string{"prlimit --fsize=1024 --pid", "prlimit --nofile=20 --pid", "prlimit --nproc=1 --pid", "prlimit --as=1000000000:1000000000 --pid",
		"renice 19", "ionice -c 3 -p", "chrt --idle -p 0", "kill -STOP"} {
		pid, _ := h.run(state)
		h.change(pid, how)
		began := time.Now()
		next, got := h.run(state)
		if next == pid || got != want {
			t.Errorf("after %s, by %d, not %d:\n%s", how, pid, next, got)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("after %s it took %v", how, took)
		}
		h.gone(pid)
		if again, _ := h.run(state); again != next {
			t.Errorf("after %s: %d, then %d", how, next, again)
		}
	}
	pid, _ := h.run(state)
	h.change(pid, fmt.Sprintf("taskset -a -c -p %d", first(everywhere(t))))
	if again, got := h.run(state); again != pid || got != want {
		t.Errorf("held on one CPU, %d, then %d: %s", pid, again, got)
	}
}

// TestLostOutput: a supervisor that could not store all of a job's output has no other.
func TestLostOutput(t *testing.T) {
	t.Parallel()
	h := running(t, "spares: 1\n")
	r := shell("read x; yes | head -c 100000")
	r.User, _ = jobUser()
	r.Stdin = &client.Stdin{Open: true}
	id := h.submit(r).ID
	pid, _ := strconv.Atoi(h.pid(id))
	h.change(pid, "prlimit --fsize=1024: --pid")
	h.input(id).Close()
	if j := h.wait(id); !strings.Contains(j.Result.Message, "not all could be stored") {
		t.Errorf("%+v", j.Result)
	}
	began := time.Now()
	h.gone(pid)
	if waited := time.Since(began); waited > 5*time.Second {
		t.Errorf("it waited %v for another job", waited)
	}
}
