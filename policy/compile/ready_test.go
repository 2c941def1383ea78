package compile

import (
	"bytes"
	"slices"
	"testing"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

func readyOf(t *testing.T, set policy.Set, opts Options) []Program {
	t.Helper()
	plan, err := Compile(set, opts)
	if err != nil {
		t.Fatal(err)
	}
	ready, err := ReadPrograms(AppendPrograms(nil, plan.Filters))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(ready, plan.Filters, slices.Equal[Program]) {
		t.Fatal("the programs are not read as they were written")
	}
	return ready
}

// used says whether a plan's programs are the very ones that were ready.
func used(plan *Plan, ready []Program) bool {
	return len(plan.Filters) == len(ready) && &plan.Filters[0] == &ready[0]
}

func TestReadyProgramsAreUsed(t *testing.T) {
	for _, name := range shipped {
		for _, report := range []bool{true, false} {
			set := builtin(t, name)
			opts := Options{Report: report}
			opts.Ready = readyOf(t, set, opts)
			plan, err := Compile(set, opts)
			if err != nil {
				t.Fatal(err)
			}
			if !used(plan, opts.Ready) {
				t.Errorf("%s, report=%v: they are not used", name, report)
			}
		}
	}
}

// TestWrongReadyProgramsAreNotUsed changes one return of the first program
// after the other: the plan must be right all the same. In the other programs
// some returns do not matter, those for archs that the first one kills.
func TestWrongReadyProgramsAreNotUsed(t *testing.T) {
	set := builtin(t, "default")
	good := readyOf(t, set, Options{})
	for at, in := range good[0] {
		if in.Code != unix.BPF_RET|unix.BPF_K {
			continue
		}
		for _, answer := range [...]uint32{retAllow, retKill, retTrace} {
			if answer == in.K {
				continue
			}
			bad := slices.Clone(good)
			bad[0] = slices.Clone(good[0])
			bad[0][at].K = answer
			plan, err := Compile(set, Options{Ready: bad})
			if err != nil {
				t.Fatal(err)
			}
			if used(plan, bad) {
				t.Errorf("used though instruction %d returns %s, not %s", at, actionName(answer), actionName(in.K))
			}
			if !slices.EqualFunc(plan.Filters, good, slices.Equal[Program]) {
				t.Errorf("instruction %d: the plan is not the one compiled anew", at)
			}
		}
	}
}

func TestReadyProgramsOfOthersAreNotUsed(t *testing.T) {
	set := builtin(t, "default")
	for what, ready := range map[string][]Program{
		"another policy's":           readyOf(t, builtin(t, "compute"), Options{}),
		"those of another report":    readyOf(t, set, Options{Report: true}),
		"an empty program":           {nil},
		"one that allows everything": {{ret(retAllow)}},
		"one that ends nowhere":      {{load(wordArch)}},
		"all but the last":           readyOf(t, set, Options{})[1:],
	} {
		plan, err := Compile(set, Options{Ready: ready})
		if err != nil {
			t.Fatal(err)
		}
		if len(ready) > 0 && used(plan, ready) {
			t.Errorf("%s is used", what)
		}
	}
}

func TestReadPrograms(t *testing.T) {
	whole := AppendPrograms(nil, []Program{{load(wordNr), ret(retAllow)}, {ret(retKill)}})
	for n := range whole {
		cut := whole[:n]
		got, err := ReadPrograms(cut)
		if err == nil && !bytes.Equal(AppendPrograms(nil, got), cut) {
			t.Errorf("%d bytes of %d are read as %v", n, len(whole), got)
		}
		if n > 0 && n < 18 && err == nil {
			t.Errorf("%d bytes of the first program are enough", n)
		}
	}
	if got, err := ReadPrograms(whole); err != nil || len(got) != 2 || len(got[0]) != 2 || got[1][0] != ret(retKill) {
		t.Errorf("got %v, error %v", got, err)
	}
}
