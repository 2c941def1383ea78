package traces

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/supervisor/client"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collect gives the spans that a daemon sends while tell tells it of jobs.
func collect(t *testing.T, tell func(*Traces)) map[string]*wire.Span {
	t.Helper()
	var mu sync.Mutex
	spans := map[string]*wire.Span{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		b, err := io.ReadAll(body)
		var req collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(b, &req) != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, rs := range req.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					spans[s.Name] = s
				}
			}
		}
	}))
	defer server.Close()
	tr, err := New(server.URL, client.Version{Version: "9.9", Host: "h1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tell(tr)
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return spans
}

func TestLifeOfAJob(t *testing.T) {
	began := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	queued := client.Job{ID: "abcdefgh", User: "ann", Argv: []string{"make", "secret"}, State: client.Queued, Submitted: began}
	running := queued
	running.State, running.Attempt, running.Started, running.Host = client.Running, 1, began.Add(time.Second), "h1"
	ended := running
	ended.State, ended.Ended, ended.Result = client.Ended, began.Add(3*time.Second), &client.Result{Cause: client.ByLoss, Status: 125, Message: "gone"}
	// Two daemons have a part in it.
	spans := collect(t, func(tr *Traces) { tr.Changed(nil, &queued); tr.Changed(&queued, &running) })
	for name, span := range collect(t, func(tr *Traces) { tr.Changed(&running, &ended) }) {
		spans[name] = span
	}
	job, wait, run := spans["job"], spans["queued"], spans["run"]
	if job == nil || wait == nil || run == nil {
		t.Fatalf("spans: %v", spans)
	}
	for _, part := range []*wire.Span{wait, run} {
		if string(part.TraceId) != string(job.TraceId) || string(part.ParentSpanId) != string(job.SpanId) {
			t.Errorf("%s is no part of the job", part.Name)
		}
	}
	if len(job.ParentSpanId) > 0 || job.StartTimeUnixNano != uint64(began.UnixNano()) || job.EndTimeUnixNano-job.StartTimeUnixNano != 3e9 ||
		wait.EndTimeUnixNano-wait.StartTimeUnixNano != 1e9 || run.EndTimeUnixNano-run.StartTimeUnixNano != 2e9 {
		t.Errorf("times: %v %v %v", job, wait, run)
	}
	if job.Status.GetCode() != wire.Status_STATUS_CODE_ERROR || strings.Contains(job.String(), "secret") || !strings.Contains(job.String(), "abcdefgh") {
		t.Errorf("the job's span: %v", job)
	}
}

func TestEndpoint(t *testing.T) {
	for _, endpoint := range []string{"", "collector:4318", "ftp://collector", "http://", "http://a b"} {
		if _, err := New(endpoint, client.Version{}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q is an endpoint", endpoint)
		}
	}
}

// TestNoCollector: a collector that is not there holds nobody up, and is told.
func TestNoCollector(t *testing.T) {
	var said strings.Builder
	tr, err := New("http://127.0.0.1:1", client.Version{}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	job := client.Job{ID: "abcdefgh", Argv: []string{"x"}, State: client.Running}
	ended := job
	ended.State = client.Ended
	for range 5000 {
		tr.Changed(&job, &ended)
	}
	_ = tr.Close(context.Background()) // it has been told
	if !strings.Contains(said.String(), "connection refused") {
		t.Errorf("the log says %q", said.String())
	}
}
