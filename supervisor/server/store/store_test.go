package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"callgate/supervisor/client"

	"github.com/nats-io/nats.go/jetstream"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), Prefix: "t", Replicas: 1, Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestKey: a key stands for the first job that it was kept for, and for none where
// it was only asked for.
func TestKey(t *testing.T) {
	s, ctx := open(t), context.Background()
	for _, tt := range []struct {
		id, want string
		keep     bool
	}{{"a", "a", false}, {"b", "b", true}, {"c", "b", true}, {"d", "b", false}} {
		if got, err := s.Key(ctx, "1.k", tt.id, tt.keep); err != nil || got != tt.want {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
}

// TestRecords: a change that is based on an older record than there is fails, and
// what is removed is gone with its key.
func TestRecords(t *testing.T) {
	s, ctx := open(t), context.Background()
	r := &Record{Job: client.Job{ID: "a"}, Key: "1.k"}
	if _, err := s.Key(ctx, r.Key, "a", true); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(ctx, &Record{Job: client.Job{ID: "a"}}); !errors.Is(err, ErrConflict) {
		t.Errorf("created twice: %v", err)
	}
	old := *r
	if err := s.Update(ctx, r); err != nil {
		t.Error(err)
	}
	if err := s.Update(ctx, &old); !errors.Is(err, ErrConflict) {
		t.Errorf("an old record was stored: %v", err)
	}
	if err := s.Remove(ctx, &old); !errors.Is(err, ErrConflict) {
		t.Errorf("removed by an old record: %v", err)
	}
	if err := s.Remove(ctx, r); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	if id, err := s.Key(ctx, "1.k", "b", false); err != nil || id != "b" {
		t.Errorf("its key stands for %q, %v", id, err)
	}
}

// lagging is a replica that knows of nothing yet.
type lagging struct{ jetstream.KeyValue }

func (lagging) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	return nil, jetstream.ErrKeyNotFound
}

// TestLaggingReplica: what one replica does not know yet is there all the same.
func TestLaggingReplica(t *testing.T) {
	own, ctx := open(t), context.Background()
	s := *own
	s.own = nil // as servers that are shared
	s.jobs, s.keys = lagging{own.jobs}, lagging{own.keys}
	r := &Record{Job: client.Job{ID: "a"}, Key: "1.k"}
	if err := own.Create(ctx, r); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, "a"); err != nil || got.Job.ID != "a" || got.Revision != r.Revision {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, id := range []string{"a", "b"} {
		if got, err := s.Key(ctx, r.Key, id, true); err != nil || got != "a" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := own.Remove(ctx, r); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "never"} {
		if got, err := s.Get(ctx, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	if got, err := s.Key(ctx, r.Key, "c", false); err != nil || got != "c" {
		t.Errorf("got %q, %v", got, err)
	}
}
