package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"callgate/policy/abi"
)

// parse loads a policy without `callgate: 1`, which it adds.
func parse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := (&Loader{}).Parse("p.yaml", []byte("callgate: 1\n"+text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// call makes a call by name.
func call(t testing.TB, a abi.Arch, name string, args ...uint64) abi.Call {
	t.Helper()
	s, ok := a.ByName(name)
	if !ok {
		t.Fatalf("%v has no %s", a, name)
	}
	c := abi.Call{Arch: a, Nr: s.Nr}
	copy(c.Args[:], args)
	return c
}

func TestDecide(t *testing.T) {
	const same = "compat: {i386: same, x32: same}\n"
	tests := []struct {
		policy string
		arch   abi.Arch
		name   string
		args   []uint64
		want   string
	}{
		// Order, defaults, what each action gives.
		{"syscalls: [{allow: read}]", abi.X86_64, "read", nil, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read}]", abi.X86_64, "write", nil, "deny EPERM (default)"},
		{"errno: EACCES\nsyscalls: [{deny: read}]", abi.X86_64, "read", nil, "deny EACCES (p.yaml:3:13)"},
		{"syscalls: [{deny: read, errno: 4095}]", abi.X86_64, "read", nil, "deny 4095 (p.yaml:2:13)"},
		{"syscalls: [{deny: read}, {allow: read}]", abi.X86_64, "read", nil, "deny EPERM (p.yaml:2:13)"},
		{"syscalls: [{skip: read, value: 7}]", abi.X86_64, "read", nil, "skip 7 (p.yaml:2:13)"},
		{"default: kill\nsyscalls: []", abi.X86_64, "read", nil, "kill (default)"},
		{"default: log\nsyscalls: []", abi.X86_64, "read", nil, "log (default)"},
		{"default: allow", abi.X86_64, "read", nil, "allow (default)"},
		{"compat: {i386: same}", abi.I386, "read", nil, "allow (default)"},
		{`syscalls: [{allow: "@basic-io"}]`, abi.X86_64, "pwritev2", nil, "allow (p.yaml:2:13)"},
		{`syscalls: [{kill: "@known"}]`, abi.X86_64, "mount", nil, "kill (p.yaml:2:13)"},
		{"default: kill\nsyscalls: []", abi.X86_64, "restart_syscall", nil, "allow (default)"},
		{"syscalls: [{deny: restart_syscall}]", abi.X86_64, "restart_syscall", nil, "deny EPERM (p.yaml:2:13)"},
		// Compat.
		{"syscalls: [{allow: read}]", abi.I386, "read", nil, "kill (compat)"},
		{"compat: {i386: deny}\nsyscalls: [{allow: read}]", abi.I386, "read", nil, "deny ENOSYS (compat)"},
		{"compat: {i386: deny}\nsyscalls: [{allow: read}]", abi.X32, "read", nil, "kill (compat)"},
		{"compat: {i386: kill}\nsyscalls: [{allow: read}]", abi.AArch64, "read", nil, "allow (p.yaml:3:13)"},
		{same + "syscalls: [{allow: [chown, fcntl, mmap]}]", abi.I386, "chown32", nil, "allow (p.yaml:3:13)"},
		{same + "syscalls: [{allow: [chown, fcntl, mmap]}]", abi.I386, "mmap2", nil, "allow (p.yaml:3:13)"},
		{same + "syscalls: [{allow: chown32}]", abi.I386, "chown", nil, "deny EPERM (default)"},
		{same + "syscalls: [{allow: read}, {deny: socketcall}]", abi.I386, "socketcall", nil, "deny EPERM (p.yaml:3:28)"},
		{same + `syscalls: [{deny: "@network-io"}]`, abi.I386, "socketcall", nil, "allow (default)"},
		{same + `syscalls: [{deny: "@network-io"}]`, abi.I386, "socket", nil, "deny EPERM (p.yaml:3:13)"},
		// Widths and signs: the kernel reads 32 bits of an int.
		{"syscalls: [{allow: read, args: {fd: 3}}]", abi.X86_64, "read", []uint64{1<<32 | 3}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {arg0: 3}}]", abi.X86_64, "read", []uint64{1<<32 | 3}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {count: 3}}]", abi.X86_64, "read", []uint64{0, 0, 1<<32 | 3}, "deny EPERM (default)"},
		{"syscalls: [{allow: read, args: {fd: {max: 2}}}]", abi.X86_64, "read", []uint64{0xffffffff}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {fd: {min: 0, max: 2}}}]", abi.X86_64, "read", []uint64{0xffffffff}, "deny EPERM (default)"},
		{"syscalls: [{allow: read, args: {fd: -1}}]", abi.X86_64, "read", []uint64{0xffffffff}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {count: {min: 5}}}]", abi.X86_64, "read", []uint64{0, 0, 1 << 63}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: openat, args: {dirfd: AT_FDCWD}}]", abi.X86_64, "openat", []uint64{0xffffff9c}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: openat, args: {dirfd: AT_FDCWD}}]", abi.X86_64, "openat", []uint64{^uint64(99)}, "allow (p.yaml:2:13)"},
		// Forms.
		{"syscalls: [{allow: read, args: {fd: [1, {min: 5, max: 7}]}}]", abi.X86_64, "read", []uint64{6}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {fd: [1, {min: 5, max: 7}]}}]", abi.X86_64, "read", []uint64{4}, "deny EPERM (default)"},
		{"syscalls: [{allow: read, args: {fd: {not: [1, 2]}}}]", abi.X86_64, "read", []uint64{2}, "deny EPERM (default)"},
		{"syscalls: [{allow: read, args: {fd: {not: [1, 2]}}}]", abi.X86_64, "read", []uint64{3}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {fd: {not: {min: 1, max: 2}}}}]", abi.X86_64, "read", []uint64{2}, "deny EPERM (default)"},
		{"syscalls: [{allow: openat, args: {flags: {mask: O_ACCMODE, is: [O_RDONLY, O_WRONLY]}}}]", abi.X86_64, "openat", []uint64{0, 0, 0x80001}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: openat, args: {flags: {mask: O_ACCMODE, is: O_RDONLY}}}]", abi.X86_64, "openat", []uint64{0, 0, 2}, "deny EPERM (default)"},
		{"syscalls: [{allow: openat, args: {flags: O_CREAT|O_WRONLY|0x200}}]", abi.X86_64, "openat", []uint64{0, 0, 0x241}, "allow (p.yaml:2:13)"},
		{"syscalls: [{allow: read, args: {fd: 0x10, count: {max: 0b11}}}]", abi.X86_64, "read", []uint64{16, 0, 4}, "deny EPERM (default)"},
		// 64-bit values in two registers on i386.
		{same + "syscalls: [{allow: pread64, args: {offset: 0x200000001}}]", abi.I386, "pread64", []uint64{0, 0, 0, 1, 2}, "allow (p.yaml:3:13)"},
		{same + "syscalls: [{allow: pread64, args: {arg3: 0x200000001}}]", abi.I386, "pread64", []uint64{0, 0, 0, 1, 2}, "allow (p.yaml:3:13)"},
		// i386's old mmap has its arguments in memory: closed, whatever the pointer.
		{same + "syscalls: [{allow: mmap, args: {arg0: 0}}]", abi.I386, "mmap", nil, "deny EPERM (default)"},
		{same + "default: allow\nsyscalls: [{deny: mmap, args: {prot: {mask: PROT_EXEC, is: PROT_EXEC}}}]", abi.I386, "mmap", nil, "deny EPERM (p.yaml:4:13)"},
		// What an ABI cannot hold matches nothing there.
		{same + "syscalls: [{deny: read, args: {count: 0x100000000}}, {allow: read}]", abi.I386, "read", []uint64{0, 0, 0}, "allow (p.yaml:3:55)"},
		{same + "syscalls: [{deny: read, args: {count: {not: 0x100000000}}}]", abi.I386, "read", []uint64{0, 0, 0}, "deny EPERM (p.yaml:3:13)"},
		{same + "syscalls: [{allow: read, args: {count: {min: 5, max: 0x100000000}}}]", abi.I386, "read", []uint64{0, 0, 0xffffffff}, "allow (p.yaml:3:13)"},
	}
	for _, tt := range tests {
		p := parse(t, tt.policy)
		if got := p.Decide(call(t, tt.arch, tt.name, tt.args...)).String(); got != tt.want {
			t.Errorf("%s\n%v %s%x: got %s, want %s", tt.policy, tt.arch, tt.name, tt.args, got, tt.want)
		}
	}
}

func TestDecideUnknownNumbers(t *testing.T) {
	p := parse(t, "kernel: 5.4\ncompat: {i386: same, x32: same}\nsyscalls: [{allow: \"@known\"}]")
	openat2 := call(t, abi.X86_64, "openat2")
	for _, c := range []abi.Call{
		openat2,
		{Arch: abi.X86_64, Nr: 100000},
		{Arch: abi.X86_64, Nr: ^uint32(0)},
		{Arch: abi.X86_64, Nr: abi.X32Bit},
		{Arch: abi.X32, Nr: 0},
		{Arch: abi.X32, Nr: ^uint32(0)},
		{Arch: abi.I386, Nr: 1 << 20},
	} {
		if got := p.Decide(c).String(); got != "deny ENOSYS (unknown call)" {
			t.Errorf("%v %#x: %s", c.Arch, c.Nr, got)
		}
	}
	kill := parse(t, "default: kill\nsyscalls: []")
	if got := kill.Decide(abi.Call{Arch: abi.X86_64, Nr: 100000}).String(); got != "kill (unknown call)" {
		t.Error(got)
	}
	for _, a := range []abi.Arch{0, abi.AArch64 + 1, 255} {
		if got := parse(t, "").Decide(abi.Call{Arch: a}).String(); got != "kill (foreign ABI)" {
			t.Errorf("arch %d: %s", a, got)
		}
	}
}

// TestMissingParameterFailsClosed binds a condition to an entry that lacks its
// parameter, as a variant of a call in another ABI may.
func TestMissingParameterFailsClosed(t *testing.T) {
	args := []*arg{{name: "nothing", asks: []ask{{a: &operand{terms: []term{{number: 1}}}}}}}
	read, _ := abi.X86_64.ByName("read")
	for a := Allow; a <= Kill; a++ {
		c, ok := (&Rule{Action: a, args: args}).clause(read)
		if ok != a.Restricts() || len(c.Conds) != 0 {
			t.Errorf("%s: clause %v, %v", a, ok, c.Conds)
		}
	}
}

func TestSetTakesTheMostRestrictive(t *testing.T) {
	words := []string{"allow", "log", "ask", "skip", "deny", "kill"}
	for i, first := range words {
		for j, second := range words {
			a, b := parse(t, "syscalls: [{"+first+": read}]"), parse(t, "syscalls: [{"+second+": read}]")
			v := Set{a, b}.Decide(call(t, abi.X86_64, "read"))
			want := a
			if j > i {
				want = b
			}
			if v.Policy != want || v.Action.String() != words[max(i, j)] {
				t.Errorf("%s and %s: %s of the wrong policy", first, second, v)
			}
		}
	}
	if v := (Set{}).Decide(abi.Call{Arch: abi.X86_64}); v.Action != Kill {
		t.Errorf("an empty set: %s", v)
	}
}

func TestRestricts(t *testing.T) {
	const same = "compat: {i386: same, x32: same}\n"
	for text, want := range map[string]bool{
		"":                      true, // kills other ABIs
		same:                    false,
		same + "default: allow": false,
		same + "default: log\nsyscalls: [{log: read}, {allow: write}]": false,
		same + "syscalls: []":                             true,
		same + "default: allow\nsyscalls: [{skip: read}]": true,
		"compat: {i386: same, x32: deny}\ndefault: allow": true,
		same + "default: allow\nfiles: []":                true,
		same + "default: allow\nexec: [{log: /}]":         true,
		same + "network: []":                              true,
		same + "limits: {memory: 1GiB}":                   false,
		same + "limits: {processes: 9}":                   true, // a listener could go around the count
	} {
		if got := (Set{parse(t, text)}).Restricts(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestClausesAndDefaultAreDecide rebuilds Decide from what the compiler uses,
// on every number of every ABI.
func TestClausesAndDefaultAreDecide(t *testing.T) {
	p := parse(t, `compat: {i386: same, x32: deny}
syscalls:
  - allow: openat
    args: { flags: { mask: O_ACCMODE, is: O_RDONLY } }
  - deny: ["@file-system", socketcall]
  - log: "@basic-io"
`)
	for _, a := range abi.Arches() {
		for nr := range uint32(600) {
			if a == abi.X32 {
				nr |= abi.X32Bit
			}
			for _, arg := range []uint64{0, 1, 2, 1 << 32} {
				c := abi.Call{Arch: a, Nr: nr, Args: [6]uint64{arg, arg, arg}}
				want := p.DefaultFor(a, nr)
				for _, clause := range p.Clauses(a, nr) {
					if clause.Holds(&c.Args) {
						want = p.ruleVerdict(clause.Rule)
						break
					}
				}
				if got := p.Decide(c); got != want {
					t.Fatalf("%v %d: %v, want %v", a, nr, got, want)
				}
			}
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	set := Set{parse(t, "syscalls: [{allow: read, args: {fd: [1, {min: 5, max: 7}]}}]"), parse(t, "default: allow")}
	c := call(t, abi.X86_64, "read", 6)
	set.Decide(c)
	if n := testing.AllocsPerRun(100, func() { set.Decide(c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEnviron(t *testing.T) {
	caller := []string{"PATH=/bin", "HOME=/root", "GOPATH=/go", "SECRET=x", "CI=0", "odd"}
	host := parse(t, `environment: {keep: [PATH, "GO*", CI], set: {LANG: C, CI: "true"}}`)
	repo := parse(t, `environment: {keep: [PATH, HOME, SECRET], set: {LANG: de_DE, X: ""}}`)
	free := parse(t, "")
	for _, tt := range []struct {
		set  Set
		want string
	}{
		{Set{free}, "PATH=/bin HOME=/root GOPATH=/go SECRET=x CI=0 odd"},
		{Set{host}, "PATH=/bin GOPATH=/go CI=true LANG=C"},
		{Set{host, repo}, "PATH=/bin CI=true LANG=C X="},
		{Set{repo, host, free}, "PATH=/bin CI=true LANG=de_DE X="},
		{Set{parse(t, "environment: {keep: []}")}, ""},
		{Set{parse(t, `environment: {set: {CI: "1"}}`)}, "PATH=/bin HOME=/root GOPATH=/go SECRET=x odd CI=1"},
	} {
		if got := strings.Join(tt.set.Environ(slices.Clone(caller)), " "); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestWords(t *testing.T) {
	for a := Action(0); a <= Kill+1; a++ {
		if got, ok := parseAction(a.String()); ok != (a >= Allow && a <= Kill) || ok && got != a {
			t.Errorf("%d is %s is %d", a, a, got)
		}
	}
	for c := CompatAction(0); c <= CompatKill+1; c++ {
		if got, ok := parseCompat(c.String()); ok != (c >= CompatSame && c <= CompatKill) || ok && got != c {
			t.Errorf("%d is %s is %d", c, c, got)
		}
	}
	for e := uint16(1); e <= maxErrno; e++ {
		if got, ok := ParseErrno(ErrnoName(e)); !ok || got != e {
			t.Errorf("%d is %s is %d", e, ErrnoName(e), got)
		}
	}
	for text, want := range map[string]uint16{"0x10": 16, "0o17": 15, "0b11": 3, "4095": 4095, "0xfff": 4095,
		"0": 0, "4096": 0, "0x1000": 0, "017": 0, "1_0": 0, "+1": 0, "-1": 0, "0x": 0, "": 0} {
		if got, ok := ParseErrno(text); got != want || ok != (want > 0) {
			t.Errorf("%q is errno %d, %v", text, got, ok)
		}
	}
	if s := fmt.Sprint(ByRule, ByForeign, Cause(99)); s != "rule foreign ABI cause 99" {
		t.Error(s)
	}
}
