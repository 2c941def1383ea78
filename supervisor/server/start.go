package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"callgate/policy"
	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/handover"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"
)

// start starts the supervisor of a claimed job.
func (s *Server) start(ctx context.Context, r *store.Record) (*runs.Run, error) {
	req, err := s.request(ctx, r)
	if err != nil {
		return nil, err
	}
	return launch(s.prepare(r, req))
}

func (s *Server) prepare(r *store.Record, req *client.Request) (*runs.Prepared, error) {
	j, err := s.toRun(r, req)
	if err != nil {
		return nil, err
	}
	return s.runs.Prepare(j, r.Job.Attempt)
}

func launch(p *runs.Prepared, err error) (*runs.Run, error) {
	if err != nil {
		return nil, err
	}
	return p.Start()
}

// ahead prepares the start of a claimed job while that is being stored. Once it is, the
// job is started; else it is dropped.
func (s *Server) ahead(r *store.Record) (start func() (*runs.Run, error), drop func()) {
	if r.Key != "" { // there may be a run of that job already, by the same submission
		return func() (*runs.Run, error) { return s.start(s.lifetime, r) }, func() {}
	}
	var p *runs.Prepared
	var err error
	done := make(chan struct{})
	own := *r
	s.all.Go(func() {
		defer close(done)
		p, err = s.prepare(&own, &own.Request)
	})
	start = func() (*runs.Run, error) {
		<-done
		return launch(p, err)
	}
	drop = func() {
		if <-done; err == nil {
			p.Drop()
		}
	}
	return start, drop
}

// request is what was asked for, whole.
func (s *Server) request(ctx context.Context, r *store.Record) (*client.Request, error) {
	req := r.Request
	if !r.HasInput {
		return &req, nil
	}
	b, err := s.store.Input(ctx, r.Job.ID)
	if err != nil {
		return nil, err
	}
	var in input
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("the job's stored input: %w", err)
	}
	req.Files, req.Stdin, req.Policies = in.Files, in.Stdin, in.Policies
	return &req, nil
}

// toRun is what is to be run, with this host's policies and limits as they are now.
func (s *Server) toRun(r *store.Record, req *client.Request) (*runs.Job, error) {
	cfg, texts := s.settings()
	set, err := bring(texts, s.named(req))
	if err != nil {
		return nil, err
	}
	for _, name := range cfg.Ceiling {
		set.names = append(set.names, texts.Source(name))
	}
	spec := &handover.Spec{
		ID: r.Job.ID, Argv: req.Argv, Env: environ(req.Env, r), Files: req.Files, Collect: req.Collect,
		Policies: set.names, Ceiling: len(cfg.Ceiling), Texts: set.texts, State: cfg.State, InputOpen: req.Stdin != nil && req.Stdin.Open,
		Limits: limits(&cfg.Limits, req.Limits), AuditBytes: int64(cfg.Limits.Audit),
		FilesBytes: int64(cfg.Limits.Files), Reserve: int64(cfg.Reserve) / 2,
		Work: req.Folder,
	}
	if req.Folder == "" || req.Copy {
		spec.Own, spec.Work, spec.CopyOf = true, s.runs.Work(r.Job.ID, r.Job.Attempt), req.Folder
	}
	spec.OutputBytes = spec.Limits.OutputBytes
	j := &runs.Job{Spec: spec, As: handover.Identity{UID: r.UID, GID: r.GID, Groups: r.Groups}}
	if req.Stdin != nil {
		j.Stdin = req.Stdin.Bytes()
	}
	if r.UID != 0 && os.Geteuid() == 0 { // the cgroup is made as root
		j.Fresh = spec.Limits.MemoryBytes > 0 || s.boundsMemory(texts, set)
	}
	return j, nil
}

// boundsMemory says whether some policy has a limit on memory.
func (s *Server) boundsMemory(texts *config.Texts, set *brought) bool {
	for _, name := range set.names {
		if texts.Bounded[name] {
			return true
		}
	}
	own, err := s.own(texts, set)
	limits := own.Limits()
	return err != nil || limits.Has(policy.Memory)
}

// limits are the tightest of the host's and a job's.
func limits(host *config.Limits, asked *client.Limits) client.Limits {
	if asked == nil {
		asked = &client.Limits{}
	}
	return client.Limits{
		WallSeconds: least(time.Duration(host.WallTime).Seconds(), asked.WallSeconds),
		CPUSeconds:  least(time.Duration(host.CPUTime).Seconds(), asked.CPUSeconds),
		MemoryBytes: least(int64(host.Memory), asked.MemoryBytes),
		Processes:   least(host.Processes, asked.Processes),
		OpenFiles:   least(host.OpenFiles, asked.OpenFiles),
		FileBytes:   least(int64(host.FileSize), asked.FileBytes),
		OutputBytes: least(int64(host.Output), asked.OutputBytes),
		DiskBytes:   least(int64(host.Disk), asked.DiskBytes),
		Inodes:      least(int64(host.Inodes), asked.Inodes),
	}
}

// least is the smaller of two limits, where 0 and less is none.
func least[T int | int64 | float64](a, b T) T {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ is the environment that the policies get to see.
func environ(asked map[string]string, r *store.Record) []string {
	env := map[string]string{"PATH": defaultPath, "HOME": r.Home, "USER": r.Job.User}
	for name, value := range asked {
		env[name] = value
	}
	var lines []string
	for name, value := range env {
		lines = append(lines, name+"="+value)
	}
	slices.SortFunc(lines, strings.Compare)
	return lines
}
