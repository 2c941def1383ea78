package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestOperators has a job's life seen by Prometheus, at the config's address, and
// by a collector of traces.
func TestOperators(t *testing.T) {
	t.Parallel()
	var traced atomic.Int32
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" && r.ContentLength > 0 {
			traced.Add(1)
		}
	}))
	defer collector.Close()
	h := running(t, "metrics: 127.0.0.1:0\ntraces: "+collector.URL+"\n")
	job := h.wait(h.submit(shell("cat /etc/shadow; exit 0")).ID)
	address := regexp.MustCompile(`msg=metrics address=(\S+)`).FindStringSubmatch(h.log.String())
	if address == nil {
		t.Fatal("the log has no address of metrics")
	}
	for path, want := range map[string][]string{
		"/health": {"ok\n"}, "/ready": {"ok\n"},
		"/metrics": {
			`callgate_jobs{state="ended",user="` + job.User + `"} 1`, `callgate_jobs_submitted_total{user="` + job.User + `"} 1`,
			`callgate_jobs_ended_total{cause="exit",user="` + job.User + `"} 1`, `callgate_job_wait_seconds_count 1`, `callgate_job_run_seconds_count 1`,
			`callgate_job_calls_total{policy="builtin:ci",syscall="openat",verdict="deny"} 1`, `callgate_slots_used 0`,
			`callgate_api_requests_total{operation="submit",status="201"} 1`,
		},
	} {
		text := fetched(t, "http://"+address[1]+path)
		for _, line := range want {
			for range 100 { // the journal is read after the job is told to have ended
				if strings.Contains(text, line) {
					break
				}
				time.Sleep(20 * time.Millisecond)
				text = fetched(t, "http://"+address[1]+path)
			}
			if !strings.Contains(text, line) {
				t.Errorf("%s has no %s:\n%s", path, line, text)
			}
		}
	}
	if text := fetched(t, "http://"+address[1]+"/v1/jobs"); strings.Contains(text, job.ID) {
		t.Error("jobs are for everyone")
	}
	h.stop()
	if traced.Load() == 0 {
		t.Error("the collector got no traces")
	}
}

func fetched(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
