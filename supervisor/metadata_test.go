package supervisor

import (
	"os"
	"path/filepath"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
)

// TestHoldMetadata: mounts are left what they hold exactly, and nothing else.
func TestHoldMetadata(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, flag int) *os.File {
		f, err := os.OpenFile(filepath.Join(dir, name), flag|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	if err := os.Mkdir(filepath.Join(dir, "w"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ours, theirs := file("w/f", os.O_RDWR), file("f", os.O_RDONLY)
	for _, c := range []struct {
		what      string
		isolation policy.Isolation
		change    func(*compile.Options)
		cmd       Command
		want      bool
	}{
		{"nothing", policy.IsolateMount, nil, Command{}, true},
		{"all", policy.IsolateMount | policy.IsolatePid, nil, Command{Files: []*os.File{r, w, nil}}, true},
		{"a file of its own", policy.IsolateMount, nil, Command{Files: []*os.File{ours}}, true},
		{"a file that it may not write", policy.IsolateMount, nil, Command{Files: []*os.File{r, theirs}}, false},
		{"the same, kept", policy.IsolateMount, nil, Command{Keep: []int{int(theirs.Fd())}}, false},
		{"no descriptor", policy.IsolateMount, nil, Command{Keep: []int{1 << 20}}, false},
		{"a place that no rule names", policy.IsolateMount, nil, Command{Writable: []string{dir}}, false},
		{"one that a rule names", policy.IsolateMount, nil, Command{Writable: []string{dir + "/w/t"}}, true},
		{"no mounts", policy.IsolatePid, nil, Command{}, false},
		{"reports", policy.IsolateMount, func(o *compile.Options) { o.Report = true }, Command{}, false},
		{"the supervisor", policy.IsolateMount, func(o *compile.Options) { o.Holders.Files = compile.Supervisor }, Command{}, false},
	} {
		set := policy.Set{metadataPolicy(t, dir, c.isolation)}
		b, err := set.Bind(policy.Place{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		opts := compile.Options{Sections: b, Holders: compile.Holders{Files: compile.Kernel}}
		if c.change != nil {
			c.change(&opts)
		}
		if HoldMetadata(set, &opts, &c.cmd); opts.Holders.Mounts != c.want {
			t.Errorf("%s: %v, want %v", c.what, opts.Holders.Mounts, c.want)
		}
		plan, err := compile.Compile(set, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"fchmod", "fchownat", "utimensat", "setxattr", "acct", "rename"} {
			entry, _ := abi.X86_64.ByName(name)
			tier, why := plan.Tier(abi.Call{Arch: abi.X86_64, Nr: entry.Nr})
			if held := c.want && name != "acct" && name != "rename"; held != (tier == compile.Filter) {
				t.Errorf("%s: %s: %v, %s", c.what, name, tier, why)
			}
		}
	}
}

func metadataPolicy(t *testing.T, dir string, isolation policy.Isolation) *policy.Policy {
	t.Helper()
	text := "callgate: 1\ndefault: deny\nfiles: [{read: /}, {write: ./w}]\n"
	loader := policy.Loader{ReadFile: func(string) ([]byte, error) { return []byte(text), nil }}
	p, err := loader.Load(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p.Isolate = isolation
	return p
}
