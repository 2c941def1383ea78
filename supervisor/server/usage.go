package server

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"
)

// lookEvery is how old what was seen of the running jobs may be.
const lookEvery = time.Second

// usages are what the jobs that run here use, as last looked at in /proc.
type usages struct {
	mu   sync.Mutex
	at   time.Time
	seen map[int]client.Usage // by supervisor, who traces all of a job's tasks
}

// of gives what the job of a supervisor's uses that has begun at a time: what was seen before
// is of another job.
func (u *usages) of(supervisor int, begun time.Time) client.Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Since(u.at) > lookEvery || u.at.Before(begun) {
		u.look()
		u.at = time.Now()
	}
	return u.seen[supervisor]
}

func (u *usages) look() {
	u.seen = map[int]client.Usage{}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, e := range list {
		if name := e.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue // it has ended
		}
		if tracer := int(field(text, "TracerPid")); tracer != 0 {
			use := u.seen[tracer]
			use.MemoryBytes += field(text, "VmRSS") << 10
			use.MaxRSSBytes = max(use.MaxRSSBytes, field(text, "VmHWM")<<10)
			use.Processes++
			use.Threads += int(field(text, "Threads"))
			u.seen[tracer] = use
		}
	}
}

// field reads a number of /proc/PID/status (proc_pid_status(5)).
func field(text []byte, name string) int64 {
	_, rest, _ := bytes.Cut(text, []byte("\n"+name+":"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(line)), " kB"), 10, 64)
	return n
}

// live is a running job with what it uses now.
func (s *Server) live(r *store.Record) client.Job {
	j := r.Job
	if j.State != client.Running {
		return j
	}
	if run := s.runs.Get(j.ID); run != nil && run.Attempt == j.Attempt && !run.Over() {
		j.Usage = s.usages.of(run.Supervisor(), run.Taken())
	}
	j.Usage.WallSeconds = time.Since(j.Started).Seconds()
	return j
}

func (s *Server) liveJobs() []client.Job {
	var out []client.Job
	for _, r := range s.mine(client.Running) {
		out = append(out, s.live(r))
	}
	return out
}

// countCalls counts what the audit log of a run says, until the run is over.
func (s *Server) countCalls(r *store.Record, run *runs.Run) {
	f, err := s.runs.Journal(r.Job.ID, r.Job.Attempt)
	if err != nil {
		s.log.Warn("count a job's calls", "job", r.Job.ID, "err", err)
		return
	}
	defer f.Close()
	in := auditLines(f)
	for {
		grew, over := run.Grew(), run.Over()
		if err := in.each(func(line []byte) { s.metrics.Audit(&r.Job, line) }); err != nil {
			s.log.Warn("count a job's calls", "job", r.Job.ID, "err", err)
			return
		}
		if over {
			return
		}
		select {
		case <-s.lifetime.Done():
			return
		case <-grew:
		}
		select {
		case <-run.Done():
		case <-s.lifetime.Done():
			return
		case <-time.After(lookEvery):
		}
	}
}
