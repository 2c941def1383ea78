package runs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestProcess: a supervisor is found again, another process is never taken for it,
// and it ends when its time is up, though it is stopped.
func TestProcess(t *testing.T) {
	cmd := exec.Command("sh", "-c", "kill -STOP $$; sleep 100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	file := filepath.Join(t.TempDir(), "pid")
	if err := (&process{pid: cmd.Process.Pid}).note(file, time.Now()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text))
	for at, other := range []string{"", "17", "another-boot"} {
		if other == "" {
			continue
		}
		changed := append([]string{}, fields...)
		changed[at] = other
		if err := os.WriteFile(file, []byte(strings.Join(changed, " ")), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, _, err := find(file); p != nil || err != nil {
			t.Errorf("%q is found: %v, %v", changed, p, err)
		}
	}
	if _, _, err := find(file + "s"); err == nil {
		t.Error("what was not noted is known to be gone")
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	alive, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	defer held.Close()
	p, due, err := find(file)
	if err != nil || p == nil || p.pid != cmd.Process.Pid {
		t.Fatalf("%+v, %v", p, err)
	}
	r := &Run{dir: filepath.Dir(file), process: p, due: due, alive: alive, grew: make(chan struct{})}
	if r.attend(); !r.overdue {
		t.Error("it has ended, but not because it was due")
	}
	_ = cmd.Wait()
	if p, _, err := find(file); p != nil || err != nil {
		t.Errorf("what has ended is found: %v, %v", p, err)
	}
}

func TestDue(t *testing.T) {
	if due := dueAt(0); !due.IsZero() {
		t.Errorf("without a limit: %v", due)
	}
	if left := time.Until(dueAt(100)); left < 200*time.Second || left > 200*time.Second+2*extraTime {
		t.Errorf("with 100 s: %v", left)
	}
}
