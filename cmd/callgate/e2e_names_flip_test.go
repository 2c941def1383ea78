package main

import "testing"

// tries is how often each attack on names is tried, and costly how often those
// that start a process each time.
const (
	tries  = 20000
	costly = 1000
)

func (a attack) withTries(n int) attack {
	if a.tries = n; a.gain == "runs" {
		a.tries = min(n, costly)
	}
	return a
}

// TestNamesFlipped: a thread, or another process in shared memory, changes two
// letters of the name that a call has, for every call that has one.
func TestNamesFlipped(t *testing.T) {
	for _, mode := range []string{"letters", "letters-shared"} {
		for _, a := range attackCalls(t) {
			a.mode = mode
			t.Run(mode+"/"+a.call, func(t *testing.T) { a.fails(t, tries) })
		}
	}
}

// TestNamesFlippedBites: the same attacks succeed where calls are only checked.
func TestNamesFlippedBites(t *testing.T) {
	for _, mode := range []string{"letters", "letters-shared"} {
		for _, a := range attackCalls(t) {
			a.mode = mode
			t.Run(mode+"/"+a.call, a.bites)
		}
	}
}

// fails wants no success among n tries, of which some were permitted and some
// were not.
func (a attack) fails(t *testing.T, n int) {
	t.Helper()
	a = a.withTries(n)
	for range 5 {
		c, changed := a.run(t, "", false)
		if c.got > 0 || changed != "" {
			t.Fatalf("%d times of %d it got what is denied\n%s", c.got, a.tries, changed)
		}
		if c.made > 0 && c.refused > 0 {
			return
		}
	}
	t.Error("nothing raced")
}

func (a attack) bites(t *testing.T) {
	t.Helper()
	build := checkOnly(t)
	for n := 500; n <= 100000; n *= 4 {
		c, changed := a.withTries(n).run(t, build, false)
		if c.got > 0 || changed != "" {
			t.Logf("%d tries, got %d", n, c.got)
			return
		}
	}
	t.Error("it does not even succeed where calls are only checked")
}
