package metrics

import (
	"time"

	"callgate/supervisor/client"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// now are the metrics that are looked up when they are asked for.
type now struct{ m *Metrics }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("callgate_"+name, help, labels, nil)
}

var (
	jobsNow      = describe("jobs", "Jobs in the store. Daemons that share one all tell the same.", "state", "user")
	oldestNow    = describe("queue_oldest_seconds", "How long the oldest queued job has waited, 0 if none does.")
	slotsNow     = describe("slots", "Jobs that this host runs at once.")
	usedNow      = describe("slots_used", "Jobs that run on this host.")
	memoryNow    = describe("running_memory_bytes", "Memory that the jobs running on this host hold.", "user")
	processesNow = describe("running_processes", "Processes of the jobs running on this host.", "user")
	freeNow      = describe("state_free_bytes", "Room left in the file system of the daemon's folder.")
)

func (now) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsNow, oldestNow, slotsNow, usedNow, memoryNow, processesNow, freeNow} {
		c <- d
	}
}

func (n now) Collect(c chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	n.m.mu.Lock()
	for labels, count := range n.m.jobs {
		gauge(jobsNow, float64(count), string(labels.state), labels.user)
	}
	oldest := 0.
	for _, since := range n.m.queued {
		oldest = max(oldest, time.Since(since).Seconds())
	}
	n.m.mu.Unlock()
	gauge(oldestNow, oldest)
	gauge(slotsNow, float64(n.m.opt.Slots()))
	n.live(gauge, n.m.opt.Live())
	var fs unix.Statfs_t
	if err := unix.Statfs(n.m.opt.State, &fs); err != nil {
		c <- prometheus.NewInvalidMetric(freeNow, err)
		return
	}
	gauge(freeNow, float64(fs.Bavail)*float64(fs.Bsize))
}

func (now) live(gauge func(*prometheus.Desc, float64, ...string), jobs []client.Job) {
	memory, processes := map[string]int64{}, map[string]int{}
	for i := range jobs {
		memory[jobs[i].User] += jobs[i].Usage.MemoryBytes
		processes[jobs[i].User] += jobs[i].Usage.Processes
	}
	gauge(usedNow, float64(len(jobs)))
	for user := range memory {
		gauge(memoryNow, float64(memory[user]), user)
		gauge(processesNow, float64(processes[user]), user)
	}
}
