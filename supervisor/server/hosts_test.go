package server

import (
	"testing"
	"time"

	"callgate/supervisor/client"
)

// TestSilence: a host is dead when it was not heard of for some heartbeats of this
// one's that came back, and not when nobody was heard of.
func TestSilence(t *testing.T) {
	h := newHosts("here")
	hear := func(name string) { h.heard(name, &client.Host{Name: name}, time.Now()) }
	dead := h.dead(3)
	hear("there")
	for range 3 {
		if hear("here"); dead("there") || dead("here") || dead("never") {
			t.Fatal("dead after three heartbeats at most")
		}
	}
	hear("there")
	for range 3 {
		hear("here")
	}
	if dead("there") {
		t.Error("it was heard of three heartbeats ago")
	}
	if hear("here"); !dead("there") || !dead("never") || dead("here") {
		t.Errorf("there %v, never %v, here %v", dead("there"), dead("never"), dead("here"))
	}
	if hear("there"); dead("there") {
		t.Error("it is back")
	}
}
