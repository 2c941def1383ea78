package foreign

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

// reference is another tool's policy as a test says it, apart from the package's code.
type reference func(name string, args *[6]uint64) answer

var (
	allowed = answer{action: policy.Allow}
	logged  = answer{action: policy.Log}
	killed  = answer{action: policy.Kill}
)

func failing(errno uint16) answer { return answer{action: policy.Deny, errno: errno} }

// agrees asks both about every entry of the ABIs, with values at and around some. Registers
// are as the kernel reads them.
func agrees(t *testing.T, text []byte, arches []abi.Arch, words []uint64, ref reference) {
	t.Helper()
	p, err := (&policy.Loader{}).Parse("p.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r := rand.New(rand.NewPCG(3, 4))
	permitted, calls := 0, 0
	for _, arch := range arches {
		for s := range arch.All() {
			if s.Multiplexer {
				continue // what it carries is decided
			}
			for range 200 {
				var args [6]uint64
				for i := range args {
					args[i] = (words[r.IntN(len(words))] + uint64(r.IntN(3)) - 1) & read(s, i)
				}
				v := p.Decide(abi.Call{Arch: arch, Nr: s.Nr, Args: args})
				if have, want := (answer{v.Action, v.Errno, v.Value}), ref(s.Name, &args); have != want {
					t.Fatalf("%v %s%#x: %v, wanted %v\n%s", arch, s.Name, args, have, want, text)
				}
				calls++
				if v.Action.Permits() {
					permitted++
				}
			}
		}
	}
	if permitted == 0 || permitted == calls {
		t.Errorf("%d of %d calls permitted", permitted, calls)
	}
}

// read masks a register for what the kernel reads of it.
func read(s *abi.Syscall, reg int) uint64 {
	whole := ^uint64(0) >> (64 - s.Arch.RegisterBits())
	for i := range s.Params {
		if p := &s.Params[i]; int(p.Lo) == reg || int(p.Hi) == reg {
			if p.Hi < 0 {
				whole &= ^uint64(0) >> (64 - p.Bits)
			}
			return whole
		}
	}
	if len(s.Params) == 0 {
		return whole
	}
	return 0
}

func convert(t *testing.T, name string, text []byte, from Format, opts Options) *Result {
	t.Helper()
	opts.Arch = abi.X86_64
	res, err := Convert(name, text, from, opts)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// entries are a profile's, as a runtime of containers would read them.
type entries struct {
	DefaultAction   string
	DefaultErrnoRet *uint16
	Syscalls        []struct {
		Name, Action string
		Names        []string
		ErrnoRet     *uint16
		Args         []struct {
			Index           int
			Value, ValueTwo uint64
			Op              string
		}
		Includes, Excludes struct{ Caps, Arches []string }
	}
}

func profileAnswer(action string, errno *uint16) answer {
	switch {
	case action == "SCMP_ACT_ALLOW":
		return allowed
	case action == "SCMP_ACT_LOG":
		return logged
	case action != "SCMP_ACT_ERRNO":
		return killed
	case errno == nil:
		return failing(1)
	case *errno == 0:
		return answer{action: policy.Skip}
	}
	return failing(*errno)
}

// profileReference is what runc and libseccomp make of a profile on x86_64.
func profileReference(t *testing.T, text []byte, caps ...string) reference {
	t.Helper()
	var p entries
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	def := profileAnswer(p.DefaultAction, p.DefaultErrnoRet)
	return func(name string, args *[6]uint64) answer {
		found := def
		for _, e := range p.Syscalls {
			has := func(c string) bool { return slices.Contains(caps, c) }
			a := profileAnswer(e.Action, e.ErrnoRet)
			switch {
			case !slices.Contains(append(e.Names, e.Name), name), a == def:
				continue
			case len(e.Excludes.Caps) > 0 && has(e.Excludes.Caps[0]), len(e.Includes.Caps) > 0 && !has(e.Includes.Caps[0]):
				continue
			case len(e.Includes.Arches) > 0 && !slices.Contains(e.Includes.Arches, "amd64"):
				continue
			case len(e.Args) == 0:
				return a
			}
			holding, indexes := 0, map[int]bool{}
			for _, c := range e.Args {
				v, holds := args[c.Index], false
				switch c.Op {
				case "SCMP_CMP_EQ":
					holds = v == c.Value
				case "SCMP_CMP_NE":
					holds = v != c.Value
				case "SCMP_CMP_LT":
					holds = v < c.Value
				case "SCMP_CMP_LE":
					holds = v <= c.Value
				case "SCMP_CMP_GT":
					holds = v > c.Value
				case "SCMP_CMP_GE":
					holds = v >= c.Value
				case "SCMP_CMP_MASKED_EQ":
					holds = v&c.Value == c.ValueTwo&c.Value
				}
				indexes[c.Index] = true
				if holds {
					holding++
				}
			}
			if holding == len(e.Args) || holding > 0 && len(indexes) < len(e.Args) {
				found = a
			}
		}
		return found
	}
}

var edges = []uint64{0, 1, 2, 15, 40, 0x80, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 63, ^uint64(0), 1 << 28, 1 << 30, 21522, 0x7e020000}

func TestOCI(t *testing.T) {
	docker, err := os.ReadFile("testdata/docker.json")
	if err != nil {
		t.Fatal(err)
	}
	deny, err := os.ReadFile("testdata/deny.json")
	if err != nil {
		t.Fatal(err)
	}
	three := []abi.Arch{abi.X86_64, abi.I386, abi.X32}
	res := convert(t, "docker.json", docker, OCI, Options{})
	agrees(t, res.Text, three, edges, profileReference(t, docker))
	for _, want := range []string{"no vsock", "args: {domain: {not: AF_VSOCK}}", "does not know, so that the default decides: riscv_hwprobe", "compat: {i386: same, x32: same}"} {
		if !strings.Contains(strings.ReplaceAll(string(res.Text), "\n# ", " "), want) {
			t.Errorf("%q is not in\n%s", want, res.Text)
		}
	}
	res = convert(t, "docker.json", docker, OCI, Options{Caps: []string{"CAP_SYS_ADMIN"}})
	agrees(t, res.Text, three, edges, profileReference(t, docker, "CAP_SYS_ADMIN"))
	res = convert(t, "deny.json", deny, OCI, Options{})
	agrees(t, res.Text, three[:2], edges, profileReference(t, deny))
	whole := []byte(`{"ociVersion": "1.0.2", "process": {"args": ["sh"]}, "linux": {"seccomp": ` + string(deny) + `}}`)
	res = convert(t, "config.json", whole, OCI, Options{})
	agrees(t, res.Text, three[:2], edges, profileReference(t, deny))
}

func TestMinijail(t *testing.T) {
	text := []byte(`# cat
read: 1
@include ./more.policy
write: arg0 == 1 || arg0 == 0x2; return EBADF
openat: arg2 in O_RDONLY|O_CLOEXEC
mmap: arg2 in ~PROT_EXEC || \
  arg2 in ~PROT_WRITE
mprotect: arg2 & (PROT_EXEC | 8)
dup2: arg0 >= 3 && arg0 < 9 && arg1 != 5
lseek: arg1 > 0x100000000
60: 1
kill: return EPERM
getpid: return 0
`)
	more := func(path string) ([]byte, error) {
		if path != "./more.policy" {
			t.Error(path)
		}
		return []byte("brk: allow\n"), nil
	}
	res := convert(t, "cat.policy", text, Minijail, Options{ReadFile: more})
	const cloexec = 0x80000
	agrees(t, res.Text, []abi.Arch{abi.X86_64}, append(edges, 3, 4, 5, 6, 8, 9, 12, cloexec, cloexec+1, 1<<32+5), func(name string, a *[6]uint64) answer {
		ok := false
		switch name {
		case "read", "exit", "brk":
			ok = true
		case "write":
			if a[0] != 1 && a[0] != 2 {
				return failing(9)
			}
			ok = true
		case "openat":
			ok = a[2] == 0 || a[2] == cloexec
		case "mmap":
			ok = a[2]&4 == 0 || a[2]&2 == 0
		case "mprotect":
			ok = a[2]&12 != 0
		case "dup2":
			ok = a[0] >= 3 && a[0] < 9 && a[1] != 5
		case "lseek":
			ok = a[1] > 0x100000000
		case "kill":
			return failing(1)
		case "getpid":
			return answer{action: policy.Skip}
		}
		if ok {
			return allowed
		}
		return killed
	})
}

func TestSystemd(t *testing.T) {
	groups := map[string][]string{}
	for _, g := range abi.Groups() {
		groups[g.Name] = g.Calls()
	}
	members := func(group string) []string { return groups[group] }
	listed := convert(t, "a.conf", []byte("[Service]\nExecStart=/bin/true\nSystemCallArchitectures=native\nSystemCallErrorNumber=EACCES\nSystemCallFilter=@file-system \\\n  write\nSystemCallFilter=~uname:EIO\nSystemCallFilter=~@chown unlink\nSystemCallFilter=chown\n"), Systemd, Options{})
	if !strings.Contains(string(listed.Text), `"@default"`) {
		t.Errorf("the group should stand as such:\n%s", listed.Text)
	}
	agrees(t, listed.Text, []abi.Arch{abi.X86_64}, edges, func(name string, _ *[6]uint64) answer {
		switch {
		case name == "uname":
			return failing(5)
		case name == "unlink":
		case name == "chown" || name == "write", slices.Contains(members("@file-system"), name) && !slices.Contains(members("@chown"), name), slices.Contains(members("@default"), name):
			return allowed
		}
		return failing(13)
	})
	open := convert(t, "c.conf", []byte("SystemCallFilter=read\nLockPersonality=yes\n"), Systemd, Options{OnlySyscalls: true})
	if !strings.Contains(string(open.Text), "looser for it: LockPersonality=") {
		t.Errorf("what is left open is not told:\n%s", open.Text)
	}
	refused := convert(t, "b.conf", []byte("SystemCallFilter=~@mount:EPERM kill:kill\nSystemCallFilter=~reboot chown\n"), Systemd, Options{})
	agrees(t, refused.Text, []abi.Arch{abi.X86_64, abi.I386}, edges, func(name string, _ *[6]uint64) answer {
		switch {
		case slices.Contains(members("@mount"), name):
			return failing(1)
		case name == "kill" || name == "reboot" || name == "chown":
			return killed
		}
		return allowed
	})
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Format
	}{
		{"x", ` {"defaultAction": ""}`, OCI},
		{"x", "# c\n\n[Service]\nSystemCallFilter=read\n", Systemd},
		{"x", "SystemCallFilter=read\n", Systemd},
		{"x", "@include ./x\n", Minijail},
		{"x", "read: 1\n", Minijail},
		{"a.policy", "strange: 1\n", Minijail},
		{"x", "# c\ncallgate: 1\n", Callgate},
		{"x.yaml", "description: x\ncallgate: 1\n", Callgate},
		{"x", "hello\n", ""},
		{"x", "", ""},
	} {
		if got, ok := Detect(c.name, []byte(c.text)); got != c.want || ok != (c.want != "") {
			t.Errorf("%s %q: %q", c.name, c.text, got)
		}
	}
}
