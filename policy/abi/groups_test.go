package abi

import (
	"slices"
	"strings"
	"testing"
)

// inNone are the calls that no group holds, and why.
var inNone = map[string]string{
	"socketcall": "stands for other calls, which are in @network-io",
	"ipc":        "stands for other calls, which are in @ipc",
	"mincore":    "tells what other processes have in the page cache; no set of systemd's has it",
	"syslog":     "reads and clears the kernel's log; no set of systemd's has it",
}

func TestEveryCallIsInAGroup(t *testing.T) {
	for _, name := range Names() {
		in, reason := GroupsOf(name), inNone[name]
		if (len(in) == 0) != (reason != "") {
			t.Errorf("%s is in %v, reason for none %q", name, in, reason)
		}
	}
}

func TestGroups(t *testing.T) {
	if !slices.IsSortedFunc(groups, func(x, y Group) int { return strings.Compare(x.Name, y.Name) }) {
		t.Error("not by name")
	}
	for _, g := range Groups() {
		got, ok := FindGroup(g.Name)
		if !ok || got != g || g.Help == "" || g.Name[0] != '@' {
			t.Errorf("%+v", g)
		}
		calls := g.Calls()
		if len(calls) == 0 || !slices.IsSorted(calls) || len(slices.Compact(slices.Clone(calls))) != len(calls) {
			t.Errorf("%s: %v", g.Name, calls)
		}
		for _, name := range calls {
			if !Known(name) {
				t.Errorf("%s has %s", g.Name, name)
			}
		}
		for _, m := range strings.Fields(g.members) {
			if _, ok := FindGroup(m); m[0] == '@' && !ok {
				t.Errorf("%s has %s", g.Name, m)
			}
		}
	}
	for _, bad := range []string{"", "@", "aio", "@nothing"} {
		if _, ok := FindGroup(bad); ok {
			t.Error(bad)
		}
	}
}

func TestGroupMembers(t *testing.T) {
	for _, c := range []struct{ group, in, out string }{
		{"@basic-io", "read write close _llseek pwritev2", "open ioctl"},
		{"@file-system", "openat openat2 stat64 fchmodat2 removexattrat", "socket chroot"},
		{"@process", "clone clone3 waitpid", "execve ptrace"},
		{"@system-service", "ioctl read socket clone", "ptrace mount kexec_load seccomp"},
		{"@privileged", "chown32 stime reboot iopl", "read"},
		{"@known", "read socketcall syslog", "nothing"},
	} {
		g, _ := FindGroup(c.group)
		calls := g.Calls()
		for _, name := range strings.Fields(c.in) {
			if !slices.Contains(calls, name) {
				t.Errorf("%s lacks %s", c.group, name)
			}
		}
		for _, name := range strings.Fields(c.out) {
			if slices.Contains(calls, name) {
				t.Errorf("%s has %s", c.group, name)
			}
		}
	}
}
