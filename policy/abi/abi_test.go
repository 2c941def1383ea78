package abi

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNumbersKnownByHeart(t *testing.T) {
	for _, c := range []struct {
		arch Arch
		nr   uint32
		name string
	}{
		{X86_64, 0, "read"}, {X86_64, 59, "execve"}, {X86_64, 257, "openat"}, {X86_64, 435, "clone3"},
		{I386, 5, "open"}, {I386, 11, "execve"}, {I386, 20, "getpid"}, {I386, 102, "socketcall"}, {I386, 192, "mmap2"},
		{X32, X32Bit | 1, "write"}, {X32, X32Bit | 512, "rt_sigaction"}, {X32, X32Bit | 520, "execve"}, {X32, X32Bit | 547, "pwritev2"},
		{AArch64, 56, "openat"}, {AArch64, 220, "clone"}, {AArch64, 221, "execve"},
	} {
		s, ok := c.arch.Lookup(c.nr)
		if !ok || s.Name != c.name || s.Nr != c.nr || s.Arch != c.arch {
			t.Errorf("%v %#x: %+v, want %s", c.arch, c.nr, s, c.name)
		}
	}
}

func TestNumbersWithoutCall(t *testing.T) {
	for _, c := range []struct {
		arch Arch
		nr   uint32
	}{
		{X86_64, 400}, {X86_64, 512}, {X86_64, X32Bit}, {X86_64, ^uint32(0)}, {X86_64, 1 << 20},
		{I386, 222}, {I386, 415}, {I386, X32Bit | 1},
		{X32, 1}, {X32, X32Bit | 13}, {X32, X32Bit | 16}, {X32, X32Bit | 59}, {X32, X32Bit | 548}, {X32, ^uint32(0)},
		{AArch64, 244}, {AArch64, 300}, {0, 0}, {AArch64 + 1, 0},
	} {
		if s, ok := c.arch.Lookup(c.nr); ok {
			t.Errorf("%v %#x is %s", c.arch, c.nr, s.Name)
		}
	}
}

func TestNumbersAsXSys(t *testing.T) {
	for nr, name := range map[uint32]string{
		unix.SYS_GETPID: "getpid", unix.SYS_SECCOMP: "seccomp", unix.SYS_OPENAT2: "openat2",
		unix.SYS_MSEAL: "mseal", unix.SYS_RSEQ_SLICE_YIELD: "rseq_slice_yield",
	} {
		if s, ok := Native().Lookup(nr); !ok || s.Name != name {
			t.Errorf("%d: %+v, want %s", nr, s, name)
		}
	}
}

// TestTables checks what the look-ups stand on, for every entry.
func TestTables(t *testing.T) {
	if !slices.IsSortedFunc(nameIndex, func(x, y nameEntry) int { return strings.Compare(x.name, y.name) }) {
		t.Error("nameIndex is not sorted")
	}
	for _, a := range Arches() {
		count := 0
		for s := range a.All() {
			count++
			checkEntry(t, a, s)
		}
		if count < 320 {
			t.Errorf("%v has %d calls", a, count)
		}
	}
}

func checkEntry(t *testing.T, a Arch, s *Syscall) {
	if got, ok := a.Lookup(s.Nr); !ok || got != s {
		t.Errorf("%v %s: Lookup(%#x) = %+v", a, s.Name, s.Nr, got)
	}
	if got, ok := a.ByName(s.Name); !ok || got != s {
		t.Errorf("%v %s: ByName = %+v", a, s.Name, got)
	}
	for _, name := range []string{s.Name, s.Canonical} {
		if !slices.Contains(named(a, name), s) {
			t.Errorf("%v: named(%s) lacks %s", a, name, s.Name)
		}
		if !Known(name) {
			t.Errorf("%s is not known", name)
		}
	}
	if got, ok := Of(a.Audit(), uint64(s.Nr)); !ok || got != a {
		t.Errorf("Of(%#x, %#x) = %v", a.Audit(), s.Nr, got)
	}
	if s.Arch != a || (s.Nr&X32Bit != 0) != (a == X32) {
		t.Errorf("%v: %+v", a, s)
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		audit uint32
		nr    uint64
		want  Arch
	}{
		{AuditX86_64, 1, X86_64}, {AuditX86_64, X32Bit, X32}, {AuditX86_64, X32Bit | 999, X32},
		{AuditX86_64, ^uint64(0), X86_64}, {AuditX86_64, 0xffffffff, X86_64},
		{AuditI386, X32Bit | 1, I386}, {AuditI386, 5, I386}, {AuditAArch64, 56, AArch64}, {0x40000028, 5, 0}, {0, 0, 0},
	} {
		if got, ok := Of(c.audit, c.nr); got != c.want || ok != (c.want != 0) {
			t.Errorf("Of(%#x, %#x) = %v, %t; want %v", c.audit, c.nr, got, ok, c.want)
		}
	}
}

func TestArchNames(t *testing.T) {
	for _, a := range Arches() {
		if got, ok := ParseArch(a.String()); !ok || got != a {
			t.Errorf("ParseArch(%s) = %v", a, got)
		}
	}
	for _, bad := range []string{"", "unknown", "mips", "X86_64"} {
		if a, ok := ParseArch(bad); ok {
			t.Errorf("ParseArch(%q) = %v", bad, a)
		}
	}
	if s := Arch(0).String() + Arch(99).String(); s != "unknownunknown" {
		t.Error(s)
	}
}

// named are the entries that a rule on name applies to, by number: those with that
// Name or Canonical.
func named(a Arch, name string) []*Syscall {
	i, ok := findName(name)
	if !ok {
		return nil
	}
	var list []*Syscall
	if s, ok := a.indexed(i); ok {
		list = append(list, s)
	}
	e := &nameIndex[i]
	if e.first == e.end {
		return list
	}
	for _, v := range variantIndex[e.first:e.end] {
		if s, ok := a.indexed(int(v)); ok {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(x, y *Syscall) int { return int(x.Nr) - int(y.Nr) })
	return list
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		arch Arch
		name string
		want string
	}{
		{I386, "fcntl", "fcntl fcntl64"}, {I386, "fcntl64", "fcntl64"}, {I386, "newfstatat", "fstatat64"},
		{I386, "stat", "oldstat stat stat64"}, {I386, "mmap", "mmap mmap2"}, {I386, "wait4", "waitpid wait4"},
		{I386, "uname", "oldolduname olduname uname"}, {I386, "umount2", "umount umount2"}, {I386, "accept", "accept4"},
		{I386, "rt_sigaction", "signal sigaction rt_sigaction"}, {I386, "lseek", "lseek _llseek"},
		{I386, "chown", "chown chown32"}, {I386, "fchownat", "fchownat"}, {I386, "futex", "futex futex_time64"},
		{X86_64, "fcntl64", ""}, {X86_64, "chown", "chown"}, {X32, "ioctl", "ioctl"}, {AArch64, "open", ""},
		{X86_64, "opnat", ""}, {0, "read", ""},
	} {
		var got []string
		for _, s := range named(c.arch, c.name) {
			got = append(got, s.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v %s: %v, want %s", c.arch, c.name, got, c.want)
		}
	}
}

func TestSince(t *testing.T) {
	for _, c := range []struct {
		arch Arch
		name string
		want Version
	}{
		{X86_64, "read", Version{}}, {X86_64, "clone3", Version{5, 3}}, {X86_64, "mseal", Version{6, 10}},
		{I386, "semget", Version{5, 1}}, {X86_64, "semget", Version{}}, {I386, "futex_time64", Version{5, 1}},
		{AArch64, "kexec_file_load", Version{5, 0}}, {X86_64, "kexec_file_load", Version{}},
	} {
		if s, _ := c.arch.ByName(c.name); s.Since != c.want {
			t.Errorf("%v %s: %v", c.arch, c.name, s.Since)
		}
	}
	for _, a := range Arches() {
		for s := range a.All() {
			if s.Nr&^X32Bit >= 424 && s.Nr&^X32Bit < 512 && s.Since.Before(Version{5, 1}) {
				t.Errorf("%v %s has no version", a, s.Name)
			}
		}
	}
}
