package server

import (
	"testing"

	"callgate/supervisor/client"
	"callgate/supervisor/server/store"
)

// TestTurn: a job that is about to be queued starts at once if its turn is now, and
// overtakes nobody.
func TestTurn(t *testing.T) {
	const ann, bob = 1, 2
	x := newIndex(func() {})
	x.told = func(_, _ *client.Job) {}
	revision := uint64(0)
	job := func(id string, uid uint32, state client.State) *store.Record {
		revision++
		return &store.Record{UID: uid, Revision: revision, Job: client.Job{ID: id, State: state}}
	}
	can := map[string]bool{}
	next := func(coming *store.Record) string {
		if r := x.next(coming, func(r *store.Record) bool { return can[r.Job.ID] }); r != nil {
			return r.Job.ID
		}
		return ""
	}
	coming := job("9", ann, client.Queued)
	if got := next(coming); got != "" {
		t.Errorf("what cannot run is next: %s", got)
	}
	can["9"] = true
	if got := next(coming); got != "9" {
		t.Errorf("alone, %q is next", got)
	}
	x.put(job("1", ann, client.Queued))
	if got := next(coming); got != "9" {
		t.Errorf("behind one that cannot run, %q is next", got)
	}
	can["1"] = true
	if got := next(coming); got != "1" {
		t.Errorf("behind one of the same user's, %q is next", got)
	}
	can["1"] = false
	x.put(job("2", ann, client.Running))
	x.put(job("3", bob, client.Queued))
	can["3"] = true
	if got := next(coming); got != "3" {
		t.Errorf("beside one of a user's who has less running, %q is next", got)
	}
	if got := next(nil); got != "3" {
		t.Errorf("with none that comes, %q is next", got)
	}
}
