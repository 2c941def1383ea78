package decode

import (
	"strings"
	"testing"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// shows checks how a call is shown.
func shows(t *testing.T, arch abi.Arch, name string, mem memory, want string, args ...uint64) {
	t.Helper()
	s, ok := arch.ByName(name)
	if !ok {
		t.Fatalf("no call %s", name)
	}
	c := abi.Call{Arch: arch, Nr: s.Nr}
	copy(c.Args[:], args)
	if got := strings.Join(Args(c, s, mem), ", "); got != want {
		t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
	}
}

const cwd = 1<<64 - 100 // AT_FDCWD

func TestArgs(t *testing.T) {
	mem := memory{
		0x1000: []byte("/etc/passwd\x00"),
		0x2000: []byte("a\x1b[31m\xff\"\n\u202e\x00"),
		0x3000: le(8, 0x1000, 0x2000, 0),
		0x4000: []byte(strings.Repeat("x", 100)),
		0x5000: le(8, 1, 5),
		0x6000: le(4, 0xffffffff, 5),
		0x7000: le(8, unix.O_RDWR|unix.O_CLOEXEC, 0o600, unix.RESOLVE_NO_SYMLINKS),
		0x8000: le(8, unix.CLONE_VM|unix.CLONE_INTO_CGROUP, 0, 0, 0, 17, 0x1000, 0x2000, 0, 0, 0, 3),
		0x9000: le(4, 0x1000, 0),
	}
	x := abi.X86_64
	shows(t, x, "openat", mem, `AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC`, cwd, 0x1000, unix.O_CLOEXEC, 0o644)
	shows(t, x, "openat", mem, `AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT, 0644`, cwd&0xffffffff, 0x1000, unix.O_CREAT|unix.O_WRONLY, 0o644)
	shows(t, x, "openat", mem, `-1, 0xdead, O_RDWR|0x80000000`, ^uint64(0), 0xdead, 2|1<<31)
	shows(t, x, "open", mem, `"a\x1b[31m\xff\"\n\u202e", O_RDONLY`, 0x2000)
	shows(t, x, "open", mem, `NULL, O_RDONLY`)
	shows(t, abi.I386, "open", mem, `"/etc/passwd", O_RDONLY`, 0x1000|1<<32)
	shows(t, x, "mkdir", mem, `"/etc/passwd", 0755`, 0x1000, 0o755)
	shows(t, x, "execve", mem, `"/etc/passwd", ["/etc/passwd", "a\x1b[31m\xff\"\n\u202e"], 0x77`, 0x1000, 0x3000, 0x77)
	shows(t, abi.X32, "execve", mem, `"/etc/passwd", ["/etc/passwd"], NULL`, 0x1000, 0x9000, 0)
	shows(t, x, "write", mem, `1, "`+strings.Repeat("x", 64)+`"..., 100`, 1, 0x4000, 100)
	shows(t, x, "write", mem, `1, "xxx", 3`, 1, 0x4000, 3)
	shows(t, x, "write", mem, `1, 0x4063, 3`, 1, 0x4063, 3)
	shows(t, x, "read", mem, `0, 0x4000, 100`, 0, 0x4000, 100)
	shows(t, x, "socket", mem, `AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0`, 2, 1|unix.SOCK_CLOEXEC, 0)
	shows(t, x, "socket", mem, `AF_INET6, SOCK_DGRAM, 0`, 10|7<<32, 2, 0)
	shows(t, x, "kill", mem, `-1, SIGKILL`, ^uint64(0), 9)
	shows(t, x, "kill", mem, `1, SIGRT_2`, 1, 34)
	shows(t, x, "kill", mem, `1, 0`, 1, 0)
	shows(t, x, "nanosleep", mem, `{tv_sec=1, tv_nsec=5}, NULL`, 0x5000, 0)
	shows(t, abi.I386, "nanosleep", mem, `{tv_sec=-1, tv_nsec=5}, NULL`, 0x6000, 0)
	shows(t, x, "openat2", mem, `3, "/etc/passwd", {flags=O_RDWR|O_CLOEXEC, mode=0600, resolve=RESOLVE_NO_SYMLINKS}, 24`, 3, 0x1000, 0x7000, 24)
	shows(t, x, "openat2", mem, `3, "/etc/passwd", 0x7000, 8`, 3, 0x1000, 0x7000, 8)
	shows(t, x, "clone3", mem, `{flags=CLONE_VM|CLONE_INTO_CGROUP, exit_signal=SIGCHLD, stack=0x1000, stack_size=0x2000, cgroup=3}, 88`, 0x8000, 88)
	shows(t, x, "clone", mem, `SIGCHLD|CLONE_VM|CLONE_VFORK, NULL, NULL, NULL, NULL`, unix.CLONE_VM|unix.CLONE_VFORK|17)
	shows(t, x, "ioctl", mem, `0, TIOCSTI, 16`, 0, unix.TIOCSTI, 0x10)
	shows(t, x, "ioctl", mem, `0, 0xdeadbeef, 0`, 0, 0xdeadbeef, 0)
	shows(t, x, "lseek", mem, `3, -1, SEEK_END`, 3, ^uint64(0), 2)
	shows(t, abi.I386, "pread64", mem, `3, 0x10, 5, 4294967297`, 3, 0x10, 5, 1, 1)
	shows(t, abi.I386, "mmap2", mem, `NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 8192`, 0, 4096, 1, 2, 3, 2)
	shows(t, x, "mmap", mem, `NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0`, 0, 4096, 0, 0x22, ^uint64(0))
	shows(t, x, "prctl", mem, `PR_SET_NAME, 0x1000, 0, 0, 0`, 15, 0x1000)
	shows(t, x, "getpid", mem, ``)
}

func TestArgsOfUnknownCalls(t *testing.T) {
	c := abi.Call{Arch: abi.X86_64, Nr: 9999, Args: [6]uint64{1, 2, 3, 4, 5, ^uint64(0)}}
	if got, want := strings.Join(Args(c, nil, nil), ", "), "0x1, 0x2, 0x3, 0x4, 0x5, 0xffffffffffffffff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.Arch = abi.I386
	if got, want := strings.Join(Args(c, nil, nil), ", "), "0x1, 0x2, 0x3, 0x4, 0x5, 0xffffffff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestArgsOfUnreadableTask(t *testing.T) {
	s, _ := abi.X86_64.ByName("openat")
	got := strings.Join(Args(abi.Call{Arch: abi.X86_64, Nr: s.Nr, Args: [6]uint64{cwd, 0x1000, 0}}, s, nil), ", ")
	if got != "AT_FDCWD, 0x1000, O_RDONLY" {
		t.Error(got)
	}
}
