package policy

import (
	"testing"
	"testing/fstest"
	"time"
)

func TestLimitsTightest(t *testing.T) {
	files := &Loader{Builtin: fstest.MapFS{
		"host.yaml": {Data: []byte("callgate: 1\nlimits: {wall-time: 10m, memory: 1GiB, processes: 100}\n")},
		"repo.yaml": {Data: []byte("callgate: 1\nextends: builtin:host\nlimits: {wall-time: 1h, memory: 512MiB, output: 1MiB}\n")},
	}}
	repo, err := files.Load("builtin:repo")
	if err != nil {
		t.Fatal(err)
	}
	want := map[Resource]Limit{
		WallTime:  {int64(10 * time.Minute), Position{"builtin:host", 2, 21}},
		Memory:    {512 << 20, Position{"builtin:repo", 3, 33}},
		Processes: {100, Position{"builtin:host", 2, 51}},
		Output:    {1 << 20, Position{"builtin:repo", 3, 49}},
	}
	same := func(what string, got Limits, want map[Resource]Limit) {
		t.Helper()
		for _, r := range Resources() {
			if got[r] != want[r] {
				t.Errorf("%s: %v: got %+v, want %+v", what, r, got[r], want[r])
			}
		}
	}
	same("extends", repo.Limits, want)
	other := parse(t, "limits: {wall-time: 5m, memory: 2GiB, file-size: 3B}")
	want[WallTime] = Limit{int64(5 * time.Minute), Position{"p.yaml", 2, 21}}
	want[FileSize] = Limit{3, Position{"p.yaml", 2, 50}}
	same("a set", Set{repo, other}.Limits(), want)
	flag, err := ParseLimit(Processes, "7", "--processes")
	if err != nil {
		t.Fatal(err)
	}
	var asked Limits
	asked[Processes] = flag
	asked[OpenFiles], _ = ParseLimit(OpenFiles, "9", "--open-files")
	want[Processes], want[OpenFiles] = flag, Limit{9, Position{File: "--open-files"}}
	same("narrowed", Set{repo, other}.Limits().Narrow(asked), want)
	if _, err := ParseLimit(Memory, "1GB", "--memory"); err == nil ||
		err.Error() != `--memory: expected a size with its unit, found "1GB"; write for example 64MiB; the units are B, KiB, MiB, GiB and TiB` {
		t.Errorf("a flag's mistake: %v", err)
	}
}

// TestLongTimes: a time that no duration can hold is too much, and no other mistake.
func TestLongTimes(t *testing.T) {
	for text, want := range map[string]string{
		"99999999h":                 `"99999999h" is too much: the greatest wall-time is 876000h; leave it out for no limit`,
		"1h99999999999999999999.5s": `"1h99999999999999999999.5s" is too much: the greatest wall-time is 876000h; leave it out for no limit`,
		"99999999hh":                `expected a time with its unit, found "99999999hh"; write for example 10s, 1m30s or 500ms`,
		"-99999999h":                `expected a time with its unit, found "-99999999h"; write for example 10s, 1m30s or 500ms`,
	} {
		if _, err := ParseLimit(WallTime, text, "-"); err == nil || err.Error() != "-: "+want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestLimitText: what is printed is read as the same.
func TestLimitText(t *testing.T) {
	for _, c := range []struct {
		r    Resource
		most int64
		text string
	}{
		{WallTime, int64(10 * time.Minute), "10m"},
		{WallTime, int64(2 * time.Hour), "2h"},
		{WallTime, int64(time.Hour + 30*time.Second), "1h0m30s"},
		{CPUTime, int64(10 * time.Second), "10s"},
		{CPUTime, int64(1500 * time.Millisecond), "1.5s"},
		{CPUTime, int64(20 * time.Millisecond), "20ms"},
		{Memory, 2 << 30, "2GiB"},
		{Memory, 1<<30 + 1024, "1048577KiB"},
		{FileSize, 1025, "1025B"},
		{Output, 1 << 60, "1048576TiB"},
		{Processes, 256, "256"},
	} {
		if got := c.r.Text(c.most); got != c.text {
			t.Errorf("%v of %d: %q, want %q", c.r, c.most, got, c.text)
		}
		if l, err := ParseLimit(c.r, c.text, ""); err != nil || l.Most != c.most {
			t.Errorf("%s: %+v, %v, want %d", c.text, l, err, c.most)
		}
	}
}
