package compile

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
	profiles "callgate/policy/foreign"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// profile is an OCI profile without what must be settled first: what runc gives to
// libseccomp.
type profile struct {
	DefaultAction   string
	DefaultErrnoRet *uint16
	Architectures   []string
	Syscalls        []struct {
		Name     string
		Names    []string
		Action   string
		ErrnoRet *uint16
		Args     []struct {
			Index           uint
			Value, ValueTwo uint64
			Op              string
		}
	}
}

func profileAction(t testing.TB, word string, errno *uint16) seccomp.ScmpAction {
	t.Helper()
	switch word {
	case "SCMP_ACT_ALLOW":
		return seccomp.ActAllow
	case "SCMP_ACT_LOG":
		return seccomp.ActLog
	case "SCMP_ACT_KILL_PROCESS":
		return seccomp.ActKillProcess
	case "SCMP_ACT_ERRNO":
		if errno == nil {
			return seccomp.ActErrno.SetReturnCode(int16(unix.EPERM))
		}
		return seccomp.ActErrno.SetReturnCode(int16(*errno))
	}
	t.Fatalf("action %s", word)
	return seccomp.ActInvalid
}

var profileOps = map[string]seccomp.ScmpCompareOp{
	"SCMP_CMP_NE": seccomp.CompareNotEqual, "SCMP_CMP_LT": seccomp.CompareLess, "SCMP_CMP_LE": seccomp.CompareLessOrEqual,
	"SCMP_CMP_EQ": seccomp.CompareEqual, "SCMP_CMP_GE": seccomp.CompareGreaterEqual, "SCMP_CMP_GT": seccomp.CompareGreater,
	"SCMP_CMP_MASKED_EQ": seccomp.CompareMaskedEqual,
}

var scmpArches = map[string]seccomp.ScmpArch{"SCMP_ARCH_X86_64": seccomp.ArchAMD64, "SCMP_ARCH_X86": seccomp.ArchX86, "SCMP_ARCH_X32": seccomp.ArchX32}

// filterOf has libseccomp compile a profile as runc does.
func filterOf(t testing.TB, text []byte) machine {
	t.Helper()
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	def := profileAction(t, p.DefaultAction, p.DefaultErrnoRet)
	f, err := seccomp.NewFilter(def)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	for _, name := range p.Architectures {
		if err := f.AddArch(scmpArches[name]); err != nil {
			t.Fatal(name, err)
		}
	}
	for _, s := range p.Syscalls {
		action := profileAction(t, s.Action, s.ErrnoRet)
		if action == def {
			continue
		}
		var conds []seccomp.ScmpCondition
		indexes := map[uint]bool{}
		for _, a := range s.Args {
			c, err := seccomp.MakeCondition(a.Index, profileOps[a.Op], a.Value, a.ValueTwo)
			if err != nil {
				t.Fatal(err)
			}
			conds = append(conds, c)
			indexes[a.Index] = true
		}
		rules := [][]seccomp.ScmpCondition{conds}
		if len(indexes) < len(conds) {
			rules = nil
			for _, c := range conds {
				rules = append(rules, []seccomp.ScmpCondition{c})
			}
		}
		if s.Name != "" {
			s.Names = append(s.Names, s.Name)
		}
		for _, name := range s.Names {
			call, err := seccomp.GetSyscallFromName(name)
			if err != nil {
				continue
			}
			for _, r := range rules {
				if len(r) == 0 {
					err = f.AddRule(call, action)
				} else {
					err = f.AddRuleConditional(call, action, r)
				}
				if err != nil {
					t.Fatal(name, err)
				}
			}
		}
	}
	e, err := newExporter()
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	program, err := e.export(f)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decode(program)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// agree compares a filter with a policy over every entry of every ABI, and values at
// and around those that either names, as the kernel reads them.
func agree(t *testing.T, m machine, p *policy.Policy, words []uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	calls, allowed := 0, 0
	for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
		for s := range arch.All() {
			if s.Multiplexer || !hasName(s) {
				continue
			}
			for range 300 {
				var args [6]uint64
				for i := range args {
					args[i] = words[r.IntN(len(words))] + uint64(r.IntN(3)) - 1
					args[i] &= asRead(s, i)
				}
				c := abi.Call{Arch: arch, Nr: s.Nr, Args: args}
				d := seccompData(arch.Audit(), s.Nr, &args)
				got, _ := m.run(&d, nil)
				if got == unix.SECCOMP_RET_KILL_THREAD {
					got = retKill
				}
				v := p.Decide(c)
				if want := profileAnswer(v); got != want {
					t.Fatalf("%v %s%#x: the filter answers %#x, the policy %v", arch, s.Name, args, got, v)
				}
				calls++
				if v.Action.Permits() {
					allowed++
				}
			}
		}
	}
	if allowed == 0 || allowed == calls {
		t.Errorf("%d of %d calls permitted: the test tells nothing", allowed, calls)
	}
}

// hasName says whether libseccomp has the entry by its name.
func hasName(s *abi.Syscall) bool {
	nr, err := seccomp.GetSyscallFromNameByArch(s.Name, scmpArch(s.Arch))
	return err == nil && uint32(nr)&^abi.X32Bit == s.Nr&^abi.X32Bit
}

// asRead masks a register for what the kernel reads of it.
func asRead(s *abi.Syscall, reg int) uint64 {
	for i := range s.Params {
		if p := &s.Params[i]; int(p.Lo) == reg && p.Bits < 64 {
			return 1<<p.Bits - 1
		} else if int(p.Lo) == reg || int(p.Hi) == reg {
			return ^uint64(0) >> (64 - s.Arch.RegisterBits())
		}
	}
	if len(s.Params) == 0 {
		return ^uint64(0) >> (64 - s.Arch.RegisterBits())
	}
	return 0
}

// profileWords are the values of a profile's conditions, and some more.
func profileWords(t *testing.T, text []byte) []uint64 {
	words := []uint64{0, 1, 2, 0xff, 1 << 31, 1 << 32, ^uint64(0)}
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			words = append(words, a.Value, a.ValueTwo, a.Value|1<<33, a.ValueTwo|17)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func parsed(t testing.TB, text []byte) *policy.Policy {
	t.Helper()
	p, err := (&policy.Loader{}).Parse("p.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

var divider = profiles.Divider{Pieces: Pieces, Clash: Clash, Misread: Misread}

// needX86 is for what has profiles of x86_64 alone.
func needX86(t *testing.T) {
	t.Helper()
	if abi.Native() != abi.X86_64 {
		fmt.Fprintf(os.Stderr, "%s is skipped: the profiles are for x86_64\n", t.Name())
		t.SkipNow()
	}
}

// TestForeignProfiles: a profile's filter, as libseccomp compiles it, answers every call
// as the converted policy decides it; and so does the filter of the profile that the
// policy is converted back to.
func TestForeignProfiles(t *testing.T) {
	needX86(t)
	files, err := filepath.Glob("testdata/oci/*.json")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			res, err := profiles.Convert(file, text, profiles.OCI, profiles.Options{})
			if err != nil {
				t.Fatal(err)
			}
			p := parsed(t, res.Text)
			words := profileWords(t, text)
			agree(t, filterOf(t, text), p, words)
			back, err := profiles.Export(p, profiles.OCI, profiles.Options{Approximate: true}, divider)
			if err != nil {
				t.Fatal(err)
			}
			again, err := profiles.Convert("again.json", back.Text, profiles.OCI, profiles.Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, back.Text)
			}
			agree(t, filterOf(t, back.Text), parsed(t, again.Text), words)
			if len(back.Notes) == 0 {
				agree(t, filterOf(t, back.Text), p, words)
			}
		})
	}
}

// TestForeignUnits: a policy without conditions means the same as a systemd unit's lines,
// and one with some permits no more there.
func TestForeignUnits(t *testing.T) {
	for _, c := range []struct {
		text        string
		approximate bool
	}{
		{"callgate: 1\nsyscalls:\n  - allow: [\"@basic-io\", brk, exit_group]\n  - deny: mount\n    errno: ENOSYS\n  - kill: reboot\n  - skip: chown\n", false},
		{"callgate: 1\ndefault: allow\nsyscalls:\n  - deny: [\"@mount\", chown32]\n  - kill: reboot\n  - skip: chown\ncompat: {i386: same}\n", false},
		{"callgate: 1\ndefault: kill\nsyscalls:\n  - allow: [read, exit]\n", false},
		{"callgate: 1\nsyscalls:\n  - allow: read\n    args: {fd: 0}\n  - log: write\n  - skip: lseek\n    value: 3\n  - allow: brk\ncompat: {x32: deny}\n", true},
		{"callgate: 1\ndefault: allow\nsyscalls:\n  - kill: read\n    args: {fd: 7}\n  - deny: read\n    args: {fd: {min: 9}}\n", true},
	} {
		p := parsed(t, []byte(c.text))
		opts := profiles.Options{Arch: abi.X86_64}
		if _, err := profiles.Export(p, profiles.Systemd, opts, divider); (err != nil) != c.approximate {
			t.Errorf("%s: %v", c.text, err)
		}
		opts.Approximate = c.approximate
		res, err := profiles.Export(p, profiles.Systemd, opts, divider)
		if err != nil {
			t.Fatal(err)
		}
		back, err := profiles.Convert("unit.conf", res.Text, profiles.Systemd, profiles.Options{Arch: abi.X86_64})
		if err != nil {
			t.Fatalf("%v\n%s", err, res.Text)
		}
		q := parsed(t, back.Text)
		for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
			for s := range arch.All() {
				if !s.Multiplexer {
					sameCalls(t, p, q, s, c.approximate)
				}
			}
		}
	}
}

// FuzzExport: what a policy's profile permits, the policy does; and where the export is
// exact, they are the same. The profile is asked by converting it again.
func FuzzExport(f *testing.F) {
	f.Add("callgate: 1\nsyscalls:\n  - allow: [read, socket]\n    args: {fd: {not: [1, 2]}}\n", true)
	f.Add("callgate: 1\ndefault: allow\nsyscalls:\n  - deny: [socket, socketpair]\n    args: {domain: [AF_UNIX, {min: 9}]}\n  - skip: lseek\n    args: {offset: -1}\ncompat: {i386: same, x32: same}\n", true)
	f.Add("callgate: 1\nerrno: 4095\nsyscalls:\n  - log: [\"@basic-io\", clone]\n  - skip: mount\n    value: 7\n  - kill: mmap\n    args: {prot: {mask: PROT_EXEC, is: PROT_EXEC}, offset: {max: 5000000000}}\ncompat: {i386: deny}\n", false)
	f.Fuzz(func(t *testing.T, text string, approximate bool) {
		p, err := (&policy.Loader{ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist }}).Parse("p.yaml", []byte(text))
		if err != nil || len(p.Rules) > 50 {
			return
		}
		opts := profiles.Options{Arch: abi.X86_64, Approximate: approximate, OnlySyscalls: true}
		res, err := profiles.Export(p, profiles.OCI, opts, divider)
		if err != nil {
			return
		}
		opts.Approximate = false
		back, err := profiles.Convert("profile.json", res.Text, profiles.OCI, opts)
		if err != nil {
			t.Fatalf("%v\n%s", err, res.Text)
		}
		q := parsed(t, back.Text)
		for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
			for s := range arch.All() {
				if !s.Multiplexer {
					sameCalls(t, p, q, s, approximate)
				}
			}
		}
	})
}

// sameCalls asks both about an entry's calls at and around all that either names.
func sameCalls(t *testing.T, p, q *policy.Policy, s *abi.Syscall, stricter bool) {
	var b bounds
	b.collect(policy.Set{p, q}.On(s.Arch, s.Nr, nil), &exceptions{})
	b.each(500, func(args *[6]uint64) bool {
		for i := range args {
			args[i] &= asRead(s, i)
		}
		c := abi.Call{Arch: s.Arch, Nr: s.Nr, Args: *args}
		v, w := p.Decide(c), q.Decide(c)
		if !same(&v, &w) && (!stricter || w.Action.Permits()) {
			t.Errorf("%v %s%#x: %v, as a profile %v", s.Arch, s.Name, *args, v, w)
			return false
		}
		return true
	})
}
