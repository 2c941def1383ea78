package supervisor_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"callgate/policy/compile"
	"callgate/supervisor"

	"golang.org/x/sys/unix"
)

// runs is how many runs in a row a test makes: CALLGATE_RUNS, or some.
func runs(t *testing.T, some int) int {
	t.Helper()
	text := os.Getenv("CALLGATE_RUNS")
	if text == "" {
		return some
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const everyLimit = "callgate: 1\ncompat: {i386: same, x32: same}\n" +
	"limits: {wall-time: 5m, cpu-time: 5m, memory: 1GiB, processes: 64, open-files: 64, file-size: 1MiB, output: 1MiB}\n"

func planWithBirths(t *testing.T, text string) *compile.Plan {
	t.Helper()
	plan, err := compile.Compile(planOf(t, text).Set, compile.Options{Report: true, Births: true})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// exits runs a shell that leaves a daemon behind and exits with a status.
func exits(plan *compile.Plan, null *os.File, status int, opt supervisor.Options) error {
	cmd := supervisor.Command{Path: "/bin/sh", Args: []string{"sh", "-c", fmt.Sprintf("sleep 1000 & exit %d", status)},
		Env: []string{"PATH=/usr/bin:/bin"}, Files: []*os.File{null, null, null}}
	result, err := supervisor.Run(context.Background(), plan, cmd, opt)
	if err == nil && result.Status != status {
		err = fmt.Errorf("status %d, want %d", result.Status, status)
	}
	return err
}

// held is what this process holds: descriptors, threads and bytes.
type held struct{ descriptors, threads, bytes int }

func holding(t *testing.T) held {
	t.Helper()
	runtime.GC()
	var h held
	for dir, n := range map[string]*int{"/proc/self/fd": &h.descriptors, "/proc/self/task": &h.threads} {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		*n = len(list)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	h.bytes = pages * os.Getpagesize()
	return h
}

// TestManyAtOnce: 500 sandboxes in one process, under every limit, each end with the
// status of their own, and everything is given back.
func TestManyAtOnce(t *testing.T) {
	const many = 500
	plan := planWithBirths(t, everyLimit)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := holding(t)
	var all, started sync.WaitGroup
	started.Add(many)
	for i := range many {
		all.Go(func() {
			once := sync.OnceFunc(func() {
				started.Done()
				started.Wait() // all are there at once
			})
			if err := exits(plan, null, i%256, supervisor.Options{Started: func(int) { once() }}); err != nil {
				t.Errorf("sandbox %d: %v", i, err)
				once()
			}
		})
	}
	all.Wait()
	if after := holding(t); after.descriptors > before.descriptors {
		t.Errorf("%d descriptors were left", after.descriptors-before.descriptors)
	}
}

// TestManyInARow: CALLGATE_RUNS (60) runs leak no descriptor, thread or memory.
func TestManyInARow(t *testing.T) {
	n := runs(t, 60)
	plan := planWithBirths(t, everyLimit)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	round := func(n int) {
		for i := range n {
			if err := exits(plan, null, i%256, supervisor.Options{}); err != nil {
				t.Fatalf("run %d: %v", i, err)
			}
		}
	}
	round(min(n, 300)) // what Go and the allocator keep
	before := holding(t)
	began := time.Now()
	round(n)
	after := holding(t)
	t.Logf("%d runs in %v: before %+v, after %+v", n, time.Since(began).Round(time.Millisecond), before, after)
	const room = 8 << 20
	if after.descriptors > before.descriptors || after.threads > before.threads+3 || after.bytes > before.bytes+room {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}
