// Package store keeps jobs in NATS JetStream: in a server that this process has
// of its own, or in servers that several daemons share.
//
// There is one record for each job, which every change compares and sets; the queue is
// the records of queued jobs. So what one daemon knows of a job, all know, and
// of several that want to run it one does.
//
// # Limits
//
// A change is stored when it is answered. In a server of this process it is on
// the disk by then (fsync(2)); in shared ones that is for their own sync_interval
// and replicas to say.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options say where jobs are kept.
type Options struct {
	Dir      string   // of the server of this process; used where there are no URLs
	URLs     []string // of servers to share
	Prefix   string   // of the names of what is kept there
	Replicas int
	Keep     time.Duration // how long a shared log is kept
}

// Store is where jobs are kept.
type Store struct {
	own    *server.Server // nil: shared
	conn   *nats.Conn
	js     jetstream.JetStream
	opt    Options
	jobs   jetstream.KeyValue // records, by job
	keys   jetstream.KeyValue // jobs, by user and key
	hosts  jetstream.KeyValue // signs of life, by host
	inputs jetstream.ObjectStore
	files  jetstream.ObjectStore // collected files; shared only
}

// Errors that callers tell apart.
var (
	ErrConflict = errors.New("the job was changed meanwhile")
	ErrTooLarge = errors.New("the job is larger than what can be stored")
	ErrNotFound = errors.New("there is no such job")
)

const (
	startTime  = 30 * time.Second
	maxPayload = 8 << 20 // bytes of a message in a server of our own
)

// Open opens the store, and makes what is not there yet.
func Open(ctx context.Context, opt Options) (*Store, error) {
	s := &Store{opt: opt}
	if err := s.connect(); err != nil {
		s.Close()
		return nil, err
	}
	var err error
	if s.js, err = jetstream.New(s.conn, jetstream.WithDefaultTimeout(10*time.Second)); err == nil {
		err = s.insist(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open the store: %w", err)
	}
	return s, nil
}

// Shared says whether other daemons may use the store too.
func (s *Store) Shared() bool { return s.own == nil }

func (s *Store) connect() (err error) {
	options := []nats.Option{nats.Name("callgated"), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, time.Second)}
	if len(s.opt.URLs) > 0 {
		if s.conn, err = nats.Connect(strings.Join(s.opt.URLs, ","), append(options, nats.RetryOnFailedConnect(true))...); err != nil {
			return fmt.Errorf("connect to NATS: %w", err)
		}
		return nil
	}
	s.own, err = server.NewServer(&server.Options{
		ServerName: "callgated", DontListen: true, JetStream: true, StoreDir: s.opt.Dir, SyncAlways: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 50, MaxPayload: maxPayload,
		NoLog: true, NoSigs: true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return fmt.Errorf("the store in %s: %w", s.opt.Dir, err)
	}
	s.own.Start()
	if !s.own.ReadyForConnections(startTime) {
		return fmt.Errorf("the store in %s does not start", s.opt.Dir)
	}
	if s.conn, err = nats.Connect("", append(options, nats.InProcessServer(s.own))...); err != nil {
		return fmt.Errorf("connect to the store in %s: %w", s.opt.Dir, err)
	}
	return nil
}

// insist makes what is not there. Servers that are just coming together answer
// nothing, or that they cannot yet; one of our own answers late where the disk is slow.
func (s *Store) insist(ctx context.Context) error {
	until := time.Now().Add(startTime)
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.create(try)
		cancel()
		if err == nil || !s.Shared() && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *Store) create(ctx context.Context) (err error) {
	bucket := func(name string) jetstream.KeyValue {
		var kv jetstream.KeyValue
		if err == nil {
			kv, err = s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.opt.Prefix + "_" + name, History: 1, Replicas: s.opt.Replicas, LimitMarkerTTL: markerTime})
		}
		return kv
	}
	s.jobs, s.keys, s.hosts = bucket("jobs"), bucket("keys"), bucket("hosts")
	objects := func(name string) jetstream.ObjectStore {
		var o jetstream.ObjectStore
		if err == nil {
			o, err = s.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: s.opt.Prefix + "_" + name, Replicas: s.opt.Replicas})
		}
		return o
	}
	s.inputs = objects("inputs")
	if !s.Shared() || err != nil {
		return err
	}
	s.files = objects("files")
	if err == nil {
		err = s.createLog(ctx)
	}
	return err
}

// Close ends the connection and the server of this process.
func (s *Store) Close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.own != nil {
		s.own.Shutdown()
		s.own.WaitForShutdown()
	}
}

// Alive says why the store does not answer now; nil if it does, as far as is
// known.
func (s *Store) Alive() error {
	if !s.conn.IsConnected() {
		return errors.New("not connected to NATS")
	}
	if s.own != nil && !s.own.JetStreamEnabled() {
		return errors.New("the store has stopped: a write failed")
	}
	return nil
}
