package server

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"callgate/supervisor/client"
	"callgate/supervisor/server/store"
)

// index is what this daemon knows of all jobs: what the store has told it. A
// record in it is never changed, only replaced.
type index struct {
	mu      sync.Mutex
	records map[string]*store.Record
	removed map[string]uint64 // jobs that are gone, and since which revision
	queues  map[uint32][]string
	running map[uint32]int // on all hosts, by user
	stored  map[uint32]int
	waiting map[string]chan struct{} // closed at a job's next change
	wake    func()                   // something is to be scheduled, perhaps
	told    func(before, after *client.Job)
}

func newIndex(wake func()) *index {
	return &index{
		records: map[string]*store.Record{}, removed: map[string]uint64{}, queues: map[uint32][]string{},
		running: map[uint32]int{}, stored: map[uint32]int{}, waiting: map[string]chan struct{}{}, wake: wake,
	}
}

// put takes a record that is newer than the one that there is.
func (x *index) put(r *store.Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.records[r.Job.ID]
	if old != nil && old.Revision >= r.Revision || x.removed[r.Job.ID] > r.Revision {
		return
	}
	x.count(old, -1)
	x.records[r.Job.ID] = light(r)
	x.count(r, +1)
	x.told(jobOf(old), &x.records[r.Job.ID].Job)
	x.changed(r.Job.ID)
}

// light leaves out what only the run needs, and most of a long command; the
// store has it.
func light(r *store.Record) *store.Record {
	l := *r
	l.Light = true
	l.Request = client.Request{Collect: r.Request.Collect}
	l.Job.Argv, l.Cut = head(r.Job.Argv, argvShown)
	return &l
}

// argvShown is how many bytes of a command lists and events have.
const argvShown = 4 << 10

// head is the beginning of a command, if it is cut: "..." stands for the rest.
func head(argv []string, most int) (beginning []string, cut bool) {
	for i, arg := range argv {
		if most -= len(arg) + 1; most < 0 {
			begun := strings.ToValidUTF8(arg[:max(0, len(arg)+most)], "")
			return append(slices.Clone(argv[:i]), begun+"..."), true
		}
	}
	return argv, false
}

func (x *index) drop(id string, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.removed) > 10000 {
		clear(x.removed) // they only matter while a record of theirs may be on its way
	}
	x.removed[id] = revision
	if old := x.records[id]; old != nil && old.Revision < revision {
		x.count(old, -1)
		delete(x.records, id)
		x.told(&old.Job, nil)
		x.changed(id)
	}
}

func jobOf(r *store.Record) *client.Job {
	if r == nil {
		return nil
	}
	return &r.Job
}

func (x *index) changed(id string) {
	if c := x.waiting[id]; c != nil {
		close(c)
		delete(x.waiting, id)
	}
	x.wake()
}

// count keeps the queues and numbers. Precondition: mu is held.
func (x *index) count(r *store.Record, by int) {
	if r == nil {
		return
	}
	x.stored[r.UID] += by
	switch r.Job.State {
	case client.Running:
		x.running[r.UID] += by
	case client.Queued:
		q := x.queues[r.UID]
		i, found := slices.BinarySearch(q, r.Job.ID)
		switch {
		case by > 0 && !found:
			q = slices.Insert(q, i, r.Job.ID)
		case by < 0 && found:
			q = slices.Delete(q, i, i+1)
		}
		if x.queues[r.UID] = q; len(q) == 0 {
			delete(x.queues, r.UID)
		}
	}
	for _, m := range []map[uint32]int{x.stored, x.running} {
		if m[r.UID] == 0 {
			delete(m, r.UID)
		}
	}
}

// get gives a job as it is known, and what is closed when it changes; nil: there
// is none.
func (x *index) get(id string) (*store.Record, <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.records[id]
	if r == nil {
		return nil, nil
	}
	c := x.waiting[id]
	if c == nil {
		c = make(chan struct{})
		x.waiting[id] = c
	}
	return r, c
}

// all gives the jobs that match, newest first.
func (x *index) all(match func(*store.Record) bool) []*store.Record {
	x.mu.Lock()
	var out []*store.Record
	for _, r := range x.records {
		if match(r) {
			out = append(out, r)
		}
	}
	x.mu.Unlock()
	slices.SortFunc(out, func(a, b *store.Record) int { return cmp.Compare(b.Job.ID, a.Job.ID) })
	return out
}

// next picks the queued job to start: of the user who has least running, the
// oldest that can run here. coming is one that is about to be queued, or nil.
func (x *index) next(coming *store.Record, can func(*store.Record) bool) *store.Record {
	x.mu.Lock()
	defer x.mu.Unlock()
	users := slices.Collect(maps.Keys(x.queues))
	if coming != nil && len(x.queues[coming.UID]) == 0 {
		users = append(users, coming.UID)
	}
	slices.SortFunc(users, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(x.running[a], x.running[b]), cmp.Compare(a, b))
	})
	for _, uid := range users {
		for _, id := range x.queues[uid] {
			if r := x.records[id]; can(r) {
				return r
			}
		}
		if coming != nil && coming.UID == uid && can(coming) {
			return coming
		}
	}
	return nil
}

// has says how many jobs a user has.
func (x *index) has(uid uint32) (queued, running, stored int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.queues[uid]), x.running[uid], x.stored[uid]
}

func (x *index) queued() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, q := range x.queues {
		n += len(q)
	}
	return n
}
