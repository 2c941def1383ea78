package verdict_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callgate/configs"
	"callgate/configs/trees"
	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/verdict"
)

func loader() *policy.Loader {
	return &policy.Loader{Builtin: configs.Builtin, Trees: trees.Files}
}

// TestAsk has what a call comes to, section by section.
func TestAsk(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "secret/key", "away": "/etc/shadow", "loop": "loop", "hop": "secret/deep"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "secret/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", dir+"/home")
	l := loader()
	p, err := l.Parse(filepath.Join(dir, "p.yaml"), []byte(`callgate: 1
default: deny
syscalls:
  - kill: ptrace
  - skip: chown
    value: 7
  - deny: [mount, connect]
    args: { arg0: 9 }
  - log: unlinkat
  - allow: ["@known"]
files:
  - deny: [./secret, "~/.ssh", $SECRETS]
    errno: ENOENT
  - write: [., $TMPDIR]
network:
  - connect: ["127.0.0.1:80", "unix:./s", "unix:/run/s", "unix:@bus"]
environment: { private-tmp: true }
compat: { i386: same }
`))
	if err != nil {
		t.Fatal(err)
	}
	set, err := l.Guard(policy.Set{p})
	if err != nil {
		t.Fatal(err)
	}
	g, err := verdict.NewGround(set, dir, []string{"SECRETS=/srv/secrets", "TMPDIR=" + dir + "/secret"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`getpid`:                                "allow",
		`ptrace`:                                "kill",
		`chown`:                                 "skip 7",
		`mount(9)`:                              "deny EPERM",
		`openat(AT_FDCWD, "x", O_RDWR|O_CREAT)`: "allow",
		`openat(AT_FDCWD, "secret/key", O_RDONLY)`:        "deny ENOENT",
		`openat(AT_FDCWD, "x/../secret/key", O_RDONLY)`:   "deny ENOENT",
		`openat(AT_FDCWD, "link", O_RDONLY)`:              "deny ENOENT",
		`openat(AT_FDCWD, "hop/../x", O_RDONLY)`:          "deny ENOENT",
		`openat(AT_FDCWD, "./hop/../../x", O_RDONLY)`:     "allow",
		`openat(AT_FDCWD, "loop/x", O_RDONLY)`:            "allow",
		`openat(AT_FDCWD, "away", O_RDONLY)`:              "deny EACCES",
		`openat(AT_FDCWD, "link", O_PATH|O_NOFOLLOW)`:     "allow",
		`openat(AT_FDCWD, "~/.ssh/id", O_RDONLY)`:         "deny ENOENT",
		`openat(AT_FDCWD, "$SECRETS/id", O_RDONLY)`:       "deny ENOENT",
		`openat(AT_FDCWD, "$TMPDIR/x", O_WRONLY|O_CREAT)`: "allow",
		`openat(AT_FDCWD, "$NONE/x", O_RDONLY)`:           "unknown: $NONE is not set",
		`openat(5, "x", O_RDONLY)`:                        "unknown: descriptor 5 is the program's",
		`openat(AT_FDCWD, "/etc/passwd", O_RDONLY)`:       "deny EACCES",
		`unlinkat(AT_FDCWD, "x")`:                         "log",
		`unlinkat(AT_FDCWD, "/x")`:                        "deny EACCES",
		`connect(3, "127.0.0.1:80")`:                      "allow",
		`connect(3, "127.0.0.1:81")`:                      "deny EACCES",
		`connect(3, "unix:s")`:                            "allow",
		`connect(3, "unix:/run/s")`:                       "deny EACCES",
		`connect(3, "0.0.0.0:80")`:                        "allow",
		`connect(3, "unix:$NONE/s")`:                      "unknown: $NONE is not set",
		`connect(3, "unix:@bus")`:                         "allow",
		`bind(3, "127.0.0.1:80")`:                         "deny EACCES",
		`socket(AF_NETLINK, SOCK_RAW)`:                    "deny EACCES",
		`i386:open("secret/key")`:                         "deny ENOENT",
		`x32:getpid`:                                      "kill",
		`io_uring_setup`:                                  "deny ENOSYS",
		`uretprobe`:                                       "unknown: " + verdict.Unseen,
		`execve("/bin/sh")`:                               "deny EACCES",
		`100000`:                                          "deny ENOSYS",
	} {
		c, err := policy.ParseCall(text, abi.X86_64)
		if err != nil {
			t.Error(err)
			continue
		}
		a := g.Ask(c)
		got, _, _ := strings.Cut(a.Verdict.String(), " (")
		if a.Unknown != "" {
			got = "unknown: " + a.Unknown
		}
		if got != want {
			t.Errorf("%s: %s, want %s\n%+v", text, got, want, a)
		}
	}
}
