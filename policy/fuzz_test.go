package policy

import (
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"testing"

	"callgate/policy/abi"
)

// seeds are the texts of all policies that the repository has, good and bad.
func seeds(f *testing.F) (texts [][]byte) {
	for _, glob := range []string{"../configs/*.yaml", "testdata/broken/*.yaml"} {
		names, err := filepath.Glob(glob)
		if err != nil || len(names) == 0 {
			f.Fatalf("%s: %d files, %v", glob, len(names), err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			texts = append(texts, text)
		}
	}
	return append(texts, []byte(everyForm))
}

const everyForm = `callgate: 1
description: every form
default: log
errno: EIO
kernel: 6.1
syscalls:
  - allow: read
    args: { fd: [0, 0x1, {min: -5, max: 7}], count: {not: [{mask: 0xff, is: [1, 2]}, 3]} }
  - skip: ["@chown", write]
    value: -5000
    quiet: true
    reason: "text: with \"quotes\" and # signs"
  - deny: openat
    args: { flags: O_CREAT|O_WRONLY, dirfd: AT_FDCWD, arg3: {max: 0o777} }
  - log: "@known"
compat: {i386: same, x32: deny}
limits: {wall-time: 1h30m, cpu-time: 0.5s, memory: 2GiB, processes: 256, open-files: 1024, file-size: 1025B, output: 64KiB, disk: 3MiB, inodes: 1000}
environment:
  keep: [PATH, "GO*"]
  set: { CI: "true", EMPTY: "" }
  private-tmp: true
files:
  - deny: ["~/.ssh", "**/.env", "~"]
    errno: ENOENT
    reason: secrets
  - read: [/usr, ., "../x//y/.", "/a/[!b-d]*/**/c?", "/\\*", "./**/x/**"]
  - write: ["$TMPDIR", "${HOME}x/$Y", $PWD/z, "/x/$A*"]
  - {log: "/é\\\u007f"}
exec:
  - allow: [/usr/bin, "./scripts/*.sh"]
  - {kill: /usr/bin/sudo}
  - {deny: "**", quiet: true}
network:
  - deny: 169.254.169.254
  - connect: ["127.0.0.1:*", "10.0.0.0/8:443", "[::1]:5432", "unix:/run/pg/*", "unix:@bus*", "fe80::/10", "*:80-90", db.example:1, "::ffff:1.2.3.4"]
  - bind: ["unix:~/s", AF_NETLINK, "unix:@", "[fe80::/10]:7", "*"]
tests:
  - call: openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_CLOEXEC)
    expect: deny
    errno: EACCES
    reason: secrets
  - {call: ["i386:socket(AF_INET, 1)", 9999, connect], expect: kill}
  - {call: 'connect(3, "unix:/run/x")', expect: log, abi: aarch64}
  - {call: "chown(\"/x\", -1, 0x7)", expect: skip, value: -5000}
`

// without reads nothing from disk, so that a text alone decides.
var without = &Loader{ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist }}

// withTests does the same, and reads the calls of tests.
var withTests = &Loader{ReadFile: without.ReadFile, Tests: true}

// FuzzLoad: no text makes the loader panic, an error gives no policy, and a
// printed policy loads as one that prints the same.
func FuzzLoad(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := withTests.Parse("p.yaml", text)
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v and error %v", p, err)
		}
		if err != nil {
			if len(err.Error()) == 0 {
				t.Fatal("an error without words")
			}
			return
		}
		printed := p.String()
		q, err := without.Parse("q.yaml", []byte(printed))
		if err != nil {
			t.Fatalf("%v\nprinted as\n%s", err, printed)
		}
		if q.String() != printed {
			t.Fatalf("first\n%sthen\n%s", printed, q)
		}
		for i := range p.Tests {
			if _, err := p.Tests[i].Call(); err != nil {
				t.Fatalf("%v, and the policy is loaded", err)
			}
		}
		_ = Lint(Set{p}, abi.Version{Major: 5, Minor: 10})
		_ = LintCalls(Set{p}, abi.Arches(), nothingDecides)
	})
}

func nothingDecides(Set, abi.Arch, uint32) ([]*Rule, bool) { return nil, true }

// FuzzDecide: every call of every ABI gets one of the five actions, the same
// each time and from a policy loaded anew.
func FuzzDecide(f *testing.F) {
	for i, text := range seeds(f) {
		f.Add(text, uint8(1+i%4), uint32(i*7), uint64(i), uint64(1)<<i, ^uint64(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, arch uint8, nr uint32, a, b, c uint64) {
		p, err := without.Parse("p.yaml", text)
		if err != nil {
			return
		}
		q, err := without.Parse("q.yaml", []byte(p.String()))
		if err != nil {
			t.Fatal(err)
		}
		call := abi.Call{Arch: abi.Arch(arch), Nr: nr, Args: [6]uint64{a, b, c, a ^ b, b ^ c, a + c}}
		v := p.Decide(call)
		if v != p.Decide(call) {
			t.Fatal("two answers")
		}
		if v.Action < Allow || v.Action > Kill || (v.Action == Deny) != (v.Errno != 0) || v.Policy != p || (v.Rule != nil) != (v.Cause == ByRule) {
			t.Fatalf("no verdict: %+v", v)
		}
		w := q.Decide(call)
		if v.Action != w.Action || v.Errno != w.Errno || v.Value != w.Value || v.Cause != w.Cause {
			t.Fatalf("as loaded %v, as printed and loaded %v", v, w)
		}
		if n := (Set{p, q}).On(call.Arch, call.Nr, nil).Decide(&call.Args); n != (Set{p, q}).Decide(call) {
			t.Fatalf("by its number %v", n)
		}
		if s := (Set{p, q}).Decide(call); s != v {
			t.Fatalf("alone %v, beside its equal %v", v, s)
		}
	})
}

// FuzzSections: sections bind or say why not, answer alike as loaded and as
// printed and loaded elsewhere, and give only whole verdicts.
func FuzzSections(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text, "/etc/[x]/build/.env", "/home/u/.ssh/id", uint16(443))
	}
	f.Fuzz(func(t *testing.T, text []byte, name, other string, port uint16) {
		p, err := without.Parse("/etc/[x]/p.yaml", text)
		if err != nil {
			return
		}
		q, err := without.Parse("/elsewhere/q.yaml", []byte(p.String()))
		if err != nil {
			t.Fatal(err)
		}
		a, errA := Set{p}.Bind(home)
		b, errB := Set{q}.Bind(home)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("as loaded %v, as printed %v", errA, errB)
		}
		if errA != nil {
			return
		}
		name, other = path.Clean("/"+name), path.Clean("/"+other)
		v, w := answers(a, name, other, port), answers(b, name, other, port)
		for i := range v {
			if v[i].Action != w[i].Action || v[i].Errno != w[i].Errno {
				t.Fatalf("question %d on %s, %s: as loaded %v, as printed %v\n%s", i, name, other, v[i], w[i], p)
			}
			if v[i].Action < Allow || v[i].Action > Kill || (v[i].Action == Deny) != (v[i].Errno != 0) || (v[i].Rule != nil) != (v[i].Cause == ByRule) || v[i].Section == Syscalls {
				t.Fatalf("question %d: no verdict: %+v", i, v[i])
			}
		}
		if a.MayMove(name, other) != b.MayMove(name, other) {
			t.Fatal("two answers")
		}
	})
}

// answers asks all that there is to ask.
func answers(s *Sections, name, other string, port uint16) []Verdict {
	v := []Verdict{s.Program(name), s.Program(other), s.Socket(2, 1, 0), s.Socket(10, 3, 0), s.Socket(uint32(port), 2, 0)}
	for a := Look; a <= Write; a++ {
		v = append(v, s.File(name, a), s.File(other, a))
	}
	for _, a := range []Address{
		{Family: 1, Path: name}, {Family: 1, Path: other[1:], Abstract: true}, {Family: 1}, {Family: port}, {Family: 2},
		{Family: 2, IP: netip.AddrFrom4([4]byte{10, 0, 0, 7}), Port: port}, {Family: 10, IP: netip.IPv6LinkLocalAllNodes(), Port: port},
	} {
		v = append(v, s.Connect(a), s.Listen(a))
	}
	return v
}
