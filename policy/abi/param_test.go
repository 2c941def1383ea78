package abi

import (
	"slices"
	"strings"
	"testing"
)

// takeNone are the calls without parameters: those that have none, and those
// that no kernel of these ABIs implements.
var takeNone = strings.Fields(`
	afs_syscall break epoll_ctl_old epoll_wait_old fork ftime getegid
	geteuid getgid getpgrp getpid getpmsg getppid gettid getuid gtty idle
	inotify_init lock mpx munlockall pause prof profil putpmsg restart_syscall
	rseq_slice_yield rt_sigreturn sched_yield security setsid sgetmask stty sync
	tuxcall ulimit uprobe uretprobe vfork vhangup vserver`)

func TestEveryCallHasItsParameters(t *testing.T) {
	for _, a := range Arches() {
		for s := range a.All() {
			if none := slices.Contains(takeNone, s.Canonical); none != (len(s.Params) == 0) {
				t.Errorf("%v %s has %d parameters", a, s.Name, len(s.Params))
			}
			checkParams(t, s)
		}
	}
}

func checkParams(t *testing.T, s *Syscall) {
	seen := map[string]bool{}
	used := [6]bool{}
	for i := range s.Params {
		p := &s.Params[i]
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			if seen[name] {
				t.Errorf("%v %s: %s twice", s.Arch, s.Name, name)
			}
			seen[name] = true
			if got, ok := s.Param(name); !ok || got != p {
				t.Errorf("%v %s: Param(%s) = %+v", s.Arch, s.Name, name, got)
			}
		}
		for _, r := range []int8{p.Lo, p.Hi} {
			if r >= 0 && used[r] {
				t.Errorf("%v %s: register %d twice", s.Arch, s.Name, r)
			}
			if r >= 0 {
				used[r] = true
			}
		}
		switch {
		case p.Bits != 16 && p.Bits != 32 && p.Bits != 64,
			(p.Hi >= 0) != (s.Arch == I386 && p.Bits == 64),
			p.Shift != 0 && s.Name != "mmap2",
			p.Kind == Signal && p.Consts == nil,
			p.Kind == Path && p.Bits != s.Arch.RegisterBits():
			t.Errorf("%v %s: %+v", s.Arch, s.Name, *p)
		}
	}
}

// TestWidths holds what a rule's comparison rests on, where a wrong width
// would let a policy be stepped around with bits that the kernel ignores, or
// take as equal what the kernel tells apart.
func TestWidths(t *testing.T) {
	for _, c := range []struct {
		arch        Arch
		call, param string
		register    int8
		bits        uint8
	}{
		{X86_64, "socket", "domain", 0, 32}, {X86_64, "socket", "family", 0, 32}, {X86_64, "socket", "type", 1, 32},
		{X86_64, "ioctl", "request", 1, 32}, {X86_64, "ioctl", "cmd", 1, 32}, {X86_64, "ioctl", "argp", 2, 64},
		{X86_64, "openat", "flags", 2, 32}, {X86_64, "openat", "mode", 3, 16}, {X86_64, "openat", "dirfd", 0, 32},
		{X86_64, "clone", "flags", 0, 32}, {X86_64, "clone", "tls", 4, 64}, {X86_64, "unshare", "flags", 0, 64},
		{X86_64, "prctl", "option", 0, 32}, {X86_64, "prctl", "arg2", 1, 64}, {X86_64, "arch_prctl", "code", 0, 32},
		{X86_64, "seccomp", "operation", 0, 32}, {X86_64, "seccomp", "flags", 1, 32},
		{X86_64, "mmap", "prot", 2, 64}, {X86_64, "mmap", "flags", 3, 64}, {X86_64, "mmap", "fd", 4, 32}, {X86_64, "mmap", "offset", 5, 64},
		{X86_64, "mprotect", "prot", 2, 64}, {X86_64, "readv", "fd", 0, 32}, {X86_64, "ptrace", "request", 0, 64}, {X86_64, "ptrace", "pid", 1, 32},
		{X86_64, "kill", "pid", 0, 32}, {X86_64, "kill", "sig", 1, 32}, {X86_64, "chown", "owner", 1, 32}, {X86_64, "setuid", "uid", 0, 32},
		{X86_64, "chmod", "mode", 1, 16}, {X86_64, "mknod", "dev", 2, 32}, {X86_64, "access", "mode", 1, 32},
		{X86_64, "preadv2", "offset", 3, 64}, {X86_64, "preadv2", "flags", 5, 32}, {X86_64, "getdents64", "count", 2, 32},
		{X86_64, "read", "count", 2, 64}, {X86_64, "sendto", "flags", 3, 32}, {X86_64, "setsockopt", "optname", 2, 32},
		{X86_64, "personality", "persona", 0, 32}, {X86_64, "keyctl", "operation", 0, 32}, {X86_64, "bpf", "cmd", 0, 32},
		{X86_64, "fcntl", "cmd", 1, 32}, {X86_64, "fcntl", "arg", 2, 64}, {X86_64, "futex", "op", 1, 32}, {X86_64, "mbind", "mode", 2, 32},
		{X86_64, "exit_group", "status", 0, 32}, {X86_64, "perf_event_open", "flags", 4, 64}, {X86_64, "mount", "mountflags", 3, 64},
		{AArch64, "clone", "tls", 3, 64}, {AArch64, "clone", "child_tid", 4, 64}, {AArch64, "fadvise64", "advice", 3, 32},
		{X32, "clone", "tls", 4, 64}, {X32, "mmap", "flags", 3, 64}, {X32, "ioctl", "argp", 2, 32}, {X32, "ptrace", "request", 0, 32},
		{X32, "recvfrom", "len", 2, 32}, {X32, "recvfrom", "buf", 1, 64}, {X32, "readv", "iovcnt", 2, 64}, {X32, "preadv2", "flags", 4, 32},
		{X32, "io_submit", "nr", 1, 32}, {X32, "kexec_load", "flags", 3, 32},
		{I386, "mmap2", "flags", 3, 32}, {I386, "clone", "tls", 3, 32}, {I386, "clone", "child_tid", 4, 32},
		{I386, "setuid", "uid", 0, 16}, {I386, "setuid32", "uid", 0, 32}, {I386, "chown", "owner", 1, 16}, {I386, "chown32", "group", 2, 32},
		{I386, "ioctl", "argp", 2, 32}, {I386, "ptrace", "request", 0, 32}, {I386, "read", "count", 2, 32},
		{I386, "fallocate", "mode", 1, 32}, {I386, "sync_file_range", "flags", 5, 32}, {I386, "fadvise64", "advice", 4, 32},
		{I386, "fanotify_mark", "dirfd", 4, 32}, {I386, "fadvise64_64", "advice", 5, 32}, {I386, "_llseek", "whence", 4, 32},
		{I386, "fcntl64", "cmd", 1, 32}, {I386, "sigsuspend", "set", 2, 32}, {I386, "fstatat64", "flags", 3, 32},
		{X86_64, "read", "arg5", 5, 64}, {I386, "read", "arg5", 5, 32}, {X32, "ioctl", "arg2", 2, 64},
	} {
		s, ok := c.arch.ByName(c.call)
		if !ok {
			t.Errorf("%v has no %s", c.arch, c.call)
			continue
		}
		p, ok := s.Param(c.param)
		if !ok || p.Lo != c.register || p.Hi != -1 || p.Bits != c.bits {
			t.Errorf("%v %s.%s: %+v, want register %d, %d bits", c.arch, c.call, c.param, p, c.register, c.bits)
		}
	}
}

func TestValues(t *testing.T) {
	args := [6]uint64{0xf00000001, 0xf00000002, 0xf00000003, 0xf00000004, 0xf00000005, 0xf00000006}
	for _, c := range []struct {
		arch        Arch
		call, param string
		want        uint64
	}{
		{I386, "pread64", "offset", 0x500000004}, {I386, "truncate64", "length", 0x300000002},
		{I386, "_llseek", "offset", 0x200000003}, {I386, "mmap2", "offset", 6 << 12},
		{I386, "fallocate", "len", 0x600000005}, {I386, "fanotify_mark", "mask", 0x400000003},
		{I386, "lookup_dcookie", "cookie", 0x200000001}, {I386, "readahead", "count", 4},
		{I386, "preadv", "offset", 0x500000004}, {I386, "preadv2", "flags", 6}, {I386, "lseek", "offset", 2},
		{I386, "sync_file_range", "nbytes", 0x500000004}, {I386, "read", "buf", 2}, {I386, "read", "arg1", 2},
		{X86_64, "pread64", "offset", 0xf00000004}, {X86_64, "read", "fd", 1}, {X86_64, "read", "arg0", 0xf00000001},
		{X86_64, "mmap", "offset", 0xf00000006},
	} {
		s, _ := c.arch.ByName(c.call)
		p, ok := s.Param(c.param)
		if !ok {
			t.Errorf("%v %s has no %s", c.arch, c.call, c.param)
		} else if got := p.Value(&args); got != c.want {
			t.Errorf("%v %s.%s = %#x, want %#x", c.arch, c.call, c.param, got, c.want)
		}
	}
}

func TestMarks(t *testing.T) {
	var mux, block []string
	for s := range I386.All() {
		if s.Multiplexer {
			mux = append(mux, s.Name)
		}
		if s.Block {
			block = append(block, s.Name)
		}
	}
	if !slices.Equal(mux, []string{"socketcall", "ipc"}) || !slices.Equal(block, []string{"select", "mmap", "socketcall", "clone3"}) {
		t.Error(mux, block)
	}
	for _, a := range []Arch{X86_64, X32, AArch64} {
		for s := range a.All() {
			if s.Multiplexer || s.Block != (s.Name == "clone3") {
				t.Errorf("%v %s", a, s.Name)
			}
		}
	}
}

func TestTimespecKind(t *testing.T) {
	for _, c := range []struct {
		arch Arch
		call string
		want Kind
	}{
		{X86_64, "ppoll", Timespec}, {X32, "ppoll", Timespec}, {I386, "ppoll", Timespec32}, {I386, "ppoll_time64", Timespec},
		{I386, "nanosleep", Timespec32}, {I386, "epoll_pwait2", Timespec}, {I386, "clock_settime64", Timespec},
	} {
		s, _ := c.arch.ByName(c.call)
		if !slices.ContainsFunc(s.Params, func(p Param) bool { return p.Kind == c.want }) {
			t.Errorf("%v %s: %+v", c.arch, c.call, s.Params)
		}
	}
}

func TestNoSuchParam(t *testing.T) {
	s, _ := X86_64.ByName("socket")
	for _, name := range []string{"", "arg6", "arg", "argument", "flags"} {
		if p, ok := s.Param(name); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestArg2 holds that the man page's arg2, prctl's second parameter, is not
// the third register.
func TestArg2(t *testing.T) {
	for call, register := range map[string]int8{"prctl": 1, "keyctl": 1, "read": 2} {
		s, _ := X86_64.ByName(call)
		p, ok := s.Param("arg2")
		if !ok || p.Lo != register || s.Declares(p) != (register == 1) {
			t.Errorf("%s: %+v", call, p)
		}
	}
}
