package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/supervisor/client"
)

// number is how much of something a test does; the environment may ask for more.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// counted is a job that leaves a line where all can see how often it ran.
func counted(ran string, i int) *client.Request {
	return &client.Request{
		Argv:     []string{"sh", "-c", fmt.Sprintf("echo %d >>%s; echo out %d; echo err %d >&2; exit %d", i, ran, i, i, i%50)},
		Policies: []client.Policy{{Name: "all.yaml", Text: "callgate: 1\ndefault: allow\nsyscalls: []\n"}},
	}
}

// checkCounted looks at what became of jobs: each ran once, and has its own
// output and status.
func checkCounted(t *testing.T, h *host, ids []string, ran string) {
	t.Helper()
	for i, id := range ids {
		j := h.wait(id)
		if j.Result.Cause != client.ByExit || j.Result.Status != i%50 || j.Attempt != 1 {
			t.Errorf("job %d: attempt %d, %+v", i, j.Attempt, j.Result)
		}
		if out := h.output(id, client.StdoutEvent) + h.output(id, client.StderrEvent); out != fmt.Sprintf("out %d\nerr %d\n", i, i) {
			t.Errorf("job %d: the output is %q", i, out)
		}
	}
	text, err := os.ReadFile(ran)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, line := range strings.Fields(string(text)) {
		times[line]++
	}
	for i := range ids {
		if n := times[strconv.Itoa(i)]; n != 1 {
			t.Errorf("job %d ran %d times", i, n)
		}
	}
}

// common is a file that all jobs may append to.
func common(t *testing.T, h *host) string {
	t.Helper()
	name := filepath.Join(h.dir, "ran")
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestManyJobs runs many jobs, many at once: CALLGATED_JOBS (1000 by hand),
// CALLGATED_SLOTS (200).
func TestManyJobs(t *testing.T) {
	n, slots := number(t, "CALLGATED_JOBS", 60), number(t, "CALLGATED_SLOTS", 20)
	h := running(t, fmt.Sprintf("slots: %d\n", slots))
	ran := common(t, h)
	begun := time.Now()
	ids := make([]string, n)
	var all sync.WaitGroup
	next := make(chan int)
	for range 8 {
		all.Go(func() {
			for i := range next {
				ids[i] = h.submit(counted(ran, i)).ID
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	for _, id := range ids {
		h.wait(id)
	}
	took := time.Since(begun)
	t.Logf("%d jobs, %d at once: %.1f ms a job", n, slots, took.Seconds()*1000/float64(n))
	checkCounted(t, h, ids, ran)
}

// TestKilledUnderLoad kills the daemon again and again while jobs come, run and
// end: CALLGATED_KILLS times (50 by hand).
func TestKilledUnderLoad(t *testing.T) {
	kills := number(t, "CALLGATED_KILLS", 4)
	h := running(t, "slots: 8\n")
	ran := common(t, h)
	n := kills * 12
	ids := make([]string, n)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range n {
			ids[i] = insist(t, h, counted(ran, i), strconv.Itoa(i))
		}
	})
	for range kills {
		time.Sleep(120 * time.Millisecond)
		h.kill()
		h.start()
	}
	all.Wait()
	checkCounted(t, h, ids, ran)
}

// insist submits a job by a key until the daemon, which comes and goes, has it.
func insist(t *testing.T, h *host, r *client.Request, key string) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		j, err := h.Submit(ctx, r, key)
		if err == nil {
			return j.ID
		}
		if ctx.Err() != nil {
			t.Errorf("job %s is not taken: %v", key, err)
			return "00000000"
		}
		time.Sleep(10 * time.Millisecond)
	}
}
