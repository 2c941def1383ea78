package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/store"
)

// request is one of the API's: an HTTP request, who it comes from, and its
// query, in which there is nothing that is not expected.
type request struct {
	*http.Request
	who   *account
	cfg   *config.Config
	query url.Values

	operates bool // who may see and end everybody's jobs
}

// route is one operation of openapi.yaml.
type route struct {
	name         string // operationId
	method, path string
	params       []string // of the query
	handle       func(w http.ResponseWriter, r *request) error
}

func (s *Server) routes() []route {
	return []route{
		{"submit", "POST", "/v1/jobs", nil, s.submit},
		{"list", "GET", "/v1/jobs", []string{"state", "user", "host", "label", "limit", "page"}, s.list},
		{"inspect", "GET", "/v1/jobs/{id}", []string{"wait_seconds"}, s.inspect},
		{"remove", "DELETE", "/v1/jobs/{id}", nil, s.delete},
		{"kill", "POST", "/v1/jobs/{id}/kill", nil, s.kill},
		{"signal", "POST", "/v1/jobs/{id}/signal", nil, s.signal},
		{"write", "POST", "/v1/jobs/{id}/stdin", []string{"offset", "end"}, s.stdin},
		{"events", "GET", "/v1/jobs/{id}/events", []string{"after", "follow", "earlier", "kind"}, s.events},
		{"stdout", "GET", "/v1/jobs/{id}/stdout", []string{"offset", "follow"}, s.stdout},
		{"stderr", "GET", "/v1/jobs/{id}/stderr", []string{"offset", "follow"}, s.stderr},
		{"files", "GET", "/v1/jobs/{id}/files", nil, s.files},
		{"file", "GET", "/v1/jobs/{id}/file", []string{"path"}, s.file},
		{"hosts", "GET", "/v1/hosts", nil, s.listHosts},
		{"version", "GET", "/v1/version", nil, s.version},
		{"health", "GET", "/health", nil, s.health},
		{"ready", "GET", "/ready", nil, s.readiness},
		{"metrics", "GET", "/metrics", nil, s.telemetry},
	}
}

// Handler serves the API. Its requests must come by Serve's connections.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, rt := range s.routes() {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, &rt) })
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for path, allowed := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			for _, m := range allowed {
				w.Header().Add("Allow", m)
			}
			writeProblem(w, client.NewProblem(client.BadMethod, r.Method+" "+r.URL.Path))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeProblem(w, notFound()) })
	return exact(mux)
}

// exact has a path that is not written plainly, with // or .. in it, be none: the mux would
// redirect to what it makes of it.
func exact(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != r.URL.Path {
			writeProblem(w, notFound())
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt *route) {
	cfg, _ := s.settings()
	req := &request{Request: r, cfg: cfg}
	status := &statusOf{w, 200}
	w = status
	begun := time.Now()
	defer func() {
		follows := r.URL.Query().Has("follow") || r.URL.Query().Has("wait_seconds") || rt.name == "write"
		s.metrics.Request(rt.name, status.status, time.Since(begun), follows)
	}()
	err := func() (err error) {
		if req.who, err = peerOf(r); err != nil {
			return err
		}
		req.operates = req.who.operates(cfg)
		if req.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return malformed("", "the query is not understood: "+err.Error())
		}
		for name, values := range req.query {
			if !slices.Contains(rt.params, name) {
				return malformed(name, "there is no such parameter here")
			}
			if len(values) > 1 && name != "label" && name != "kind" {
				return malformed(name, "is given twice")
			}
		}
		return rt.handle(w, req)
	}()
	if errors.Is(err, errStarted) {
		panic(http.ErrAbortHandler) // the answer has begun: end it so that the client sees that it is cut off
	}
	if err != nil {
		writeProblem(w, s.asProblem(r, err))
	}
}

// errStarted is what a handler gives whose answer cannot be finished.
var errStarted = errors.New("the answer was cut off")

// Serve serves the API on a unix socket until Shutdown of the server that it
// gives, whose requests end with ctx.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) (srv *http.Server, ended <-chan error) {
	srv = &http.Server{
		Handler: s.Handler(), ConnContext: withPeer, BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	done := make(chan error, 1)
	go func() {
		err := srv.Serve(&listener{UnixListener: l, most: s.connections, count: map[uint32]int{}})
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		done <- err
	}()
	return srv, done
}

func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	_, _ = w.Write(append(b, '\n')) // a client that is gone is told nothing
	return nil
}

// number reads a whole number of the query.
func (r *request) number(name string, least, most, otherwise int64) (int64, error) {
	text := r.query.Get(name)
	if !r.query.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, malformed(name, fmt.Sprintf("%q is no number from %d to %d", text, least, most))
	}
	return n, nil
}

func (r *request) truth(name string) (bool, error) {
	switch text := r.query.Get(name); {
	case !r.query.Has(name), text == "false":
		return false, nil
	case text == "true":
		return true, nil
	}
	return false, malformed(name, "is true or false")
}

var idPattern = regexp.MustCompile(`^[a-z0-9]{8,32}$`)

// job gives the job of the path, if who asks may know of it.
func (s *Server) job(r *request) (*store.Record, <-chan struct{}, error) {
	id := r.PathValue("id")
	if !idPattern.MatchString(id) {
		return nil, nil, notFound()
	}
	rec, change := s.index.get(id)
	if rec == nil && s.store.Shared() {
		found, err := s.store.Get(r.Context(), id) // another daemon may have it since a moment
		if err != nil {
			return nil, nil, err
		}
		s.index.put(found)
		rec, change = s.index.get(id)
	}
	if rec == nil || !r.sees(rec) {
		return nil, nil, notFound()
	}
	return rec, change, nil
}

func (r *request) sees(rec *store.Record) bool { return rec.UID == r.who.uid || r.operates }

func (s *Server) listHosts(w http.ResponseWriter, r *request) error {
	return answer(w, 200, &client.Hosts{Hosts: s.hosts.list(), Queued: s.index.queued()})
}

func (s *Server) version(w http.ResponseWriter, r *request) error {
	v := s.opt.Version
	v.API, v.Host = "1", s.host
	return answer(w, 200, &v)
}

func (s *Server) health(w http.ResponseWriter, r *request) error { return ok(w) }

func (s *Server) readiness(w http.ResponseWriter, r *request) error {
	err := s.takes()
	if err == nil {
		cfg, _ := s.settings()
		if full := room(cfg); full != nil {
			err = unavailable(full.Error())
		}
	}
	if err != nil {
		return err
	}
	return ok(w)
}

func ok(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
	return nil
}

// takes says why no jobs are taken now.
func (s *Server) takes() error {
	s.mu.Lock()
	ready, stopping := s.ready, s.stopping
	s.mu.Unlock()
	switch {
	case stopping:
		return unavailable("the daemon stops")
	case !ready:
		return unavailable("the daemon starts")
	}
	if err := s.store.Alive(); err != nil {
		return unavailable(err.Error())
	}
	return nil
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
