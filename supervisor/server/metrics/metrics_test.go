package metrics

import (
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"callgate/supervisor/client"
)

// lived has had one of everything happen.
func lived(t *testing.T) *Metrics {
	t.Helper()
	m := New(Options{
		Version: client.Version{Version: "9.9", Commit: "abc"}, Known: func(name string) bool { return name == "lab" || name == "builtin:ci" },
		Live: func() []client.Job {
			return []client.Job{{User: "ann", Usage: client.Usage{MemoryBytes: 5 << 20, Processes: 3}}, {User: "ann", Usage: client.Usage{MemoryBytes: 1 << 20, Processes: 1}}}
		},
		Slots: func() int { return 4 }, State: t.TempDir(),
	})
	began := time.Now().Add(-time.Hour)
	queued := client.Job{ID: "a", User: "ann", State: client.Queued, Submitted: began, Policies: []string{"lab"}}
	running := queued
	running.State, running.Attempt, running.Started = client.Running, 1, began.Add(2*time.Second)
	ended := running
	ended.State, ended.Ended, ended.Result = client.Ended, began.Add(42*time.Second), &client.Result{Cause: client.ByExit}
	ended.Usage = client.Usage{UserSeconds: 1, SystemSeconds: .5, MaxRSSBytes: 3 << 20}
	waiting := queued
	waiting.ID = "b"
	for _, change := range [][2]*client.Job{{nil, &queued}, {&queued, &running}, {&running, &queued}, {&queued, &running}, {&running, &ended}, {nil, &waiting}} {
		m.Known(change[0], change[1])
		m.Changed(change[0], change[1])
	}
	for _, line := range []string{
		`{"event":"call","syscall":"openat","policy":"builtin:ci","verdict":"deny"}`,
		`{"event":"call","syscall":"openat","policy":"builtin:ci","verdict":"deny"}`,
		`{"event":"call","syscall":"evil","policy":"../evil\n","verdict":"kill"}`,
		`{"event":"call","syscall":"","policy":"builtin:evil","verdict":"evil"}`,
		`{"event":"end","stops":7,"stops_by_call":{"openat":5,"execve":2,"evil":1}}`,
		`{"event":`,
	} {
		m.Audit(&ended, []byte(line))
	}
	m.Request("submit", 201, 3*time.Millisecond, false)
	m.Request("events", 200, time.Hour, true)
	return m
}

func text(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetrics(t *testing.T) {
	m := lived(t)
	got := text(t, m)
	for _, want := range []string{
		`callgate_jobs{state="ended",user="ann"} 1`,
		`callgate_jobs{state="queued",user="ann"} 1`,
		`callgate_queue_oldest_seconds 36`, // 3600 and a bit
		`callgate_jobs_submitted_total{user="ann"} 2`,
		`callgate_jobs_requeued_total{user="ann"} 1`,
		`callgate_jobs_ended_total{cause="exit",user="ann"} 1`,
		`callgate_job_wait_seconds_sum 4`, // twice: an attempt that was put back counts as none
		`callgate_job_run_seconds_sum 40`,
		`callgate_job_max_rss_bytes_bucket{le="4.194304e+06"} 1`,
		`callgate_job_cpu_seconds_total{user="ann"} 1.5`,
		`callgate_job_calls_total{policy="builtin:ci",syscall="openat",verdict="deny"} 2`,
		`callgate_job_calls_total{policy="own",syscall="unknown",verdict="kill"} 1`,
		`callgate_job_stops_total{policy="lab",syscall="openat"} 5`,
		`callgate_slots 4`, `callgate_slots_used 2`,
		`callgate_running_memory_bytes{user="ann"} 6.291456e+06`,
		`callgate_running_processes{user="ann"} 4`,
		`callgate_state_free_bytes `,
		`callgate_api_requests_total{operation="submit",status="201"} 1`,
		`callgate_api_requests_total{operation="events",status="200"} 1`,
		`callgate_api_request_seconds_count{operation="submit"} 1`,
		`callgate_build_info{commit="abc",version="9.9"} 1`,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(got, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(got, `state="running"`) || strings.Contains(got, "evil") || strings.Contains(got, `api_request_seconds_count{operation="events"}`) {
		t.Errorf("too much in:\n%s", got)
	}
}

// TestGoneJobsLeaveNothing: neither a series nor memory.
func TestGoneJobsLeaveNothing(t *testing.T) {
	m := lived(t)
	m.Known(&client.Job{ID: "a", User: "ann", State: client.Ended}, nil)
	m.Known(&client.Job{ID: "b", User: "ann", State: client.Queued}, nil)
	if len(m.jobs) > 0 || len(m.queued) > 0 {
		t.Errorf("left: %v %v", m.jobs, m.queued)
	}
	if got := text(t, m); !strings.Contains(got, "\ncallgate_queue_oldest_seconds 0\n") {
		t.Error("an empty queue has an oldest job")
	}
}

// TestPromtool holds the metrics to Prometheus' own rules.
func TestPromtool(t *testing.T) {
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(text(t, lived(t)))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics (of Debian's package prometheus): %v\n%s", err, out)
	}
}
