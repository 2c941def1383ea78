package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestPrints(t *testing.T) {
	if got, err := prints(1e-3, "echo", "1500")(); got != 1.5 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := prints(1, "no-such-program-anywhere")(); !errors.As(err, new(absent)) {
		t.Errorf("a missing program gives %v", err)
	}
	if _, err := prints(1, "sh", "-c", "echo broken >&2; exit 3")(); err == nil || err.Error() != "exit status 3: broken" {
		t.Errorf("a failing program gives %v", err)
	}
	if _, err := prints(1, "echo", "words")(); err == nil {
		t.Error("words were taken for a number")
	}
}

func TestPeakMemory(t *testing.T) {
	got, err := peakMemory("sh", "-c", "echo done; cat")()
	if err != nil || got < 0.1 || got > 100 {
		t.Errorf("a shell takes %v MiB, %v", got, err)
	}
	if _, err := peakMemory("sh", "-c", "echo broken >&2; exit 3")(); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a failing program gives %v", err)
	}
}

// The C programs measure something plausible, the tracer passes on what it
// runs, and nothing is left behind.
func TestTools(t *testing.T) {
	tools, err := newTools("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	loop := []string{tools.file("loop"), "100"}
	for _, words := range [][]string{
		loop,
		join(loop, []string{"3", "1"}),
		join([]string{tools.file("tracer")}, loop),
		join([]string{tools.file("tracer"), "-held"}, loop),
		join([]string{tools.file("tracer"), "-held", "-exits"}, loop),
		join([]string{tools.file("sandboxer"), "r:/", "--"}, loop),
		join([]string{tools.file("filter")}, loop),
		join(loop, []string{"1", "0", "10"}),
		{tools.file("spawn"), "3", "/bin/true"},
	} {
		if got, err := prints(1, words...)(); err != nil || got < 10 {
			t.Errorf("%v: %v ns, %v", words, got, err)
		}
	}
	if _, err := prints(1, tools.file("spawn"), "1", "/bin/false")(); err == nil {
		t.Error("a start that fails was measured")
	}
	if _, err := prints(1, tools.file("tracer"), "sh", "-c", "echo 5; exit 7")(); err == nil || err.Error() != "exit status 7" {
		t.Errorf("the tracer's exit status: %v", err)
	}
	tools.remove()
	if _, err := os.Stat(tools.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", tools.dir, err)
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-runs 0", "usage: "},
		{"more", "usage: "},
		{"-callgate /nowhere/callgate", "no callgate to measure"},
		{"-callgate /bin/true -only loop,lop", `no comparison "lop"; there are loop, landlock, traced, pinned, rules, tasks, parallel, clone, build, tar, find, startup, jobs, jobs-4, memory`},
	} {
		var out strings.Builder
		err := bench(strings.Fields(c.args), &out, &out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}
