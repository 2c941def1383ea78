package main

import (
	"os"
	"strconv"
	"testing"
)

// fullTries is how often `make attacks` has every race tried (CALLGATE_TRIES); 0
// where the races are to be short.
func fullTries(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CALLGATE_TRIES")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// triesOf is how often an attack is tried: 10,000 times where every call is, by a
// thread that flips its name, as each of the two users that tests run as; 1,000 times
// in the many other ways, and where each try starts a process; 500 times where the
// program has a filter of its own.
func triesOf(t *testing.T, a nameAttack) int {
	switch full := fullTries(t); {
	case full > 0:
		return full
	case len(a.wrap) > 0:
		return 500
	case a.mode != "letters", a.gain == "runs":
		return 1000
	}
	return 10000
}

// tried is how often a race of n tries is tried here: by each of the two users half of
// that.
func tried(t *testing.T, n int) int {
	t.Helper()
	return max(n/2, fullTries(t))
}

// modes are the ways to make a name lead elsewhere meanwhile, with the calls for
// which they do: all of them where a name is spelled anew, or leads through a
// link to what is denied; those that change things where a descriptor is
// exchanged, which can only lead to what may be looked at.
var modes = []struct {
	name string
	fits func(a nameAttack) bool
}{
	{"letters", every},
	{"letters-shared", every},
	{"links", every},
	{"links-process", every},
	{"last", func(a nameAttack) bool { return a.object == "f" && !keepsLink[a.call] && a.tidies == "0" }},
	{"last-process", func(a nameAttack) bool { return a.object == "f" && !keepsLink[a.call] && a.tidies == "0" }},
	{"descriptors", changes},
	{"descriptors-process", reaches},
	{"descriptors-dots", func(a nameAttack) bool { return a.call == "chmod-folder" }},
	{"folders", changes},
	{"folders-link", changes},
	{"folders-process", reaches},
	{"folders-dots", func(a nameAttack) bool { return a.call == "chmod-folder" }},
}

// keepsLink are calls that act on a last link itself.
var keepsLink = map[string]bool{"lchown": true, "lsetxattr": true, "renameat2-exchange": true}

func every(nameAttack) bool     { return true }
func changes(a nameAttack) bool { return a.gain == "changes" }

// The program of a child that another thread of its parent cannot reach into is
// another process's matter (TestHeld has the thread's).
func reaches(a nameAttack) bool { return a.gain == "changes" || a.gain == "runs" }

// eachAttack does something with every attack of every mode that is chosen.
func eachAttack(t *testing.T, chosen func(nameAttack) bool, do func(nameAttack, *testing.T)) {
	for _, m := range modes {
		for _, a := range attackCalls(t) {
			if a.mode = m.name; m.fits(a) && chosen(a) {
				t.Run(m.name+"/"+a.call, func(t *testing.T) { do(a, t) })
			}
		}
	}
}

// TestNames: for every call that takes a name, something makes it lead to what
// is denied while the call is decided, and nothing ever gets there.
func TestNames(t *testing.T) {
	t.Parallel()
	eachAttack(t, every, nameAttack.fails)
}

// TestNamesBite: the same attacks succeed where calls are only checked: every call
// with a thread that flips its name, and some of every kind in the other ways. That is
// shown of the attacks, so that an ordinary user need not show all of it again.
func TestNamesBite(t *testing.T) {
	root := os.Geteuid() == 0
	eachAttack(t, func(a nameAttack) bool { return someOfEach[a.call] || root && a.mode == "letters" }, nameAttack.bites)
}

var someOfEach = map[string]bool{"open": true, "open-cut": true, "stat": true, "truncate": true, "chmod": true, "chmod-folder": true,
	"mkdir": true, "unlink": true, "rename-old": true, "execve": true}

// fails wants no success among all tries. A race in which one side always won has
// proved nothing.
func (a nameAttack) fails(t *testing.T) {
	t.Helper()
	a.tries = triesOf(t, a)
	for range 5 {
		c, changed := a.run(t, "")
		if c.got > 0 || changed != "" {
			t.Fatalf("%d times of %d it got what is denied\n%s", c.got, a.tries, changed)
		}
		if c.made > 0 && c.refused > 0 {
			return
		}
	}
	t.Error("nothing raced")
}

func (a nameAttack) bites(t *testing.T) {
	t.Helper()
	build := checkOnly(t)
	for a.tries = 500; a.tries <= 32000; a.tries *= 4 {
		c, changed := a.run(t, build)
		if c.got > 0 || changed != "" {
			t.Logf("%d tries, got %d", a.tries, c.got)
			return
		}
	}
	t.Error("it does not even succeed where calls are only checked")
}
