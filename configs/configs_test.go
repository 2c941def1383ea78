package configs

import (
	"slices"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
)

var shipped = []string{"builtin:base", "builtin:build", "builtin:ci", "builtin:compute", "builtin:default", "builtin:guard-names", "builtin:guard-room", "builtin:guard", "builtin:trace-all"}

func TestShippedPoliciesLoad(t *testing.T) {
	loader := &policy.Loader{Builtin: Builtin}
	if names := loader.Builtins(); !slices.Equal(names, shipped) {
		t.Errorf("shipped policies: %v", names)
	}
	for _, name := range shipped {
		p, err := loader.Load(name)
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
		if got, want := (policy.Set{p}).Restricts(), name != "builtin:trace-all"; got != want {
			t.Errorf("%s restricts: %v", name, got)
		}
	}
}

// TestShippedPoliciesHoldNoDeadRules: of their warnings only those about what
// trace-all and guard permit on purpose are expected.
func TestShippedPoliciesHoldNoDeadRules(t *testing.T) {
	loader := &policy.Loader{Builtin: Builtin}
	for _, name := range shipped {
		p, err := loader.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		warnings := policy.Lint(policy.Set{p}, abi.Version{})
		for _, w := range append(warnings, policy.LintCalls(policy.Set{p}, abi.Arches(), compile.Deciders)...) {
			if w.Pos.Line > 0 || p.Default == policy.Deny {
				t.Error(w)
			}
		}
	}
}

// TestShippedVerdicts has, for each policy, calls that tell it from a weaker
// one and from one that is of no use.
func TestShippedVerdicts(t *testing.T) {
	loader := &policy.Loader{Builtin: Builtin}
	for _, tt := range []struct {
		name  string
		allow []string
		deny  []string // all else than permitted
	}{
		{"default", []string{"read(0)", "execve(0)", "fork()", "clone(SIGCHLD)", "clone(CLONE_VM|CLONE_VFORK|SIGCHLD)", "clone3(0, 0)", "rseq()", "prlimit64(0, 7)",
			"socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC)", "openat(AT_FDCWD, \"/x\", O_RDWR|O_CREAT)", "ioctl(0, TCGETS)", "kill(1, 15)", "mknod(\"fifo\", 0x11a4)",
			"seccomp(SECCOMP_SET_MODE_FILTER, 0, 0)", "personality(0xffffffff)", "getrandom()", "statx()", "faccessat2()", "sched_getaffinity()", "memfd_create()", "sendmsg()",
			"prlimit64(0, 7, 0x1000)", "prlimit64(1, 7, 0, 0x1000)", "setrlimit()", "sched_setaffinity(0, 128)", "sched_setscheduler(0)", "sched_setattr(0)", "setpriority(PRIO_PROCESS, 0, 10)",
			"ioprio_set(IOPRIO_WHO_PROCESS, 0)", "move_pages(0)", "mbind()", "set_mempolicy()", "setsid()", "setpgid(1, 1)", "capset()", "statmount()", "name_to_handle_at()", "pidfd_open()",
			"prctl(PR_SET_NAME)", "prctl(PR_SET_NO_NEW_PRIVS)", "prctl(PR_SET_PDEATHSIG)", "prctl(PR_SET_DUMPABLE)", "landlock_restrict_self()", "ioctl(0, TIOCSCTTY)", "io_submit()"},
			[]string{"socket(AF_UNIX)", "socket(AF_INET)", "socket(AF_NETLINK)", "socketpair(AF_UNIX, SOCK_DGRAM)", "connect(3)", "bind(3)", "clone(CLONE_NEWUSER|SIGCHLD)", "clone(CLONE_NEWNET)",
				"unshare(CLONE_NEWNS)", "setns()", "mount()", "umount2()", "pivot_root()", "chroot()", "init_module()", "kexec_load()", "bpf()", "ptrace()", "process_vm_writev()", "pidfd_getfd()",
				"perf_event_open()", "reboot()", "swapon()", "clock_settime()", "settimeofday()", "keyctl()", "iopl()", "io_uring_setup()", "ioctl(0, TIOCSTI)", "ioctl(0, TIOCLINUX)",
				"mknod(\"disk\", 0x61a4)", "open_by_handle_at()", "userfaultfd()", "personality(0x400000)", "syslog()", "shmget()", "mq_open()", "quotactl()", "acct()",
				"socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC)", "socket(AF_VSOCK)", "kcmp()", "process_madvise()", "process_vm_readv()", "modify_ldt()", "add_key()", "request_key()", "msgget()", "semget()", "fanotify_init()", "lookup_dcookie()", "vhangup()", "sethostname()",
				"prctl(PR_SET_MM)", "ioctl(0, TIOCSETD)", "ioctl(0, KDSKBSENT)", "ioctl(3, USERFAULTFD_IOC_NEW)", "fsopen()", "open_tree()", "mount_setattr()", "memfd_secret()"}},
		{"base", []string{"execve(0)", "fork()", "openat(AT_FDCWD, \"/x\", O_RDWR|O_CREAT)"}, []string{"socket(AF_INET)", "shmget()", "mount()"}},
		{"ci", []string{"personality(ADDR_NO_RANDOMIZE)", "shmget()", "mq_open()", "clone(SIGCHLD)"}, []string{"socket(AF_UNIX)", "socket(AF_INET)", "ptrace()"}},
		{"build", []string{"personality(ADDR_NO_RANDOMIZE)", "shmget()", "msgget()", "mbind()", "socketpair(AF_UNIX, SOCK_STREAM)", "clone(SIGCHLD)"},
			[]string{"socket(AF_UNIX)", "socket(AF_INET)", "ptrace()", "mount()", "process_vm_readv()", "unshare(CLONE_NEWUSER)"}},
		{"compute", []string{"read(0)", "write(1)", "openat(AT_FDCWD, \"lib\", O_RDONLY|O_CLOEXEC)", "mmap()", "clone(CLONE_VM|CLONE_THREAD|CLONE_SIGHAND|CLONE_FS)", "exit_group()", "prlimit64(0)", "tgkill(1, 1, SIGURG)"},
			[]string{"openat(AT_FDCWD, \"f\", O_WRONLY)", "openat(AT_FDCWD, \"f\", O_RDWR)", "openat(AT_FDCWD, \"f\", O_CREAT)", "openat(AT_FDCWD, \"f\", O_TRUNC)", "openat(AT_FDCWD, \"f\", O_TMPFILE)", "openat2()", "creat()",
				"fork()", "vfork()", "clone(SIGCHLD)", "clone(CLONE_VM|CLONE_VFORK|SIGCHLD)", "execve()", "execveat()", "kill()", "tgkill(1, 1, SIGKILL)", "socket(AF_UNIX)", "socketpair(AF_UNIX, SOCK_STREAM)",
				"unlink()", "rename()", "mkdir()", "ptrace()", "prlimit64(1)", "ioctl(0, TIOCSTI)", "prctl(PR_SET_DUMPABLE)", "truncate()", "setxattr()"}},
		{"guard", []string{"read(0)", "prlimit64(0, 7, 0x1000)", "prlimit64(9, 7, 0x1000)", "setpriority(PRIO_PROCESS, 9)", "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, 0)", "ioctl(0, TCGETS)", "mount()"},
			[]string{"seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER|SECCOMP_FILTER_FLAG_TSYNC, 0)", "io_uring_enter()", "ioctl(0, TIOCSTI)", "setpriority(PRIO_USER, 0)", "setpriority(PRIO_PGRP, 0)", "ioprio_set(IOPRIO_WHO_USER, 0)"}},
		{"guard-room", []string{"read(0)", "clone(SIGCHLD)", "clone(CLONE_VM|CLONE_THREAD|CLONE_SIGHAND|CLONE_FS)", "unshare(CLONE_FILES)", "open_tree(3)", "chroot()"},
			[]string{"clone(CLONE_NEWUSER|SIGCHLD)", "clone(CLONE_NEWNS|CLONE_NEWPID)", "unshare(CLONE_NEWUSER)", "unshare(CLONE_NEWNET|CLONE_FILES)", "setns(3)", "mount()", "umount2()", "open_tree(3, 0, OPEN_TREE_CLONE)", "open_by_handle_at()", "i386:umount()"}},
		{"trace-all", []string{"read(0)", "mount()", "i386:read(0)", "x32:read(0)"}, nil},
	} {
		p, err := loader.Load("builtin:" + tt.name)
		if err != nil {
			t.Fatal(err)
		}
		check := func(text string, permitted bool) {
			c, err := policy.ParseCall(text, abi.X86_64)
			if err != nil {
				t.Error(err)
				return
			}
			if v := p.Decide(c.Call); v.Action.Permits() != permitted {
				t.Errorf("%s: %s is %s", tt.name, text, v)
			}
		}
		for _, text := range tt.allow {
			check(text, true)
		}
		for _, text := range tt.deny {
			check(text, false)
		}
	}
}

// TestQuietLookups: only the socket that libc's look-ups make is denied without
// a word.
func TestQuietLookups(t *testing.T) {
	loader := &policy.Loader{Builtin: Builtin}
	for _, name := range []string{"builtin:base", "builtin:default", "builtin:build", "builtin:ci"} {
		p, err := loader.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for text, quiet := range map[string]bool{
			"socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC)": true,
			"socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC)":               false,
			"socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK|SOCK_CLOEXEC)":  false,
			"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC)": false,
			"connect(3)": false,
			"socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC)": true,
			"socket(AF_NETLINK, SOCK_RAW)":              false,
		} {
			c, err := policy.ParseCall(text, abi.X86_64)
			if err != nil {
				t.Fatal(err)
			}
			if v := p.Decide(c.Call); v.Action != policy.Deny || v.Rule == nil || v.Rule.Quiet != quiet {
				t.Errorf("%s: %s is %v", name, text, v)
			}
		}
	}
}
