package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"callgate/supervisor/client"
	"callgate/supervisor/server/config"
	"callgate/supervisor/server/runs"
	"callgate/supervisor/server/store"
	"callgate/supervisor/server/strict"
	"callgate/supervisor/server/work"

	"golang.org/x/sys/unix"
)

const (
	drained    = 4                // times what a request may weigh is read of one that is refused
	bodyTime   = 30 * time.Second // for a whole body to come
	writeTime  = 30 * time.Second // for a client to take a piece of an answer
	storeTime  = 20 * time.Second
	largeInput = 64 << 10 // bytes of input that still go into a record
)

var keyPattern = regexp.MustCompile(`^[!-~]{1,255}$`)

func (s *Server) submit(w http.ResponseWriter, r *request) error {
	if err := s.takes(); err != nil {
		return err
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	req := new(client.Request)
	if err := s.body(w, r, req); err != nil {
		return err
	}
	as, err := runsAs(r.cfg, r.who, req.User)
	if err != nil {
		return err
	}
	rec, err := s.record(req, as)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	status := 201
	if rec, status, err = s.keep(ctx, r, rec, key); err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/jobs/"+rec.Job.ID)
	if status == 201 {
		return answer(w, status, &rec.Job) // to look for what it uses takes time, and finds nothing yet
	}
	return answer(w, status, s.public(rec))
}

func (r *request) key() (string, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" && len(r.Header.Values("Idempotency-Key")) == 0 {
		return "", nil
	}
	if !keyPattern.MatchString(key) {
		return "", malformed("Idempotency-Key", "up to 255 visible ASCII characters")
	}
	sum := sha256.Sum256([]byte(key))
	return fmt.Sprintf("%d.%s", r.who.uid, hex.EncodeToString(sum[:])), nil
}

// body reads a JSON body, strictly.
func (s *Server) body(w http.ResponseWriter, r *request, v any) error {
	coming := &coming{s: s, uid: r.who.uid, most: 2 * int64(r.cfg.Request)}
	defer coming.leave()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body := http.MaxBytesReader(w, r.Body, int64(r.cfg.Request))
	coming.r = body
	text, err := io.ReadAll(coming)
	if err != nil {
		var tooLarge *http.MaxBytesError
		var p *client.Problem
		if errors.As(err, &tooLarge) || errors.As(err, &p) {
			// Who sends it sees the answer only when all is sent: net/http's client, for one.
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, drained*int64(r.cfg.Request)))
			return err
		}
		return malformed("", "the body breaks off: "+err.Error())
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return strict.Read(text, v)
}

// coming is a body on its way. What all of one user's weigh is bounded: it is the
// daemon's memory. A slow one holds up nobody.
type coming struct {
	s    *Server
	uid  uint32
	r    io.Reader
	most int64
	n    int64
}

func (c *coming) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.s.mu.Lock()
	c.s.bodies[c.uid] += int64(n)
	over := c.s.bodies[c.uid] > c.most
	c.s.mu.Unlock()
	if over {
		return n, unavailable("this user sends too much at once")
	}
	return n, err
}

func (c *coming) leave() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.bodies[c.uid] -= c.n; c.s.bodies[c.uid] == 0 {
		delete(c.s.bodies, c.uid)
	}
}

// record makes a job of a request.
func (s *Server) record(req *client.Request, as *account) (*store.Record, error) {
	if err := check(req); err != nil {
		return nil, err
	}
	if req.Folder != "" && work.Within(s.opt.Config.State, req.Folder) {
		return nil, invalid("/folder", "is the daemon's own, or in it") // where links lead, the job's supervisor sees, with its user's rights
	}
	if err := s.checkPolicies(req); err != nil {
		return nil, err
	}
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	rec := &store.Record{
		UID: as.uid, GID: as.gid, Groups: as.groups, Home: as.home(), Request: *req, Digest: hex.EncodeToString(digest[:]),
		Job: client.Job{
			ID: newID(time.Now()), User: as.name(), State: client.Queued, Argv: req.Argv, Limits: req.Limits, Folder: req.Folder,
			Labels: req.Labels, Requires: req.Requires, Submitted: time.Now().UTC(), Retries: req.Retries,
		},
	}
	for _, p := range s.named(req) {
		rec.Job.Policies = append(rec.Job.Policies, p.Name)
	}
	rec.InputOpen = req.Stdin != nil && req.Stdin.Open
	if req.Folder != "" || rec.InputOpen {
		rec.Pinned = s.host
	}
	return rec, nil
}

// newID makes an id, which sorts by time.
func newID(now time.Time) string {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	id := make([]byte, 26)
	ms := uint64(now.UnixMilli())
	for i := 9; i >= 0; i-- {
		id[i] = digits[ms&31]
		ms >>= 5
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	for i, b := range random {
		id[10+i] = digits[b&31]
	}
	return string(id)
}

// keep stores a new job, or gives the one that the key stands for already.
func (s *Server) keep(ctx context.Context, r *request, rec *store.Record, key string) (*store.Record, int, error) {
	leave, refused := s.admit(r, rec)
	if refused == nil {
		defer leave()
	}
	if key != "" {
		rec.Key = key
		id, err := s.store.Key(ctx, key, rec.Job.ID, refused == nil)
		if err != nil {
			return nil, 0, err
		}
		if id != rec.Job.ID {
			rec.Job.ID = id
			if old, err := s.store.Get(ctx, id); err == nil {
				return same(old, rec)
			} else if !errors.Is(err, store.ErrNotFound) {
				return nil, 0, err
			}
		}
	}
	if refused != nil {
		return nil, 0, refused
	}
	err := s.enter(ctx, rec)
	if errors.Is(err, store.ErrConflict) && key != "" {
		old, err := s.store.Get(ctx, rec.Job.ID)
		if err != nil {
			return nil, 0, err
		}
		return same(old, rec)
	}
	return rec, 201, err
}

// enter stores a new job, and starts it if its turn is now: then it is stored with its claim.
func (s *Server) enter(ctx context.Context, rec *store.Record) error {
	queued := rec.Job
	picked := s.pick(rec)
	now := picked == rec
	var start func() (*runs.Run, error)
	var drop func()
	switch {
	case now:
		s.stake(rec)
		start, drop = s.ahead(rec)
	case picked != nil:
		s.attempt(picked)
	}
	if err := s.create(ctx, rec); err != nil {
		if now {
			drop()
			s.leave(rec.Job.ID) // if it is stored after all, it is found to have no run
		}
		return err
	}
	s.index.put(rec)
	s.changed(nil, &queued)
	if !now {
		return nil
	}
	s.changed(&queued, &rec.Job)
	s.all.Go(func() {
		defer s.leave(rec.Job.ID)
		run, err := start()
		s.conduct(s.lifetime, rec, run, err)
	})
	return nil
}

func same(old, rec *store.Record) (*store.Record, int, error) {
	if old.Digest != rec.Digest || old.UID != rec.UID {
		return nil, 0, client.NewProblem(client.KeyReused, "")
	}
	return old, 200, nil
}

// create stores the record, and apart from it what is too large.
func (s *Server) create(ctx context.Context, rec *store.Record) error {
	whole := rec.Request
	input, err := json.Marshal(input{whole.Files, whole.Stdin, whole.Policies})
	if err != nil {
		return err
	}
	if len(input) > largeInput {
		if err := s.store.PutInput(ctx, rec.Job.ID, input); err != nil {
			return err
		}
		rec.HasInput, rec.Request.Files, rec.Request.Stdin, rec.Request.Policies = true, nil, nil, nil
	}
	return s.store.Create(ctx, rec)
}

// input is what of a request may be large.
type input struct {
	Files    []client.File
	Stdin    *client.Stdin
	Policies []client.Policy
}

// room says that the disk has room for another job.
func room(cfg *config.Config) error {
	var st unix.Statfs_t
	if err := unix.Statfs(cfg.State, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", cfg.State, err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < int64(cfg.Reserve) {
		p := client.NewProblem(client.Full, fmt.Sprintf("%s are free, and %s are held back for what runs", sizeText(free), sizeText(int64(cfg.Reserve))))
		p.Hint = "remove jobs that have ended"
		return p
	}
	return nil
}

// runnable says that some host could run the job: one that is this host's alone, this one.
func (s *Server) runnable(cfg *config.Config, rec *store.Record) error {
	name, lacks := lacking(cfg, rec)
	if !lacks || len(cfg.NATS) > 0 && rec.Pinned == "" {
		return nil
	}
	return invalid("/requires/"+strict.Pointer(name), "only "+s.host+" could run the job, and it has no label "+name+"="+rec.Job.Requires[name])
}

// admit sees to labels, disk and quotas. Until leave is called, the job counts.
func (s *Server) admit(r *request, rec *store.Record) (leave func(), err error) {
	if err := s.runnable(r.cfg, rec); err != nil {
		return nil, err
	}
	if err := room(r.cfg); err != nil {
		return nil, err
	}
	quota := quotaOf(r.cfg, rec.UID, rec.GID, rec.Groups)
	queued, running, stored := s.index.has(rec.UID)
	s.mu.Lock()
	defer s.mu.Unlock()
	coming := s.coming[rec.UID]
	switch {
	case queued+running+coming >= quota.Queued:
		return nil, client.NewProblem(client.Quota, fmt.Sprintf("%d jobs have not ended, and no more are allowed", queued+running))
	case stored+coming >= quota.Stored:
		p := client.NewProblem(client.Quota, fmt.Sprintf("%d jobs are stored, and no more are allowed", stored))
		p.Hint = "remove jobs that have ended"
		return nil, p
	}
	s.coming[rec.UID]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.coming[rec.UID]--; s.coming[rec.UID] == 0 {
			delete(s.coming, rec.UID)
		}
	}, nil
}
