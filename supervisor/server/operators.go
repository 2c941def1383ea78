package server

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/journal"
	"callgate/supervisor/server/metrics"
	"callgate/supervisor/server/traces"
)

// observe makes what operators watch the daemon by.
func (s *Server) observe() (err error) {
	s.opt.Version.Host = s.host
	s.metrics = metrics.New(metrics.Options{
		Version: s.opt.Version, State: s.opt.Config.State, Live: s.liveJobs,
		Known: s.knownPolicy,
		Slots: func() int { cfg, _ := s.settings(); return cfg.Slots },
	})
	s.index.told = s.metrics.Known
	if endpoint := s.opt.Config.Traces; endpoint != "" {
		s.traces, err = traces.New(endpoint, s.opt.Version, s.log)
	}
	return err
}

// knownPolicy says whether a policy is not a job's own.
func (s *Server) knownPolicy(name string) bool {
	if base, ok := strings.CutPrefix(name, "builtin:"); ok {
		_, err := fs.Stat(s.opt.Loader.Builtin, base+".yaml")
		return err == nil
	}
	_, texts := s.settings()
	_, known := texts.Files[name]
	return known
}

// changed notes what this daemon has made of a job, now that it is stored.
func (s *Server) changed(before, after *client.Job) {
	s.metrics.Changed(before, after)
	if s.traces != nil {
		s.traces.Changed(before, after)
	}
}

func (s *Server) closeTraces() {
	if s.traces == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := s.traces.Close(ctx); err != nil {
		s.log.Warn("send the last traces", "err", err)
	}
}

// telemetry answers /metrics, for operators: it tells of all users.
func (s *Server) telemetry(w http.ResponseWriter, r *request) error {
	if !r.operates {
		return client.NewProblem(client.Forbidden, "metrics tell of all users, and are for operators")
	}
	s.metrics.Handler().ServeHTTP(w, r.Request)
	return nil
}

// Operate answers /metrics, /health and /ready to everyone, for a listener that only
// those can reach who may know.
func (s *Server) Operate() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	for path, handle := range map[string]func(http.ResponseWriter, *request) error{"GET /health": s.health, "GET /ready": s.readiness} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, &request{Request: r}); err != nil {
				writeProblem(w, s.asProblem(r, err))
			}
		})
	}
	return exact(mux)
}

// statusOf notes an answer's status.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (w *statusOf) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusOf) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// audited reads the audit lines of a journal.
type audited struct{ in *journal.Reader }

func auditLines(f io.ReaderAt) audited { return audited{journal.NewReader(f, 0)} }

func (a audited) each(do func(line []byte)) error {
	for {
		rec, err := a.in.Next()
		if errors.Is(err, journal.ErrPartial) {
			return nil
		}
		if err != nil {
			return err
		}
		if rec.Kind == journal.Audit {
			do(rec.Data)
		}
	}
}
