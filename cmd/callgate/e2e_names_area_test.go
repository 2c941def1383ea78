package main

import (
	"strings"
	"testing"
)

// TestPinnedArea: nothing that a program can call takes the area away where
// callgate keeps what verdicts rest on, or writes to it: where it is sealed, and
// where only the rules on addresses keep it.
func TestPinnedArea(t *testing.T) {
	for how, wrap := range map[string][]string{"sealed": nil, "open": {"filtered"}} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t, false)
			tr := trial{policy: w.policy(), quiet: true, dir: w.dir}
			got := tr.run(t, append(append([]string{tracee(t)}, wrap...), "area")...)
			want := "area 10000-400000 r--p " + how + ";\narea same, the child's same, evil 0\n"
			if how == "sealed" && strings.Contains(got.stdout, "r--p open;") {
				t.Log("this kernel has no mseal, or a filter refuses it")
				want = strings.Replace(want, "sealed", "open", 1)
			}
			got.want(t, 0, want)
		})
	}
}

// TestNamesGuarded: racing where the area is not sealed, and calls are not changed
// into others since the program has a filter of its own.
func TestNamesGuarded(t *testing.T) {
	all := fullTries(t) > 0
	eachAttack(t, func(a nameAttack) bool { return all || strings.HasPrefix(a.mode, "letters") || someOfEach[a.call] },
		func(a nameAttack, t *testing.T) {
			a.wrap = []string{"filtered"}
			a.fails(t)
		})
}
