package filters

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"callgate/configs"
	"callgate/policy"
	"callgate/policy/compile"
)

var update = flag.Bool("update", false, "write the filters anew")

// withGuard loads a shipped policy as callgate does for a run.
func withGuard(t *testing.T, l *policy.Loader, name string) policy.Set {
	t.Helper()
	set, err := l.LoadAll(name)
	if err == nil && set.Restricts() {
		set, err = l.LoadAll(name, "builtin:guard")
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// each calls f for every filter that there is to be.
func each(t *testing.T, f func(t *testing.T, name string, set policy.Set, report bool)) {
	l := &policy.Loader{Builtin: configs.Builtin}
	for _, name := range l.Builtins() {
		for _, report := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s report=%v", name, report), func(t *testing.T) {
				f(t, name, withGuard(t, l, name), report)
			})
		}
	}
}

// TestUpToDate fails for a filter that the proof refuses: its policy, or what
// callgate makes of policies, has changed since.
func TestUpToDate(t *testing.T) {
	if *update {
		each(t, write)
		return
	}
	each(t, func(t *testing.T, name string, set policy.Set, report bool) {
		data := For(name, report)
		if runtime.GOARCH != "amd64" {
			if data != nil {
				t.Error("there is a filter that this test knows nothing of")
			}
			return
		}
		ready, err := compile.ReadPrograms(data)
		if err != nil || len(ready) == 0 {
			t.Fatalf("%d programs, error %v; to make them: go test ./configs/filters -update", len(ready), err)
		}
		plan, err := compile.Compile(set, compile.Options{Report: report, Ready: ready})
		if err != nil {
			t.Fatal(err)
		}
		if &plan.Filters[0] != &ready[0] {
			t.Error("the filter is stale; to make it anew: go test ./configs/filters -update")
		}
	})
}

func write(t *testing.T, name string, set policy.Set, report bool) {
	plan, err := compile.Compile(set, compile.Options{Report: report})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.FromSlash(file(name, report))
	if err := os.WriteFile(path, compile.AppendPrograms(nil, plan.Filters), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNoSuchPolicy(t *testing.T) {
	if For("builtin:nothing", true) != nil {
		t.Error("a filter for no policy")
	}
}
