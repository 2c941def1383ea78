package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"callgate/supervisor/client"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Record is a job, as it is kept.
type Record struct {
	Job     client.Job
	UID     uint32
	GID     uint32
	Groups  []uint32
	Home    string
	Request client.Request // without what is in Inputs
	// HasInput says that stdin, files and policies of Request are kept apart (Input).
	HasInput  bool `json:",omitempty"`
	InputOpen bool `json:",omitempty"` // more of stdin comes while it runs
	Key       string
	Digest    string // of the request, as it came
	Pinned    string `json:",omitempty"` // the only host that may run it
	Kill      bool   `json:",omitempty"` // it was asked to end
	Early     int    `json:",omitempty"` // how often its supervisor ended before the command began
	Claim     Claim

	Revision uint64 `json:"-"` // of the record, as Get and Watch gave it
	Light    bool   `json:"-"` // it is not all that is stored
	Cut      bool   `json:"-"` // Job.Argv is only its beginning
}

// Claim says who runs a job.
type Claim struct {
	Host  string
	Token string // of this attempt, nobody else's
	Boot  string // of the host's kernel: since it is another, the host has crashed
}

// Ended says whether the job is over.
func (r *Record) Ended() bool { return r.Job.State == client.Ended }

// Holds says whether the job runs by the claim of that token.
func (r *Record) Holds(token string) bool {
	return r.Job.State == client.Running && r.Claim.Token == token
}

// markerTime is how long the store remembers that something was removed: for as
// long as a daemon may not have heard of it.
const markerTime = time.Hour

// Create stores a new job.
func (s *Store) Create(ctx context.Context, r *Record) error {
	return s.set(ctx, r, func(ctx context.Context, b []byte) (uint64, error) { return s.jobs.Create(ctx, r.Job.ID, b) })
}

// Update stores a changed job, if nobody else has changed it since r.Revision.
// Another error than ErrConflict leaves open whether it was stored.
func (s *Store) Update(ctx context.Context, r *Record) error {
	return s.set(ctx, r, func(ctx context.Context, b []byte) (uint64, error) {
		return s.jobs.Update(ctx, r.Job.ID, b, r.Revision)
	})
}

func (s *Store) set(ctx context.Context, r *Record, put func(context.Context, []byte) (uint64, error)) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	rev, err := put(ctx, b)
	switch {
	case errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyNotFound):
		return ErrConflict
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case err != nil:
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return ErrConflict
		}
		return fmt.Errorf("store the job: %w", err)
	}
	r.Revision = rev
	return nil
}

// Get gives a job as it is stored now.
func (s *Store) Get(ctx context.Context, id string) (*Record, error) {
	value, revision, err := s.get(ctx, s.jobs, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrInvalidKey) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read the job: %w", err)
	}
	return decode(id, value, revision)
}

func decode(id string, value []byte, revision uint64) (*Record, error) {
	r := new(Record)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, fmt.Errorf("a stored job is damaged: %s: %w", id, err)
	}
	r.Revision = revision
	return r, nil
}

// get reads a key from whichever replica answers. One that lags does not know yet what was
// just stored: what is not there for it the leader is asked for.
func (s *Store) get(ctx context.Context, kv jetstream.KeyValue, key string) (value []byte, revision uint64, err error) {
	e, err := kv.Get(ctx, key)
	if err == nil {
		return e.Value(), e.Revision(), nil
	}
	if !s.Shared() || !errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, err
	}
	leader, err := s.conn.JetStream()
	if err != nil {
		return nil, 0, err
	}
	m, err := leader.GetLastMsg("KV_"+kv.Bucket(), "$KV."+kv.Bucket()+"."+key, nats.Context(ctx))
	switch {
	case errors.Is(err, nats.ErrMsgNotFound):
		return nil, 0, jetstream.ErrKeyNotFound
	case err != nil:
		return nil, 0, err
	case m.Header.Get("KV-Operation") != "" || m.Header.Get(jetstream.MarkerReasonHeader) != "": // it was removed
		return nil, 0, jetstream.ErrKeyNotFound
	}
	return m.Data, m.Sequence, nil
}

// Remove forgets a job, if nobody has changed it since r.Revision, with its
// input, its key and what is shared of its output.
func (s *Store) Remove(ctx context.Context, r *Record) error {
	if err := s.jobs.Purge(ctx, r.Job.ID, jetstream.LastRevision(r.Revision), jetstream.PurgeTTL(markerTime)); err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return ErrConflict
		}
		return fmt.Errorf("remove the job: %w", err)
	}
	var errs []error
	if r.HasInput {
		errs = append(errs, absent(s.inputs.Delete(ctx, r.Job.ID)))
	}
	if r.Key != "" {
		errs = append(errs, absent(s.keys.Purge(ctx, r.Key, jetstream.PurgeTTL(markerTime))))
	}
	if s.Shared() {
		errs = append(errs, s.purgeFiles(ctx, r.Job.ID, r.Job.Attempt), s.purgeLog(ctx, r.Job.ID))
	}
	return errors.Join(errs...)
}

// absent takes it for success that what is to go is not there.
func absent(err error) error {
	if errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	return err
}

// Watch calls each with every job that there is, then ready, then each with
// every change, in the order of the changes. A job that is removed comes as nil,
// with its id and the revision of that. It returns when ctx ends.
func (s *Store) Watch(ctx context.Context, each func(id string, revision uint64, r *Record), ready func()) error {
	return watch(ctx, s.jobs, ready, func(e jetstream.KeyValueEntry) {
		if e.Operation() != jetstream.KeyValuePut {
			each(e.Key(), e.Revision(), nil)
		} else if r, err := decode(e.Key(), e.Value(), e.Revision()); err == nil { // a damaged one is nobody's to run
			each(e.Key(), e.Revision(), r)
		}
	})
}

func watch(ctx context.Context, kv jetstream.KeyValue, ready func(), each func(jetstream.KeyValueEntry)) error {
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch the store: %w", err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-w.Updates():
			switch {
			case !open:
				return errors.New("watch the store: it ended")
			case e == nil:
				ready()
			default:
				each(e)
			}
		}
	}
}

// Key gives the job that a user's key stands for: id, or another that has had it
// before. Only with keep does the key stand for id from now on.
func (s *Store) Key(ctx context.Context, key, id string, keep bool) (string, error) {
	if keep {
		_, err := s.keys.Create(ctx, key, []byte(id))
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return "", fmt.Errorf("store the key: %w", err)
		}
	}
	value, _, err := s.get(ctx, s.keys, key)
	if !keep && errors.Is(err, jetstream.ErrKeyNotFound) {
		return id, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the key: %w", err)
	}
	return string(value), nil
}

// PutInput keeps what is too large for a record.
func (s *Store) PutInput(ctx context.Context, id string, input []byte) error {
	if _, err := s.inputs.PutBytes(ctx, id, input); err != nil {
		return fmt.Errorf("store the job's input: %w", err)
	}
	return nil
}

// Input gives it back.
func (s *Store) Input(ctx context.Context, id string) ([]byte, error) {
	b, err := s.inputs.GetBytes(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the job's input: %w", err)
	}
	return b, nil
}

// Beat says that a host is alive.
func (s *Store) Beat(ctx context.Context, h *client.Host) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := s.hosts.Put(ctx, h.Name, b); err != nil {
		return fmt.Errorf("tell that this host is alive: %w", err)
	}
	return nil
}

// WatchHosts calls each with every host, and with every sign of life. heard is
// when the store got it, by its own clock. A host comes as nil whose record was
// damaged, or removed by hand.
func (s *Store) WatchHosts(ctx context.Context, each func(name string, h *client.Host, heard time.Time), ready func()) error {
	return watch(ctx, s.hosts, ready, func(e jetstream.KeyValueEntry) {
		h := new(client.Host)
		if e.Operation() != jetstream.KeyValuePut || json.Unmarshal(e.Value(), h) != nil {
			h = nil
		}
		each(e.Key(), h, e.Created())
	})
}
