package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// socketPolicy denies by an argument, which the filter compares.
const socketPolicy = `callgate: 1
default: allow
compat: {i386: same, x32: same}
syscalls:
  - deny: socket
    args: { family: [AF_INET, AF_INET6] }
    errno: EACCES
  - deny: mkdir
    args: { mode: { mask: 0o777, is: 0o700 } }
    errno: EACCES
`

// TestHighHalves: the kernel takes 32 bits of an int, and of every i386
// argument; what is in the registers' other bits must not lead around a rule.
func TestHighHalves(t *testing.T) {
	for _, c := range []struct{ line, stdout string }{
		{"native 41 2 1 0", "native 41 = -EACCES\n"},
		{"native 41 0x100000002 1 0", "native 41 = -EACCES\n"},
		{"native 41 0xffffffff0000000a 1 0", "native 41 = -EACCES\n"},
		{"native 41 0x700000001 1 0", "native 41 = 3\n"},
		{"native 83 s:new 0x1000001c0", "native 83 = -EACCES\n"},
		{"native 0x100000029 2 1 0", "native 0x100000029 = -EACCES\n"},
		{"int80 359 2 1 0", "int80 359 = -EACCES\n"},
		{"int80-high 359 2 1 0", "int80-high 359 = -EACCES\n"},
		{"int80-high 359 1 1 0", "int80-high 359 = 3\n"},
		{"int80 102 1 w:2,1,0", "int80 102 = -EACCES\n"},
		{"int80-high 102 1 w:2,1,0", "int80-high 102 = -EACCES\n"},
		{"int80-high 102 1 w:1,1,0", "int80-high 102 = 3\n"},
		{"int80-high 39 s:new 0700", "int80-high 39 = -EACCES\n"},
		{"int80 39 s:new 0x101c0", "int80 39 = -EACCES\n"}, // a mode has 16 bits
		{"native 83 s:new 0x101c0", "native 83 = -EACCES\n"},
		{"far 102 1 w:10,1,0", "far 102 = -EACCES\n"},
	} {
		t.Run(c.line, func(t *testing.T) {
			dir := openFolder(t)
			got := trial{policy: socketPolicy, dir: dir}.run(t, traceeCommand(c.line)(t, dir)...)
			got.want(t, 0, strings.ReplaceAll(c.stdout, "int80-high", "int80"))
			if exists(filepath.Join(dir, "new")) {
				t.Error("the denied folder is there")
			}
		})
	}
}

// TestVsyscall: the kernel emulates calls through the vsyscall page, and asks the
// filters first.
func TestVsyscall(t *testing.T) {
	if got := (trial{bare: true}).run(t, tracee(t), "vsyscall"); got.stdout == "no vsyscall page\n" {
		return // nothing to get through
	}
	policy := func(action string) string {
		return "callgate: 1\ndefault: allow\nsyscalls:\n  - " + action + ": [gettimeofday, time, getcpu]\n"
	}
	trial{policy: policy("deny")}.run(t, tracee(t), "vsyscall").
		want(t, 0, "vsyscall gettimeofday = -EPERM, empty\nvsyscall time = -EPERM, empty\nvsyscall getcpu = -EPERM, empty\n")
	trial{policy: policy("skip")}.run(t, tracee(t), "vsyscall").
		want(t, 0, "vsyscall gettimeofday = 0, empty\nvsyscall time = 0, empty\nvsyscall getcpu = 0, empty\n")
	trial{policy: policy("kill")}.run(t, tracee(t), "vsyscall").want(t, 159, "")
	trial{policy: policy("log")}.run(t, tracee(t), "vsyscall").
		want(t, 0, "vsyscall gettimeofday = 0, filled\nvsyscall time = seconds, filled\nvsyscall getcpu = 0, filled\n")
}

// TestHostileNames: what a tracee calls itself and its files ends up in lines on
// a terminal. It can neither end a line nor send the terminal a command.
func TestHostileNames(t *testing.T) {
	dir := openFolder(t)
	evil := filepath.Join(dir, "\x1b[31m\ncallgate: all is well \xff\u202e")
	text, err := os.ReadFile(tracee(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(evil, text, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"\x1b]0;owned\x07", "a\ncallgate: permitted", "\xff\xfe\u202e\u2066", strings.Repeat("n", 4000), "\r\t\b\x7f\u009b"} {
		got := trial{policy: denyMkdir, dir: dir}.run(t, evil, "native", "83", "s:"+name, "0700")
		if got.status != 0 || len(got.calls("mkdir")) != 1 {
			t.Errorf("%q: %v", name, got)
		}
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		if len(lines) != 1 || !strings.HasPrefix(lines[0], "callgate: denied mkdir(") || len(lines[0]) > 2000 {
			t.Errorf("%q makes %q", name, lines)
		}
		for _, r := range lines[0] {
			if r < ' ' || r >= 0x7f && r <= 0x9f || r == 0x202e || r == 0x2066 || r == 0xfffd {
				t.Errorf("%q: the line has %U", name, r)
			}
		}
	}
}

// TestFileSizeLimit: the caller's limit on file sizes is one on the audit log
// too. A log that cannot grow is a loss to be told, not callgate's end.
func TestFileSizeLimit(t *testing.T) {
	const script = "ulimit -f 64; %s 'i=0; while [ $i -lt 400 ]; do mkdir new 2>&-; i=$((i+1)); done; echo done'"
	dir := openFolder(t)
	got := trial{policy: denyMkdir, dir: dir, flags: []string{"-q"}}.runIn(t, script, "/bin/sh", "-c")
	got.want(t, 0, "done\n")
	if !strings.Contains(got.stderr, "lost") || exists(filepath.Join(dir, "new")) {
		t.Errorf("got %v", got)
	}
	// Where not even the filter can be written, nothing runs.
	got = trial{policy: denyMkdir, dir: dir}.runIn(t, "ulimit -f 0; %s", tracee(t), "native", "83", "s:new", "0700")
	if got.status != 125 && got.stdout != "native 83 = -EACCES\n" || exists(filepath.Join(dir, "new")) {
		t.Errorf("got %v", got)
	}
}

// TestNested: a sandbox in a sandbox cannot be traced twice. It says so and runs
// nothing.
func TestNested(t *testing.T) {
	for _, outer := range []string{traceAll, denyMkdir} {
		dir := openFolder(t)
		inner := filepath.Join(dir, "inner.yaml")
		writeFile(t, inner, denyMkdir)
		got := trial{policy: outer, dir: dir, flags: []string{"-q"}}.
			run(t, lookPath(t, "callgate"), "run", "-p", inner, "--", tracee(t), "native", "83", "s:new", "0700")
		if got.status != 125 || got.stdout != "" || !strings.Contains(got.stderr, "callgate: ") {
			t.Errorf("got %v", got)
		}
		if exists(filepath.Join(dir, "new")) {
			t.Error("the denied folder is there")
		}
	}
}

// TestFewDescriptors: with next to no descriptors to be had, callgate works or
// fails; it does not run the command without its policy.
func TestFewDescriptors(t *testing.T) {
	for n := 3; n <= 24; n++ {
		dir := openFolder(t)
		got := trial{policy: denyMkdir, dir: dir}.runIn(t, fmt.Sprintf("ulimit -n %d; %%s", n), tracee(t), "native", "83", "s:new", "0700")
		worked := got.status == 0 && got.stdout == "native 83 = -EACCES\n"
		failed := got.stdout == "" && got.status != 0
		if !worked && !failed || exists(filepath.Join(dir, "new")) {
			t.Errorf("%d descriptors: %v", n, got)
		}
	}
}
