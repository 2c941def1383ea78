// Package server is callgated: it takes jobs by the API of openapi.yaml, keeps
// them in a store, runs them on this host, and tells what became of them.
//
// What is true of a job is its record in the store. A daemon that starts reads the
// records, finds the runs of its own that are still going on, and settles
// those that ended without it. A job is claimed in the store before it is started,
// and started once for each claim; one whose turn is at once is stored with its claim, while
// its start is prepared.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"callgate/policy"
	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/metrics"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"
	"callgate/supervisor/server/traces"

	"golang.org/x/sys/unix"
)

// Options are what a server is made of.
type Options struct {
	Config  *config.Config
	Loader  policy.Loader // has the built-in policies
	Program string        // the callgate that supervises jobs
	Version client.Version
	Log     *slog.Logger
}

// Server is a daemon.
type Server struct {
	opt      Options
	log      *slog.Logger
	host     string // this one's name
	boot     string // of this host's kernel
	store    *store.Store
	runs     *runs.Host
	index    *index
	hosts    *hosts
	metrics  *metrics.Metrics
	traces   *traces.Traces // nil: none
	usages   usages
	wake     chan struct{}
	lock     *os.File
	stop     context.CancelFunc
	lifetime context.Context // ends with Close
	all      sync.WaitGroup  // goroutines that end with the server
	heavy    chan struct{}   // there is more of ended jobs than is to be kept, perhaps
	clearing sync.Mutex      // of who tries again to remove what is left, one after the other

	picking sync.Mutex // of who picks the next job

	mu       sync.Mutex
	cfg      *config.Config // as last loaded
	texts    *config.Texts
	busy     map[string]*store.Record // jobs that this daemon claims, runs or settles; nil: that it did not pick
	stopping bool
	ready    bool
	coming   map[uint32]int   // jobs that are being stored, by user
	bodies   map[uint32]int64 // bytes of requests that are being read, by user
}

// New opens the store and takes up what the daemon before has left.
func New(ctx context.Context, opt Options) (*Server, error) {
	s := &Server{
		opt:    opt,
		log:    opt.Log,
		host:   opt.Config.Host,
		cfg:    opt.Config,
		wake:   make(chan struct{}, 1),
		heavy:  make(chan struct{}, 1),
		busy:   map[string]*store.Record{},
		coming: map[uint32]int{},
		bodies: map[uint32]int64{},
	}
	s.index = newIndex(s.prod)
	s.hosts = newHosts(s.host)
	texts, err := opt.Config.LoadPolicies(opt.Loader)
	if err != nil {
		return nil, err
	}
	s.texts = texts
	if err := s.observe(); err != nil {
		return nil, err
	}
	if s.boot, err = runs.BootID(); err != nil {
		return nil, fmt.Errorf("which boot this is: %w", err)
	}
	if s.runs, err = runs.New(opt.Config.State, opt.Program); err != nil {
		return nil, fmt.Errorf("the daemon's folder: %w", err)
	}
	if err := s.lockState(); err != nil {
		return nil, err
	}
	s.store, err = store.Open(ctx, store.Options{
		Dir: filepath.Join(opt.Config.State, "nats"), URLs: opt.Config.NATS, Prefix: opt.Config.Prefix,
		Replicas: opt.Config.Replica, Keep: time.Duration(opt.Config.Keep),
	})
	if err != nil {
		_ = s.lock.Close()
		return nil, err
	}
	s.runs.Earlier = !s.store.Shared() // which else has them
	if err := s.begin(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Patiently tries something for a second. What a daemon held that was killed, a process
// that it was about to start can hold a moment longer: until execve (fork(2), open(2)).
func Patiently(try func() bool) bool {
	for range 100 {
		if try() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return try()
}

// lockState sees to it that the folder has one daemon.
func (s *Server) lockState() error {
	name := filepath.Join(s.opt.Config.State, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	taken := Patiently(func() bool {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		return err == nil
	})
	if !taken {
		_ = f.Close()
		return fmt.Errorf("%s: another callgated has this folder: %w", name, err)
	}
	s.lock = f
	return nil
}

// begin starts what goes on until Close, and returns when all records are
// known, or starting ends.
func (s *Server) begin(starting context.Context) error {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.lifetime = stop, ctx
	known := make(chan struct{})
	var once sync.Once
	s.watch(ctx, "jobs", func() error {
		return s.store.Watch(ctx, s.heard, func() { once.Do(func() { close(known) }) })
	})
	s.watch(ctx, "hosts", func() error { return s.store.WatchHosts(ctx, s.hosts.heard, func() {}) })
	if err := s.store.Answer(s.host, s.answer); err != nil {
		return err
	}
	select {
	case <-known:
	case <-starting.Done():
		return context.Cause(starting)
	case <-time.After(time.Minute):
		return errors.New("the store does not tell its jobs")
	}
	if err := s.runs.Spares(s.opt.Config.Spares); err != nil {
		s.log.Warn("remove what a daemon before has left", "err", err)
	}
	s.recover()
	s.all.Go(func() { s.beat(ctx) })
	s.all.Go(func() { s.schedule(ctx) })
	s.all.Go(func() { s.tidy(ctx) })
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return nil
}

// watch keeps a watch on the store for as long as ctx lasts.
func (s *Server) watch(ctx context.Context, what string, run func() error) {
	s.all.Go(func() {
		for {
			err := run()
			if ctx.Err() != nil {
				return
			}
			s.log.Warn("watching the store: trying again", "what", what, "err", err)
			time.Sleep(time.Second)
		}
	})
}

// heard takes what the store tells of a job.
func (s *Server) heard(id string, revision uint64, r *store.Record) {
	if r == nil {
		s.index.drop(id, revision)
		return
	}
	s.index.put(r)
	if r.Kill && r.Job.State == client.Running && r.Claim.Host == s.host {
		s.killRun(id)
	}
}

// Alive returns when what every request needs is nobody's: in a daemon that is
// stuck it does not.
func (s *Server) Alive() {
	_, _ = s.settings()
	_ = s.index.queued()
	_ = s.hosts.list()
}

func (s *Server) killRun(id string) {
	run := s.runs.Get(id)
	if run == nil {
		return // it is being started, and then looked at again
	}
	select {
	case <-run.Done():
	default:
		if err := run.Kill(); err != nil {
			s.log.Error("kill a job", "job", id, "err", err)
		}
	}
}

func (s *Server) prod() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// settings are the config and policies as last loaded.
func (s *Server) settings() (*config.Config, *config.Texts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg, s.texts
}

// Reload takes over what can change while the daemon runs: policies, ceiling, accounts,
// quotas, limits, slots, labels. Jobs that run keep what they have. waits are the keys of
// what is different and cannot.
func (s *Server) Reload(cfg *config.Config) (waits []string, err error) {
	texts, err := cfg.LoadPolicies(s.opt.Loader)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.cfg, waits = cfg.Within(s.cfg)
	s.texts = texts
	s.mu.Unlock()
	s.prod()
	return waits, nil
}

// Stop takes no more jobs and starts none. With the config's stop: finish it
// waits for running ones for as long as grace says; with kill, and after that
// time, it kills them. With leave they go on, and the next daemon finds them.
func (s *Server) Stop(ctx context.Context) {
	s.mu.Lock()
	s.stopping = true
	cfg := s.cfg
	s.mu.Unlock()
	if cfg.Stop == "leave" {
		return
	}
	if cfg.Stop == "finish" {
		s.settled(ctx, time.Duration(cfg.Grace))
	}
	for _, r := range s.mine(client.Running) {
		s.log.Info("killing a job: the daemon stops", "job", r.Job.ID)
		s.killRun(r.Job.ID)
	}
	s.settled(ctx, 10*time.Second)
}

// settled waits until no job of this host's runs.
func (s *Server) settled(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for _, r := range s.mine(client.Running) {
		for {
			now, change := s.index.get(r.Job.ID)
			if now == nil || now.Job.State != client.Running {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-change:
			}
		}
	}
}

// mine are this host's jobs in a state.
func (s *Server) mine(state client.State) []*store.Record {
	return s.index.all(func(r *store.Record) bool { return r.Job.State == state && r.Claim.Host == s.host })
}

// Close ends the server. Jobs that run go on.
func (s *Server) Close() {
	if s.stop != nil {
		s.stop()
	}
	s.store.Close()
	s.all.Wait()
	s.runs.Close()
	s.closeTraces()
	_ = s.lock.Close()
}
