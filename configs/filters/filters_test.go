package filters

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"callgate/configs"
	"callgate/policy"
	"callgate/policy/compile"
)

var update = flag.Bool("update", false, "write the filters anew")

// hosts are those that decide on different holders: with Landlock and all that
// a policy names, with Landlock and nothing of it, without Landlock.
var hosts = []compile.Host{
	{ABI: 7, Procs: noProcs, Look: func(string) compile.Found { return compile.Folder }},
	{ABI: 7, Procs: noProcs, Look: func(path string) compile.Found {
		if path == "/home" {
			return compile.Folder
		}
		return compile.Missing
	}},
	{Procs: noProcs, Look: func(string) compile.Found { return compile.Missing }},
}

func noProcs() []string { return nil }

// holdersOf are who may hold a set's sections on some host.
func holdersOf(t *testing.T, set policy.Set) []compile.Holders {
	t.Helper()
	sections, err := set.Bind(policy.Place{Dir: "/workspace", Home: "/home/user", Env: []string{"TMPDIR=/private"}})
	if err != nil {
		t.Fatal(err)
	}
	var all []compile.Holders
	known := map[string]bool{}
	for _, host := range hosts {
		h, _ := compile.Enforce(sections, host)
		if !known[h.String()] {
			known[h.String()] = true
			all = append(all, h)
			if set.Isolation() != 0 && h.Files == compile.Kernel {
				h.Mounts = true
				all = append(all, h)
			}
		}
	}
	return all
}

// own are policies of users' that say nothing of calls.
var own = []string{
	"extends: builtin:default\nfiles: [{read: ~/x}]\nnetwork: [{connect: '127.0.0.1:80'}]",
	"files: [{read: /usr}, {write: /tmp}]",
	"files: [{read: /usr}, {write: /tmp}]\nnetwork: []",
	"files: [{read: /usr}, {write: /tmp}]\nnetwork: [{connect: '127.0.0.1:80'}]",
	"files: [{deny: '**/.env'}, {read: /usr}]",
	"files: [{deny: '**/.env'}, {read: /usr}]\nnetwork: []",
	"network: []",
}

// eachSet calls f for every set that there is to be a filter for; several may share one.
func eachSet(t *testing.T, f func(set policy.Set)) {
	l := &policy.Loader{Builtin: configs.Builtin}
	guarded := func(p *policy.Policy, err error, isolate policy.Isolation) {
		if err != nil {
			t.Fatal(err)
		}
		p.Isolate = isolate
		set, err := l.Guard(policy.Set{p})
		if err != nil {
			t.Fatal(err)
		}
		f(set)
	}
	for _, isolate := range []policy.Isolation{0, policy.IsolateMount} {
		for _, name := range l.Builtins() {
			if policy.IsGuard(name) { // nobody runs under it alone
				continue
			}
			p, err := l.Load(name)
			guarded(p, err, isolate)
		}
		for _, text := range own {
			p, err := l.Parse("own.yaml", []byte("callgate: 1\n"+text+"\n"))
			guarded(p, err, isolate)
		}
	}
}

// each calls f for every filter that there is to be.
func each(t *testing.T, f func(t *testing.T, file string, ready []compile.Program, set policy.Set, opts compile.Options)) {
	eachSet(t, func(set policy.Set) {
		for _, holders := range holdersOf(t, set) {
			for _, report := range []bool{false, true} {
				if report && holders.Mounts {
					continue // they are told by the supervisor, which stops the calls
				}
				at := file(set, holders, report)
				t.Run(at, func(t *testing.T) {
					opts := compile.Options{Holders: holders, Report: report}
					f(t, at, For(set, &opts), set, opts)
				})
			}
		}
	})
}

// TestUpToDate fails for a filter that is not what is compiled now, or that the proof
// refuses, and for one that nothing would take.
func TestUpToDate(t *testing.T) {
	left := map[string]bool{}
	names, err := filepath.Glob(runtime.GOARCH + "/*.bpf")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		left[filepath.ToSlash(name)] = true
	}
	each(t, func(t *testing.T, file string, ready []compile.Program, set policy.Set, opts compile.Options) {
		delete(left, file)
		if *update {
			write(t, file, set, opts)
			return
		}
		if runtime.GOARCH != "amd64" {
			if ready != nil {
				t.Error("there is a filter that this test knows nothing of")
			}
			return
		}
		if len(ready) == 0 {
			t.Fatal("there is none; to make it: go test ./configs/filters -update")
		}
		anew := compiled(t, set, opts)
		opts.Ready = ready
		if !slices.EqualFunc(anew.Filters, ready, slices.Equal[compile.Program]) || !compiled(t, set, opts).Took(ready) {
			t.Error("the filter is stale; to make it anew: go test ./configs/filters -update")
		}
	})
	for name := range left {
		if !*update {
			t.Errorf("%s is for no policy; to remove it: go test ./configs/filters -update", name)
		} else if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

func compiled(t *testing.T, set policy.Set, opts compile.Options) *compile.Plan {
	t.Helper()
	plan, err := compile.Compile(set, opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func write(t *testing.T, file string, set policy.Set, opts compile.Options) {
	t.Helper()
	plan := compiled(t, set, opts)
	if err := os.WriteFile(filepath.FromSlash(file), compile.AppendPrograms(nil, plan.Filters), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNoSuchPolicy(t *testing.T) {
	told := &compile.Options{Report: true}
	for _, from := range []string{"builtin:nothing", "trace-all"} {
		set := policy.Set{{CallsFrom: []string{from}}}
		if For(set, told) != nil {
			t.Errorf("a filter for %s", from)
		}
	}
	all := &policy.Policy{CallsFrom: []string{"builtin:trace-all"}}
	if For(policy.Set{all}, told) == nil || For(policy.Set{all, all}, told) != nil {
		t.Error("a filter for a set of two, or none for one")
	}
}
