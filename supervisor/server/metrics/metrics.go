// Package metrics counts what a daemon does, for Prometheus. docs/daemon.md lists
// the metrics.
//
// # Limits
//
// Labels have few values, whatever jobs and their supervisors write: a policy that
// jobs bring along counts as "own"; a call, a verdict or a cause that there is not,
// as "unknown". Users are those of the
// hosts that share the store.
package metrics

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"callgate/policy/abi"
	"callgate/supervisor/client"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options are what metrics are told at the start.
type Options struct {
	Version client.Version
	// Known says whether a policy is one that jobs may name, not bring along: a
	// built-in one, or the config's.
	Known func(policy string) bool
	// Live gives the jobs that run on this host, with what they use now.
	Live func() []client.Job
	// Slots says how many jobs this host runs at once.
	Slots func() int
	// State is the daemon's folder, whose file system has so much room left.
	State string
}

// Metrics are one daemon's. Its methods may be called from any goroutine, and
// none blocks.
type Metrics struct {
	opt      Options
	registry *prometheus.Registry

	submitted, retried *prometheus.CounterVec
	ended, processor   *prometheus.CounterVec
	decided, stops     *prometheus.CounterVec
	wait, run, memory  prometheus.Histogram
	requests           *prometheus.CounterVec
	requestSeconds     *prometheus.HistogramVec
	mu                 sync.Mutex
	jobs               map[jobLabels]int
	queued             map[string]time.Time // since when, by id
}

type jobLabels struct {
	state client.State
	user  string
}

// seconds are buckets for what takes from a few milliseconds to a day.
var seconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400}

// New makes the metrics of a daemon that begins.
func New(opt Options) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "callgate_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "callgate_" + name, Help: help, Buckets: buckets})
	}
	m := &Metrics{
		opt: opt, registry: prometheus.NewRegistry(), jobs: map[jobLabels]int{}, queued: map[string]time.Time{},
		submitted: counter("jobs_submitted_total", "Jobs that this daemon has taken.", "user"),
		retried:   counter("jobs_requeued_total", "Jobs that this daemon has put back into the queue, since their run was lost.", "user"),
		ended:     counter("jobs_ended_total", "Jobs whose end this daemon has stored, by why they ended.", "user", "cause"),
		processor: counter("job_cpu_seconds_total", "Processor time of the jobs that have ended here.", "user"),
		decided:   counter("job_calls_total", "System calls of jobs on this host that were denied, skipped, killed or logged.", "syscall", "policy", "verdict"),
		stops:     counter("job_stops_total", "System calls of jobs on this host that were sent to a supervisor, counted when the job ends.", "syscall", "policy"),
		wait:      histogram("job_wait_seconds", "Time from a job's submission to its first start here.", seconds),
		run:       histogram("job_run_seconds", "Time from a job's start to its end here.", seconds),
		memory:    histogram("job_max_rss_bytes", "Largest resident set of a single process of a job that has ended here.", prometheus.ExponentialBuckets(1<<20, 4, 9)),
		requests:  counter("api_requests_total", "Requests to the API, by operation and status.", "operation", "status"),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "callgate_api_request_seconds", Help: "Time to answer requests to the API that do not wait or follow.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"operation"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "callgate_build_info", Help: "What runs: 1.",
		ConstLabels: prometheus.Labels{"version": opt.Version.Version, "commit": opt.Version.Commit},
	})
	build.Set(1)
	m.registry.MustRegister(m.submitted, m.retried, m.ended, m.processor, m.decided, m.stops, m.wait, m.run, m.memory, m.requests, m.requestSeconds,
		build, now{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler gives the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Known takes what the store tells of a job: what it was before, nil if nobody
// knew of it, and what it is, nil if it was removed.
func (m *Metrics) Known(before, after *client.Job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before != nil {
		labels := jobLabels{before.State, before.User}
		if m.jobs[labels]--; m.jobs[labels] == 0 {
			delete(m.jobs, labels)
		}
		delete(m.queued, before.ID)
	}
	if after != nil {
		m.jobs[jobLabels{after.State, after.User}]++
		if after.State == client.Queued {
			m.queued[after.ID] = after.Submitted
		}
	}
}

// Changed counts what this daemon itself has made of a job, which is stored.
func (m *Metrics) Changed(before, after *client.Job) {
	switch {
	case before == nil:
		m.submitted.WithLabelValues(after.User).Inc()
	case after.State == client.Running && after.Attempt == 1:
		m.wait.Observe(after.Started.Sub(after.Submitted).Seconds())
	case after.State == client.Queued:
		m.retried.WithLabelValues(after.User).Inc()
	case after.State == client.Ended:
		m.end(before, after)
	}
}

func (m *Metrics) end(before, after *client.Job) {
	cause := ""
	if after.Result != nil {
		cause = one(string(after.Result.Cause), causes)
	}
	m.ended.WithLabelValues(after.User, cause).Inc()
	if before.State != client.Running {
		return
	}
	m.run.Observe(after.Ended.Sub(after.Started).Seconds())
	m.memory.Observe(float64(after.Usage.MaxRSSBytes))
	m.processor.WithLabelValues(after.User).Add(max(0, after.Usage.UserSeconds+after.Usage.SystemSeconds))
}

// Audit takes a line of the audit log of a job that runs on this host.
func (m *Metrics) Audit(job *client.Job, line []byte) {
	var e struct {
		Event, Syscall, Verdict, Policy string
		Stops                           uint64
		StopsBy                         map[string]uint64 `json:"stops_by_call"`
	}
	if json.Unmarshal(line, &e) != nil {
		return // the log itself has it, for whoever can read it
	}
	switch e.Event {
	case "call":
		m.decided.WithLabelValues(call(e.Syscall), m.policy(e.Policy), one(e.Verdict, verdicts)).Inc()
	case "end":
		first := ""
		if len(job.Policies) > 0 {
			first = job.Policies[0]
		}
		for name, n := range e.StopsBy {
			m.stops.WithLabelValues(call(name), m.policy(first)).Add(float64(n))
		}
	}
}

// policy is a policy's label.
func (m *Metrics) policy(name string) string {
	if m.opt.Known(name) {
		return name
	}
	return "own"
}

var (
	verdicts = []string{"allow", "log", "deny", "skip", "kill"}
	causes   = []string{string(client.ByExit), string(client.BySignal), string(client.ByLimit), string(client.ByKill), string(client.ByFailure), string(client.ByLoss)}
)

// one is text, if that is one of the list.
func one(text string, list []string) string {
	if slices.Contains(list, text) {
		return text
	}
	return "unknown"
}

// call is a system call's label.
func call(name string) string {
	if abi.Known(name) {
		return name
	}
	return "unknown"
}

// Request counts an answered request. operation is openapi.yaml's; follows says
// that the answer took as long as a job did.
func (m *Metrics) Request(operation string, status int, took time.Duration, follows bool) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	if !follows {
		m.requestSeconds.WithLabelValues(operation).Observe(took.Seconds())
	}
}
