package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callgate/supervisor/audit"
)

// awkward are names that files and sockets can have, each with one that a careless
// rule for it would speak of too.
var awkward = [][2]string{
	{"*", "secret"}, {"[id].tsx", "i.tsx"}, {"[!x]", "y"}, {"?", "x"}, {"**", "secret"}, {"$HOME", "HOME"}, {`a\b`, "ab"}, {`\*`, "*"},
	{"a b: - #", "a b"}, {"\"'", "x"}, {"\x1b[31m", "\x1bm"}, {"l\nread: /", "l"}, {"é\u202e\u0085", "é"}, {"~", "x"}, {"]", "x"},
}

// unnameable are those that no rule can be on.
var unnameable = []string{"\xff", "a\xc3"}

// onlyCall is the one call of a name that was decided.
func onlyCall(t *testing.T, got outcome, name string) audit.Event {
	t.Helper()
	if calls := got.calls(name); len(calls) == 1 {
		return calls[0]
	}
	t.Fatalf("no single %s in %v", name, got)
	return audit.Event{}
}

// pasted is the policy with what a denial says that permits it, above what denied it.
func pasted(t *testing.T, policy, permit string) string {
	t.Helper()
	section, rule, ok := strings.Cut(permit, ": - ")
	head := section + ":\n"
	if !ok || strings.Count(policy, head) != 1 {
		t.Fatalf("%q is no rule", permit)
	}
	return strings.Replace(policy, head, head+"  - "+rule+"\n", 1)
}

// roundTrip has a command denied, does what the denial says, and has it permitted; the
// command beside it stays denied.
func roundTrip(t *testing.T, policy, call string, command, beside []string) {
	t.Helper()
	dir := openFolder(t)
	got := trial{policy: policy, dir: dir}.run(t, command...)
	denied := onlyCall(t, got, call)
	if denied.Verdict != "deny" || !strings.Contains(got.stderr, denied.Permit) {
		t.Fatalf("%+v\n%v", denied.CallInfo, got)
	}
	policy = pasted(t, policy, denied.Permit)
	if got := (trial{policy: policy, dir: dir}).run(t, command...); len(got.calls(call)) > 0 {
		t.Errorf("%q with %s: %v", command, denied.Permit, got)
	}
	if got := (trial{policy: policy, dir: dir}).run(t, beside...); len(got.calls(call)) != 1 {
		t.Errorf("%q with %s: %v", beside, denied.Permit, got)
	}
}

// TestPermitOfNames: a name that a program has chosen gives a rule on nothing but that
// name.
func TestPermitOfNames(t *testing.T) {
	dir := openFolder(t)
	files := "callgate: 1\nfiles:\n  - deny: " + dir + "\n  - write: /\n"
	exec := "callgate: 1\nexec:\n  - deny: " + dir + "\n  - allow: /\n"
	network := "callgate: 1\nnetwork:\n  - bind: AF_UNIX\n"
	for _, names := range awkward {
		var paths [2]string
		for i, name := range names {
			paths[i] = filepath.Join(dir, name)
			if err := os.WriteFile(paths[i], []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(names[0], func(t *testing.T) {
			open := func(path string) []string { return []string{tracee(t), "native", "2", "s:" + path, "0"} }
			change := func(path string) []string { return []string{tracee(t), "native", "90", "s:" + path, "0755"} }
			run := func(path string) []string { return []string{"/bin/sh", "-c", `"$0"; :`, path} }
			roundTrip(t, files, "open", open(paths[0]), open(paths[1]))
			roundTrip(t, files, "chmod", change(paths[0]), change(paths[1]))
			roundTrip(t, exec, "execve", run(paths[0]), run(paths[1]))
			roundTrip(t, network, "connect", abstract(names[0]), abstract(names[1]))
		})
		for _, path := range paths {
			os.Remove(path)
		}
	}
	for _, name := range unnameable {
		got := trial{policy: files, dir: dir}.run(t, tracee(t), "native", "2", "s:"+filepath.Join(dir, name), "0101", "0600")
		if permit := onlyCall(t, got, "open").Permit; permit != "no rule of files can name it: its name is not UTF-8, as policies are" {
			t.Errorf("%q: %s", name, permit)
		}
	}
}

// abstract connects to an abstract socket.
func abstract(name string) []string {
	const script = `
import os, socket, sys
try: socket.socket(socket.AF_UNIX).connect(b"\0" + os.fsencode(sys.argv[1]))
except OSError: pass
`
	return []string{"/usr/bin/python3", "-c", script, name}
}

// TestPermitOfLinks: a rule on a symbolic link itself opens nothing of what it leads to.
func TestPermitOfLinks(t *testing.T) {
	dir := openFolder(t)
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	writeFile(t, target, "")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	change := func(nr, path string) []string {
		return []string{tracee(t), "native", nr, "s:" + path, itoa(os.Getuid()), itoa(os.Getgid())}
	}
	policy := "callgate: 1\nfiles:\n  - deny: " + dir + "\n  - write: /\n"
	roundTrip(t, policy, "", change("94", link), change("92", target)) // lchown, chown
	roundTrip(t, policy, "", change("94", link), change("92", link))
}

// TestPermitOfFolders: a rule on a folder is one on all that is beneath it, which is
// said, and on none beside it. Of /proc a rule is on each task's own.
func TestPermitOfFolders(t *testing.T) {
	dir := openFolder(t)
	beside := filepath.Join(dir, "beside")
	if err := os.Mkdir(beside, 0o755); err != nil {
		t.Fatal(err)
	}
	open := func(path string) []string { return []string{tracee(t), "native", "2", "s:" + path, "0"} }
	policy := "callgate: 1\nfiles:\n  - deny: [" + dir + ", /proc]\n  - write: /\n"
	got := trial{policy: policy, dir: openFolder(t)}.run(t, open(dir)...)
	if permit := onlyCall(t, got, "open").Permit; permit != "files: - read: "+dir+" # and all beneath it" {
		t.Error(permit)
	}
	roundTrip(t, policy, "open", open(beside), open(dir))
	roundTrip(t, policy, "open", open("/proc/self/status"), open("/proc/self/maps"))
	roundTrip(t, policy, "open", open("/proc/self/status"), open("/proc/1/status"))
}

// TestPermitOfSockets: where no rule is on what a socket is, that is said, and not the
// whole network opened.
func TestPermitOfSockets(t *testing.T) {
	policy := "callgate: 1\nnetwork:\n  - deny: 192.0.2.9\n"
	socket := func(domain, kind, protocol string) []string {
		return []string{tracee(t), "native", "41", domain, kind, protocol}
	}
	for _, c := range []struct{ domain, kind, protocol, permit, reason string }{
		{"2", "3", "1", "no rule of network can permit it", "the addresses of such a socket do not stand where rules look"},
		{"2", "1", "132", "no rule of network can permit it", "the addresses of such a socket do not stand where rules look"},
		{"10", "0x80003", "58", "no rule of network can permit it", "the addresses of such a socket do not stand where rules look"},
		{"2", "1", "6", `no rule is on a socket alone: permit what it is for, as by network: - connect: "192.0.2.1:443"`, ""},
		{"1", "1", "0", `no rule is on a socket alone: permit what it is for, as by network: - connect: "unix:/run/x.sock"`, ""},
		{"99", "1", "0", "no rule of network can name it: its address family has no name", ""},
	} {
		got := trial{policy: policy}.run(t, socket(c.domain, c.kind, c.protocol)...)
		e := onlyCall(t, got, "socket")
		if e.Permit != c.permit || e.Reason != c.reason || !strings.Contains(got.stderr, "; "+c.permit+"\n") {
			t.Errorf("%+v: %+v\n%v", c, e.CallInfo, got)
		}
	}
	roundTrip(t, policy, "socket", socket("16", "3", "0"), socket("17", "3", "0"))
}

// TestPermitOfNothing: what a guard denies too no rule of the policy permits, and
// nobody is sent to try.
func TestPermitOfNothing(t *testing.T) {
	policy := "callgate: 1\nextends: builtin:base\nsyscalls:\n  - deny: [prlimit64, io_uring_setup, unshare, ioctl]\nfiles: [{read: " + tracee(t) + "}]\nexec: [{allow: /}]\n"
	const never = "never permitted: it would lead around the policy"
	for call, line := range map[string]string{
		"io_uring_setup":    "native 425 1 0",
		"bpf":               "native 321 0 0 0",
		"userfaultfd":       "native 323 0",
		"mount":             "native 165 0 0 0 0 0",
		"setns":             "native 308 0 0",
		"unshare":           "native 272 0x10000000",
		"prctl":             "native 157 35 1 0x400000 0 0",
		"mknod":             "native 133 s:/tmp/no 0020600 0x103",
		"open_by_handle_at": "native 304 -100 0 0",
		"ioctl":             "native 16 0 0x5412 0",
		"open":              "native 2 s:/proc/self/mem 2",
		"prlimit64":         "native 302 1 0 0 0",
	} {
		dir := openFolder(t)
		got := trial{policy: policy, dir: dir}.run(t, traceeCommand(line)(t, dir)...)
		calls := got.calls(call) // the last is the tracee's own, and not its C library's
		if len(calls) == 0 || calls[len(calls)-1].Permit != never {
			t.Errorf("%s: %v", line, got)
		}
	}
	// The same by the guard's word alone.
	got := trial{policy: "callgate: 1\ndefault: allow\nsyscalls: [{deny: mkdir}]\n"}.run(t, tracee(t), "native", "302", "1", "0", "0", "0")
	if e := onlyCall(t, got, "prlimit64"); e.Permit != never || !strings.Contains(got.stderr, never) {
		t.Errorf("%+v\n%v", e.CallInfo, got)
	}
}

// TestPermitOfSeveral: each policy that denies is named with the rule that it takes.
func TestPermitOfSeveral(t *testing.T) {
	dir := openFolder(t)
	other := filepath.Join(dir, "b.yaml")
	writeFile(t, other, "callgate: 1\ndefault: allow\nsyscalls:\n  - deny: mkdir\nfiles:\n  - deny: "+dir+"\n")
	first := "callgate: 1\ndefault: allow\nsyscalls:\n  - deny: mkdir\nfiles:\n  - deny: " + dir + "\n"
	got := trial{policy: first, flags: []string{"-p", other}}.run(t, tracee(t), "native", "83", "s:"+dir+"/new", "0700")
	if permit := onlyCall(t, got, "mkdir").Permit; permit != "- allow: mkdir; and above "+other+":4: - allow: mkdir" {
		t.Error(permit)
	}
	got = trial{policy: first, flags: []string{"-p", other}}.run(t, tracee(t), "native", "2", "s:"+dir+"/new*", "0")
	rule := `files: - read: "` + dir + `/new\\*"`
	if permit := onlyCall(t, got, "open").Permit; permit != rule+"; and above "+other+":6: "+rule {
		t.Error(permit)
	}
}
