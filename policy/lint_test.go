package policy

import (
	"strings"
	"testing"

	"callgate/policy/abi"
)

func TestLint(t *testing.T) {
	const quiet = "environment: {keep: [PATH]}\n"
	const only = quiet + "syscalls: []\n"
	guard := "callgate: 1\ndefault: allow\ncompat: {i386: same, x32: same}\nsyscalls:\n  - deny: io_uring_setup\n"
	tests := []struct {
		name, text, kernel string
		want               string
	}{
		{"nothing to say", quiet + "syscalls: [{allow: [read, ptrace]}]", "", ""},
		{"nothing restricted", "", "", `p.yaml: there is no syscalls section: system calls are not restricted
p.yaml: environment keeps everything: the command sees all of the caller's variables`},
		{"default allow", quiet + "default: allow\nsyscalls:\n  - deny: ['@debug', '@mount', '@module', bpf, kexec_load, kexec_file_load, setns, unshare]\n", "",
			`p.yaml: default: allow permits every system call that no rule names
p.yaml: default: allow permits process_vm_readv, process_vm_writev, process_madvise, which reaches into other processes; deny what the command does not need
p.yaml: default: allow permits open_by_handle_at, which goes around file permissions; deny what the command does not need
p.yaml: default: allow permits userfaultfd, which goes around system-call rules; deny what the command does not need
p.yaml: default: allow permits syslog, which measures or reads the kernel; deny what the command does not need
p.yaml: default: allow permits keyctl, add_key, request_key, which uses the kernel's keyrings; deny what the command does not need`},
		{"forbidden by the guard", quiet + "syscalls:\n  - allow: [io_uring_setup, read]\n", "", "p.yaml:4:13: io_uring_setup stays forbidden: builtin:guard:5:5 says deny"},
		{"not seen by seccomp", quiet + "syscalls:\n  - deny: [uretprobe, read]\n", "", "p.yaml:4:12: recent kernels do not show uretprobe to seccomp, so that no rule reaches it; leave it out"},
		{"dangerous by group", quiet + "syscalls:\n  - allow: ['@debug', ptrace]\n", "",
			`p.yaml:4:5: a group of this rule permits pidfd_getfd, which reaches into other processes; name it if that is meant
p.yaml:4:5: a group of this rule permits perf_event_open, which measures or reads the kernel; name it if that is meant`},
		{"newer than the kernel", quiet + "syscalls:\n  - allow: [openat2, read, '@file-system']\n", "5.4", "p.yaml:4:13: openat2 needs Linux 5.6; this is 5.4"},
		{"sections by default", quiet + "default: allow\nfiles: [{read: /x}]\nnetwork: []\n", "", `p.yaml: there is no syscalls section: system calls are not restricted
p.yaml: default: allow permits all that no rule of files names
p.yaml: default: allow permits all that no rule of network names`},
		{"unreachable paths", only + "files:\n  - read: [/usr, '**/x', '~/a']\n  - write: /usr/lib\n  - deny: [/usr/lib, '**/x/y', '/y/**/x', '/z/*/x', '~/a/b']\n  - read: ['/usr/l*', '~/a/[bc]', /new]\n" +
			"  - kill: /usr/lib/b\nexec:\n  - deny: '/opt/*'\n  - allow: '/opt/[ab]'\n  - log: [$X/a, /opt]\n  - log: $X/a/b\n", "",
			`p.yaml:7:12: /usr/lib is decided before, by p.yaml:6:5: write
p.yaml:7:22: **/x/y can still be read: p.yaml:5:5: read decides that before; move this rule up
p.yaml:7:32: /y/**/x can still be read: p.yaml:5:5: read decides that before; move this rule up
p.yaml:7:43: /z/*/x can still be read: p.yaml:5:5: read decides that before; move this rule up
p.yaml:7:53: ~/a/b can still be read: p.yaml:5:5: read decides that before; move this rule up
p.yaml:8:12: /usr/l* is decided before, by p.yaml:5:5: read
p.yaml:8:23: ~/a/[bc] is decided before, by p.yaml:5:5: read
p.yaml:9:5: this rule never decides: p.yaml:6:5: write decides before it; move it up, or leave it out
p.yaml:12:5: this rule never decides: p.yaml:11:5: deny decides before it; move it up, or leave it out
p.yaml:14:5: this rule never decides: p.yaml:13:5: log decides before it; move it up, or leave it out`},
		{"unreachable addresses", only + "network:\n  - deny: [10.0.0.0/8, 'unix:/run']\n  - connect: ['10.1.0.0/16:80', '*:443', '11.0.0.1:443', 'unix:/run/x', AF_NETLINK]\n  - connect: ['db.example:443', '[::1]:443']\n  - bind: AF_NETLINK\n  - deny: AF_NETLINK\n", "",
			`p.yaml:6:15: 10.1.0.0/16:80 is decided before, by p.yaml:5:5: deny
p.yaml:6:58: unix:/run/x is decided before, by p.yaml:5:5: deny
p.yaml:7:5: this rule never decides: p.yaml:6:5: connect decides before it; move it up, or leave it out
p.yaml:9:5: this rule never decides: p.yaml:8:5: bind decides before it; move it up, or leave it out`},
		{"too late", only + "files:\n  - read: /\n  - deny: [/etc/shadow, ./vendor, '~/.ssh']\n  - write: .\n", "",
			"p.yaml:6:12: /etc/shadow can still be read: p.yaml:5:5: read decides that before; move this rule up"},
		{"too late beside what is elsewhere", only + "files:\n  - read: /\n  - deny: ['~/.ssh', '**/.env']\n  - write: /dev/shm\n", "",
			"p.yaml:6:12: ~/.ssh can still be read: p.yaml:5:5: read decides that before; move this rule up"},
		{"too late for addresses", only + "network:\n  - connect: '*'\n  - deny: 10.0.0.1\n  - bind: 127.0.0.1:80\n  - deny: [10.0.0.2, 127.0.0.1:80]\n", "",
			`p.yaml:8:12: 10.0.0.2 can still be connected to: p.yaml:5:5: connect decides that before; move this rule up
p.yaml:8:22: 127.0.0.1:80 is decided before, by p.yaml:7:5: bind`},
		{"a port of IPv6", only + "network:\n  - connect: ['::1:80', '[::1:80]', '[::1]:80', '::1', '2001:db8::1:2', 'fe80::a:8080', '1:2:3:4:5:6:7:80', '::ffff:1.2.3.4', 10.0.0.1]\n", "",
			`p.yaml:5:15: ::1:80 is an address without a port; write [::1]:80 for that port, or [::1:80]
p.yaml:5:73: fe80::a:8080 is an address without a port; write [fe80::a]:8080 for that port, or [fe80::a:8080]`},
		{"late on purpose", only + "files:\n  - read: /\n  - deny: /a\n    errno: EROFS\n  - deny: /b\n    quiet: true\n  - kill: /c\n", "", ""},
		{"late where the rest is permitted", quiet + "default: allow\nfiles:\n  - read: /\n  - deny: '**'\n", "",
			"p.yaml: there is no syscalls section: system calls are not restricted\np.yaml: default: allow permits all that no rule of files names"},
		{"as new as the kernel", quiet + "syscalls:\n  - allow: [openat2, read]\n", "5.6", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := files(map[string]string{"p.yaml": "callgate: 1\n" + tt.text, "builtin:guard": guard}).LoadAll("p.yaml", "builtin:guard")
			if err != nil {
				t.Fatal(err)
			}
			var kernel abi.Version
			if major, minor, ok := strings.Cut(tt.kernel, "."); ok {
				kernel = abi.Version{Major: uint16(major[0] - '0'), Minor: uint16(minor[0] - '0')}
			}
			var lines []string
			for _, w := range Lint(set, kernel) {
				lines = append(lines, w.String())
			}
			if got := strings.Join(lines, "\n"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// A shipped policy is looked at where nothing but guards stands beside it.
func TestLintOfShippedPolicies(t *testing.T) {
	const text = "callgate: 1\nenvironment: {keep: []}\nfiles: [{read: /a}, {read: /a}]\n"
	l := files(map[string]string{"builtin:guard": text, "builtin:x": text, "p.yaml": text})
	for _, tt := range []struct{ names, want string }{
		{"builtin:x", "builtin:x"},
		{"builtin:x builtin:guard", "builtin:x"},
		{"p.yaml builtin:x builtin:guard", "p.yaml"},
		{"builtin:guard builtin:guard", "builtin:guard"},
	} {
		set, err := l.LoadAll(strings.Fields(tt.names)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range Lint(set, abi.Version{}) {
			if w.Pos.File != tt.want {
				t.Errorf("%s: %v", tt.names, w)
			}
		}
		if len(Lint(set, abi.Version{})) != 2 {
			t.Errorf("%s: %v", tt.names, Lint(set, abi.Version{}))
		}
	}
}

func TestLintPaths(t *testing.T) {
	p, err := (&Loader{}).Parse("/etc/p/p.yaml", []byte(`callgate: 1
files:
  - deny: [/gone, ~/.ssh, $NONE]
  - read: [/usr, /gone, "/usr/*/x", "/gone/*", $NONE/x, "**/y"]
  - write: [/usr/new, /usr/new/new, .]
exec:
  - allow: /usr/bin
`))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{"/": true, "/usr": true, "/etc": true}
	var lines []string
	for _, w := range LintPaths(Set{p}, home, func(path string) bool { return there[path] }) {
		lines = append(lines, strings.TrimPrefix(w.String(), "/etc/p/p.yaml:"))
	}
	const want = `3:27: $NONE is not set, so that nothing can run under this deny rule here
4:18: there is no /gone
4:37: there is no /gone
4:48: $NONE is not set, so that $NONE/x matches nothing here
5:23: there is no /usr/new/new
7:12: there is no /usr/bin`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := parse(t, "files: []").LeftOut(); len(got) != 3 || got[0] != Syscalls || got[2] != Network {
		t.Error(got)
	}
}
