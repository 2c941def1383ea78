package server

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"callgate/supervisor/client"
)

// hosts are those that share the queue. How long one has been silent is counted
// in this daemon's own heartbeats, as they come back from the store: clocks of
// other hosts do not matter, nor does a time in which nobody could be heard.
type hosts struct {
	self    string
	mu      sync.Mutex
	byName  map[string]*client.Host
	silent  map[string]int // heartbeats since one of byName was heard of
	unknown map[string]int // heartbeats since one was first asked about that is not there
}

func newHosts(self string) *hosts {
	return &hosts{self: self, byName: map[string]*client.Host{}, silent: map[string]int{}, unknown: map[string]int{}}
}

func (h *hosts) heard(name string, host *client.Host, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if host == nil { // its record was removed or damaged, by no daemon
		delete(h.byName, name)
		return
	}
	host.Seen = at.UTC()
	h.byName[name] = host
	if name == h.self {
		h.tick()
	}
	h.silent[name] = 0
}

// tick is one heartbeat of this daemon's. Precondition: mu is held.
func (h *hosts) tick() {
	for name := range h.byName {
		h.silent[name]++
	}
	for name := range h.unknown {
		h.unknown[name]++
	}
}

// dead gives whether a host has been silent for so many heartbeats. One that was
// never heard of is given as long from when it is first asked about.
func (h *hosts) dead(beats int) func(name string) bool {
	return func(name string) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.byName[name] != nil {
			return h.silent[name] > beats
		}
		if _, counted := h.unknown[name]; !counted {
			h.unknown[name] = 0 // from now on
		}
		return h.unknown[name] > beats
	}
}

func (h *hosts) list() []client.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]client.Host, 0, len(h.byName))
	for _, host := range h.byName {
		out = append(out, *host)
	}
	slices.SortFunc(out, func(a, b client.Host) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
