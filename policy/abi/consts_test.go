package abi

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func constsOf(t *testing.T, a Arch, call, param string) (*Consts, *Param) {
	t.Helper()
	s, ok := a.ByName(call)
	if !ok {
		t.Fatalf("%v has no %s", a, call)
	}
	p, ok := s.Param(param)
	if !ok || p.Consts == nil {
		t.Fatalf("%v %s.%s: %+v", a, call, param, p)
	}
	return p.Consts, p
}

func TestValuesAsXSys(t *testing.T) {
	for _, c := range []struct {
		call, param, name string
		want              uint64
	}{
		{"socket", "domain", "AF_UNIX", unix.AF_UNIX}, {"socket", "family", "AF_INET6", unix.AF_INET6},
		{"socket", "type", "SOCK_CLOEXEC", unix.SOCK_CLOEXEC}, {"socket", "protocol", "IPPROTO_TCP", unix.IPPROTO_TCP},
		{"setsockopt", "optname", "SO_REUSEPORT", unix.SO_REUSEPORT}, {"setsockopt", "level", "SOL_SOCKET", unix.SOL_SOCKET},
		{"openat", "flags", "O_TMPFILE", unix.O_TMPFILE}, {"openat", "flags", "O_DIRECTORY", unix.O_DIRECTORY},
		{"openat", "flags", "O_ACCMODE", unix.O_ACCMODE}, {"remap_file_pages", "flags", "MAP_FIXED_NOREPLACE", unix.MAP_FIXED_NOREPLACE},
		{"mprotect", "prot", "PROT_EXEC", unix.PROT_EXEC}, {"clone", "flags", "CLONE_NEWUSER", unix.CLONE_NEWUSER},
		{"clone", "flags", "CSIGNAL", unix.CSIGNAL}, {"unshare", "flags", "CLONE_NEWTIME", unix.CLONE_NEWTIME},
		{"prctl", "option", "PR_SET_DUMPABLE", unix.PR_SET_DUMPABLE}, {"prctl", "option", "PR_SET_PTRACER", unix.PR_SET_PTRACER},
		{"seccomp", "operation", "SECCOMP_SET_MODE_FILTER", unix.SECCOMP_SET_MODE_FILTER},
		{"seccomp", "flags", "SECCOMP_FILTER_FLAG_NEW_LISTENER", unix.SECCOMP_FILTER_FLAG_NEW_LISTENER},
		{"ioctl", "request", "TIOCSTI", unix.TIOCSTI}, {"ioctl", "request", "TIOCLINUX", unix.TIOCLINUX},
		{"ioctl", "request", "FS_IOC_SETFLAGS", unix.FS_IOC_SETFLAGS}, {"ioctl", "request", "SIOCGIFCONF", unix.SIOCGIFCONF},
		{"fcntl", "cmd", "F_SETLKW", unix.F_SETLKW}, {"kill", "sig", "SIGSYS", uint64(unix.SIGSYS)},
		{"ptrace", "request", "PTRACE_SEIZE", unix.PTRACE_SEIZE}, {"keyctl", "operation", "KEYCTL_READ", unix.KEYCTL_READ},
		{"bpf", "cmd", "BPF_PROG_LOAD", unix.BPF_PROG_LOAD}, {"mount", "mountflags", "MS_BIND", unix.MS_BIND},
		{"prlimit64", "resource", "RLIMIT_NOFILE", unix.RLIMIT_NOFILE}, {"clock_gettime", "clockid", "CLOCK_BOOTTIME", unix.CLOCK_BOOTTIME},
		{"unlinkat", "flags", "AT_REMOVEDIR", unix.AT_REMOVEDIR}, {"lseek", "whence", "SEEK_HOLE", unix.SEEK_HOLE},
		{"reboot", "cmd", "LINUX_REBOOT_CMD_RESTART", unix.LINUX_REBOOT_CMD_RESTART},
		{"open_by_handle_at", "mount_fd", "AT_FDCWD", ^uint64(99)}, {"memfd_create", "flags", "MFD_EXEC", unix.MFD_EXEC},
	} {
		s, ok := Native().ByName(c.call)
		if !ok {
			t.Errorf("no %s", c.call)
			continue
		}
		p, ok := s.Param(c.param)
		if !ok || p.Consts == nil {
			t.Errorf("%s.%s: %+v", c.call, c.param, p)
			continue
		}
		if got, ok := p.Consts.Value(c.name); !ok || got != c.want {
			t.Errorf("%s.%s %s = %#x, want %#x", c.call, c.param, c.name, got, c.want)
		}
	}
}

// TestValuesByABI holds constants that differ between ABIs.
func TestValuesByABI(t *testing.T) {
	for _, c := range []struct {
		arch              Arch
		call, param, name string
		want              uint64
	}{
		{X86_64, "openat", "flags", "O_DIRECTORY", 0o200000}, {AArch64, "openat", "flags", "O_DIRECTORY", 0o40000},
		{X86_64, "openat", "flags", "O_LARGEFILE", 0o100000}, {AArch64, "openat", "flags", "O_LARGEFILE", 0o400000},
		{X86_64, "ioctl", "request", "FS_IOC_GETFLAGS", 0x80086601}, {I386, "ioctl", "request", "FS_IOC_GETFLAGS", 0x80046601},
		{X32, "ioctl", "request", "FS_IOC_GETFLAGS", 0x80046601}, {I386, "fcntl64", "cmd", "F_GETLK64", 12},
		{X86_64, "fcntl", "cmd", "F_GETLK", 5}, {X86_64, "mmap", "flags", "MAP_32BIT", 0x40},
	} {
		k, _ := constsOf(t, c.arch, c.call, c.param)
		if got, ok := k.Value(c.name); !ok || got != c.want {
			t.Errorf("%v %s = %#x, want %#x", c.arch, c.name, got, c.want)
		}
	}
	k, _ := constsOf(t, AArch64, "mmap", "flags")
	if v, ok := k.Value("MAP_32BIT"); ok {
		t.Errorf("MAP_32BIT = %#x on aarch64", v)
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		call, param string
		v           uint64
		want        string
	}{
		{"openat", "flags", 0x80042, "O_RDWR|O_CREAT|O_CLOEXEC"}, {"openat", "flags", 0, "O_RDONLY"},
		{"openat", "flags", 0x80000, "O_RDONLY|O_CLOEXEC"}, {"openat", "flags", 0x410002, "O_RDWR|O_TMPFILE"},
		{"openat", "flags", 0x101001, "O_WRONLY|O_SYNC"}, {"openat", "flags", 3, "0x3"},
		{"openat", "flags", 0x40000042, "O_RDWR|O_CREAT|0x40000000"}, {"openat", "flags", 1<<40 | 1, "O_WRONLY"},
		{"openat", "dirfd", 0xffffff9c, "AT_FDCWD"}, {"openat", "dirfd", 3, "3"},
		{"clone", "flags", 0x1200011, "SIGCHLD|CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID"}, {"clone", "flags", 0x10000000, "CLONE_NEWUSER"},
		{"clone", "flags", 0, "0"}, {"unshare", "flags", 0, "0"}, {"unshare", "flags", 1 << 40, "0x10000000000"},
		{"mmap", "flags", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"}, {"mmap", "prot", 0, "PROT_NONE"}, {"mmap", "prot", 5, "PROT_READ|PROT_EXEC"},
		{"futex", "op", 393, "FUTEX_WAIT_BITSET|FUTEX_PRIVATE_FLAG|FUTEX_CLOCK_REALTIME"}, {"futex", "op", 128, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG"},
		{"socket", "type", 0x80801, "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC"}, {"socket", "domain", 1, "AF_UNIX"}, {"socket", "domain", 99, "99"},
		{"setsockopt", "optname", 2, "2"}, {"ioctl", "request", 0x5412, "TIOCSTI"}, {"kill", "sig", 9, "SIGKILL"}, {"kill", "sig", 0, "0"},
		{"access", "mode", 0, "F_OK"}, {"access", "mode", 6, "R_OK|W_OK"}, {"shmctl", "cmd", 0x102, "IPC_STAT|IPC_64"},
	} {
		k, p := constsOf(t, X86_64, c.call, c.param)
		if got := k.Format(c.v, p.Bits); got != c.want {
			t.Errorf("%s.%s %#x: %s, want %s", c.call, c.param, c.v, got, c.want)
		}
	}
}

// TestFamilies checks every family: names once each and, alone, each shown as
// something that its value can be read back from.
func TestFamilies(t *testing.T) {
	for _, k := range allConsts {
		names := k.Names()
		slices.Sort(names)
		if len(slices.Compact(names)) != len(k.List) || k.Name == "" || len(names) == 0 {
			t.Errorf("%s: %v", k.Name, k.List)
		}
		for _, c := range k.List {
			if got, ok := parse(k, k.Format(c.Value, 64)); !ok || got != c.Value {
				t.Errorf("%s: %s is shown as %s", k.Name, c.Name, k.Format(c.Value, 64))
			}
		}
	}
}

// parse is Format's inverse.
func parse(k *Consts, s string) (v uint64, ok bool) {
	for part := range strings.SplitSeq(s, "|") {
		x, found := k.Value(part)
		if !found {
			var err error
			if x, err = strconv.ParseUint(part, 0, 64); err != nil {
				return 0, false
			}
		}
		v |= x
	}
	return v, true
}

func FuzzFormat(f *testing.F) {
	f.Add(uint64(0x80042), uint8(32), uint16(3))
	f.Add(^uint64(0), uint8(64), uint16(9))
	f.Add(uint64(0), uint8(16), uint16(200))
	f.Fuzz(func(t *testing.T, v uint64, bits uint8, family uint16) {
		k := allConsts[int(family)%len(allConsts)]
		s := k.Format(v, bits)
		got, ok := parse(k, s)
		if !ok || got&ones(bits) != v&ones(bits) {
			t.Errorf("%s: %#x of %d bits is shown as %s, which is %#x", k.Name, v, bits, s, got)
		}
	})
}
