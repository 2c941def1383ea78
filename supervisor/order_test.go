package supervisor

import (
	"slices"
	"testing"
)

// TestOrder plays calls that rest on names and calls that change them, by the
// letter of the task and what it does: "a looks", "b changes", "a leaves".
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []string
		runs  string // who is under way at the end, in the order of the alphabet
	}{
		{"looks go side by side", []string{"a looks", "b looks"}, "ab"},
		{"a change waits for looks", []string{"a looks", "b changes"}, "a"},
		{"a change is alone", []string{"a changes", "b changes", "c looks"}, "a"},
		{"looks wait behind a change that waits", []string{"a looks", "b changes", "c looks"}, "a"},
		{"who waits is admitted", []string{"a looks", "b changes", "c looks", "a leaves"}, "b"},
		{"and the next", []string{"a looks", "b changes", "c looks", "d looks", "a leaves", "b leaves"}, "cd"},
		{"who waits may die", []string{"a looks", "b changes", "c looks", "b leaves"}, "ac"},
		{"a call apart never waits", []string{"a changes", "b apart"}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sandbox{kernel: &recording{}, tasks: map[int]*task{}}
			parts := map[string]part{"looks": looks, "changes": changes, "apart": apart}
			wants := map[*task]part{}
			all := map[byte]*task{}
			for _, step := range c.steps {
				who := all[step[0]]
				if who == nil {
					who = &task{tid: root + int(step[0])}
					all[step[0]], s.tasks[who.tid] = who, who
				}
				if step[2:] == "leaves" {
					s.leave(who)
					play(s, wants)
					continue
				}
				wants[who] = parts[step[2:]]
				s.enter(who, wants[who])
			}
			var runs []byte
			for letter, who := range all {
				if who.part != apart {
					runs = append(runs, letter)
				}
			}
			slices.Sort(runs)
			if string(runs) != c.runs {
				t.Errorf("%s are under way, want %s", runs, c.runs)
			}
		})
	}
}

// play is admit with a judge that asks for what was asked before.
func play(s *sandbox, wants map[*task]part) {
	s.admitWith(func(t *task) error {
		s.enter(t, wants[t])
		return nil
	})
}
