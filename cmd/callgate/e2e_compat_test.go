package main

import (
	"fmt"
	"strings"
	"testing"

	"callgate/supervisor/audit"
)

// entryCase is a call by a way that is not the native one, and what an event
// must say of it.
type entryCase struct {
	way     string // the tracee's command, or "elf32"
	args    []string
	result  string // what it prints if the call is executed, after "NR = "
	abi     string
	entry   string
	code    string
	nr      int64
	name    string
	misread string
}

// x32Bit is __X32_SYSCALL_BIT of asm/unistd.h.
const x32Bit = 0x40000000

// entryCases make open, getpid and execve by each way into the kernel. The
// numbers are i386's: 5, 20 and 11 are fstat, writev and munmap in the x86-64
// table. The kernels of distributions have x32 off: an allowed call is ENOSYS.
func entryCases() []entryCase {
	open := []string{"5", "s:/etc/hostname", "0"}
	getpid := []string{"20"}
	execve := []string{"11", "s:/bin/echo", "v:echo", "0"}
	return []entryCase{
		{"int80", open, "3", "i386", "int80", "64-bit", 5, "open", "fstat"},
		{"int80", getpid, "pid", "i386", "int80", "64-bit", 20, "getpid", "writev"},
		{"int80", execve, "", "i386", "int80", "64-bit", 11, "execve", "munmap"},
		{"far", open, "3", "i386", "int80", "32-bit", 5, "open", ""},
		{"far", getpid, "pid", "i386", "int80", "32-bit", 20, "getpid", ""},
		{"elf32", open, "3", "i386", "int80", "32-bit", 5, "open", ""},
		{"elf32", getpid, "pid", "i386", "int80", "32-bit", 20, "getpid", ""},
		{"elf32", execve, "", "i386", "int80", "32-bit", 11, "execve", ""},
		{"x32", []string{"2", "s:/etc/hostname", "0"}, "-ENOSYS", "x32", "syscall", "", 2 | x32Bit, "open", ""},
		{"x32", []string{"39"}, "-ENOSYS", "x32", "syscall", "", 39 | x32Bit, "getpid", ""},
		{"x32", []string{"520", "s:/bin/echo", "v:echo", "0"}, "-ENOSYS", "x32", "syscall", "", 520 | x32Bit, "execve", ""},
	}
}

func (c entryCase) command(t *testing.T) []string {
	if c.way == "elf32" {
		return append([]string{elf32(t)}, c.args...)
	}
	return append([]string{tracee(t), c.way}, c.args...)
}

// printed is the line that the case's command prints for a result.
func (c entryCase) printed(result string) string {
	return fmt.Sprintf("%s %s = %s\n", c.way, c.args[0], result)
}

// executed is what the command prints where the call is let through; echo, that
// the execve cases become, prints an empty line.
func (c entryCase) executed() string {
	if c.result == "" {
		return "\n"
	}
	return c.printed(c.result)
}

func compatPolicy(action, rule string) string {
	return fmt.Sprintf("callgate: 1\ndefault: allow\ncompat: {i386: %s, x32: %s}\nsyscalls:\n  - %s\n", action, action, rule)
}

// TestCompat is every way into the kernel under each of kill, deny and same:
// the right verdict, name and entry, each time.
func TestCompat(t *testing.T) {
	for _, c := range entryCases() {
		t.Run(c.way+" "+c.name, func(t *testing.T) {
			t.Run("bare", c.bare)
			t.Run("kill", c.kill)
			t.Run("deny", c.deny)
			t.Run("same", c.same)
			t.Run("same and denied", c.sameDenied)
			t.Run("same and killed", c.sameKilled)
		})
	}
}

func (c entryCase) bare(t *testing.T) {
	trial{bare: true}.run(t, c.command(t)...).want(t, 0, c.executed())
}

func (c entryCase) kill(t *testing.T) {
	got := trial{policy: compatPolicy("kill", "deny: acct")}.run(t, c.command(t)...)
	got.want(t, 159, "")
	c.check(t, got, "kill", "", "compat")
}

// deny: an ABI that the policy does not want is one that the kernel does not have.
func (c entryCase) deny(t *testing.T) {
	got := trial{policy: compatPolicy("deny", "deny: acct")}.run(t, c.command(t)...)
	if c.way == "elf32" { // its write and exit are denied too: it ends by a fault
		if got.stdout != "" || got.status < 128 {
			t.Errorf("got %v", got)
		}
	} else {
		got.want(t, 0, c.printed("-ENOSYS"))
	}
	c.check(t, got, "deny", "ENOSYS", "compat")
}

func (c entryCase) same(t *testing.T) {
	got := trial{policy: compatPolicy("same", "log: [open, getpid, execve]")}.run(t, c.command(t)...)
	got.want(t, 0, c.executed())
	c.check(t, got, "log", "", "policy.yaml:5")
}

func (c entryCase) sameDenied(t *testing.T) {
	rule := fmt.Sprintf("deny: %s\n    errno: EACCES", c.name)
	got := trial{policy: compatPolicy("same", rule)}.run(t, c.command(t)...)
	got.want(t, 0, c.printed("-EACCES"))
	c.check(t, got, "deny", "EACCES", "policy.yaml:5")
}

func (c entryCase) sameKilled(t *testing.T) {
	got := trial{policy: compatPolicy("same", "kill: "+c.name)}.run(t, c.command(t)...)
	got.want(t, 159, "")
	c.check(t, got, "kill", "", "policy.yaml:5")
}

// check looks for the one event that the case must have made.
func (c entryCase) check(t *testing.T, got outcome, verdict, errno, rule string) {
	t.Helper()
	var found []audit.Event
	for _, e := range got.calls(c.name) {
		if e.ABI == c.abi && e.Code == c.code {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no event for %s %s; events %v\n%v", c.abi, c.name, describe(got.calls("")), got)
	}
	e := found[0]
	if e.Entry != c.entry || e.Nr != c.nr || e.Misread != c.misread {
		t.Errorf("entry %q nr %d misread %q; want %q %d %q", e.Entry, e.Nr, e.Misread, c.entry, c.nr, c.misread)
	}
	if e.Verdict != verdict || e.Errno != errno || !strings.HasSuffix(e.Rule, rule) || !e.Enforced {
		t.Errorf("verdict %q errno %q rule %q enforced %v; want %q %q %q", e.Verdict, e.Errno, e.Rule, e.Enforced,
			verdict, errno, rule)
	}
}

func describe(events []audit.Event) (lines []string) {
	for _, e := range events {
		lines = append(lines, fmt.Sprintf("%s/%s/%s %d %s(%s) = %s %s by %s", e.ABI, e.Entry, e.Code, e.Nr, e.Syscall,
			strings.Join(e.Args, ", "), e.Verdict, e.Errno, e.Rule))
	}
	return lines
}
