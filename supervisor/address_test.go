package supervisor

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/decode"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

func inet(family uint16, port uint16, ip ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, family)
	return append(append(binary.BigEndian.AppendUint16(b, port), ip...), make([]byte, 8)...)
}

func inet6(port uint16, ip string) []byte {
	b := binary.BigEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, unix.AF_INET6), port)
	addr := netip.MustParseAddr(ip).As16()
	return append(append(append(b, 0, 0, 0, 0), addr[:]...), 0, 0, 0, 0)
}

// TestAddressOf: what the rules are asked of, "" where the kernel refuses the
// address; and that the wildcard address is spelled out as what was asked.
func TestAddressOf(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  []byte
		what purpose
		want string
		made string // the address as it is pinned, if another
	}{
		{"IPv4", inet(unix.AF_INET, 80, 10, 0, 0, 1), connects, "10.0.0.1:80", ""},
		{"IPv4, too short", inet(unix.AF_INET, 80, 10, 0, 0, 1)[:15], connects, "", ""},
		{"IPv6", inet6(80, "fe80::1"), connects, "[fe80::1]:80", ""},
		{"IPv6 without a scope", inet6(80, "fe80::1")[:24], connects, "[fe80::1]:80", ""},
		{"IPv6, too short", inet6(80, "fe80::1")[:23], connects, "", ""},
		{"mapped", inet6(80, "::ffff:10.0.0.1"), connects, "10.0.0.1:80", ""},
		{"wildcard", inet(unix.AF_INET, 80, 0, 0, 0, 0), connects, "127.0.0.1:80", "127.0.0.1"},
		{"wildcard to bind", inet(unix.AF_INET, 80, 0, 0, 0, 0), binds, "0.0.0.0:80", "0.0.0.0"},
		{"IPv6 wildcard", inet6(80, "::"), sends, "[::1]:80", "::1"},
		{"mapped wildcard", inet6(80, "::ffff:0.0.0.0"), sends, "127.0.0.1:80", "::ffff:127.0.0.1"},
		{"no family, connect", inet(unix.AF_UNSPEC, 80, 10, 0, 0, 1), connects, "AF_UNSPEC", ""},
		{"no family, send", inet(unix.AF_UNSPEC, 80, 10, 0, 0, 1), sends, "10.0.0.1:80", ""},
		{"no family, bind", inet(unix.AF_UNSPEC, 80, 0, 0, 0, 0), binds, "0.0.0.0:80", ""},
		{"no family, send, too short", inet(unix.AF_UNSPEC, 80, 10, 0, 0, 1)[:15], sends, "", ""},
		{"netlink", binary.NativeEndian.AppendUint16(nil, unix.AF_NETLINK), connects, "AF_NETLINK", ""},
		{"half a family", []byte{2}, connects, "", ""},
	} {
		a, err := decode.Sockaddr(fakeMemory(c.raw), 0x1000, uint64(len(c.raw)))
		if err != nil {
			t.Fatal(err)
		}
		to, ok := addressOf(&a, c.what)
		got := ""
		if ok {
			if c.what != binds {
				loopback(&a, &to)
			}
			got = addressText(to)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if again, _ := decode.Sockaddr(fakeMemory(a.Raw), 0x1000, uint64(len(a.Raw))); c.made != "" && again.IP.String() != c.made {
			t.Errorf("%s: made with %v, want %s", c.name, again.IP, c.made)
		}
	}
}

// pinner is a kernel that notes what is pinned, and the registers then.
type pinner struct {
	recording
	pinned []byte
	regs   ptrace.Registers
}

func (p *pinner) Write(_ int, addr uint64, b []byte) error {
	p.pinned = append([]byte(nil), b...)
	return p.note(root, "pin %d at %#x", len(b), addr)
}

func (p *pinner) SetRegisters(tid int, regs *ptrace.Registers) error {
	p.regs = *regs
	return p.note(tid, "set registers")
}

func (p *pinner) Replace(tid int, _, to *abi.Call) error {
	p.regs.SetCall(*to)
	return p.note(tid, "replace the call of")
}

// networkPlan is of a policy with these rules of network.
func networkPlan(t *testing.T, rules string) *compile.Plan {
	t.Helper()
	loader := policy.Loader{ReadFile: func(string) ([]byte, error) {
		return []byte("callgate: 1\ndefault: allow\ncompat: {i386: same, x32: same}\nnetwork:\n" + rules), nil
	}}
	set, err := loader.LoadAll("test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var opts compile.Options
	if opts.Sections, err = set.Bind(policy.Place{Dir: "/"}); err != nil {
		t.Fatal(err)
	}
	opts.Holders, opts.Landlock = compile.Enforce(opts.Sections, compile.Host{Procs: func() []string { return nil }})
	plan, err := compile.Compile(set, opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// networkRun is a sandbox that may talk to 10.0.0.1 alone, at one stop.
func networkRun(t *testing.T, info ptrace.SyscallInfo, mem []byte) *pinner {
	t.Helper()
	plan := networkPlan(t, "  - connect: 10.0.0.1\n  - deny: '*'\n")
	s := newSandbox(plan, Command{}, Options{})
	p := &pinner{recording: recording{infos: map[int]ptrace.SyscallInfo{root: info}, memory: map[int][]byte{root: mem}}}
	s.kernel = p
	s.place.off.Store(true)
	s.adoptFirst(root)
	s.first.starting, s.first.armed = false, true
	p.last = ptrace.Seccomp
	s.handle(at(ptrace.Seccomp, root))
	if s.err != nil {
		t.Fatal(s.err)
	}
	return p
}

func (p *pinner) did() string {
	return strings.ReplaceAll(strings.Join(p.asked, "; "), strconv.Itoa(root), "root")
}

// messageCall is sendmsg or sendmmsg in an ABI.
func messageCall(arch abi.Arch, name string, args ...uint64) ptrace.SyscallInfo {
	entry, ok := arch.ByName(name)
	if !ok {
		panic(name)
	}
	info := ptrace.SyscallInfo{Op: ptrace.OpSeccomp, Audit: abi.AuditX86_64, Nr: uint64(entry.Nr), Data: compile.TraceData}
	if arch == abi.I386 {
		info.Audit = abi.AuditI386
	}
	copy(info.Args[:], args)
	return info
}

// TestMessagePinned: a message is sent with its header, its address and its
// control data in pinned memory, in each ABI's layout.
func TestMessagePinned(t *testing.T) {
	name := inet(unix.AF_INET, 80, 10, 0, 0, 1)
	for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
		l := decode.MessageLayoutOf(arch)
		put := func(b []byte, at int, v uint64) {
			if l.Word == 4 {
				binary.NativeEndian.PutUint32(b[at:], uint32(v))
			} else {
				binary.NativeEndian.PutUint64(b[at:], v)
			}
		}
		mem := make([]byte, 0x400) // the header at 0x1000, the name at 0x1100, control data at 0x1200
		put(mem, 0, 0x1100)
		binary.NativeEndian.PutUint32(mem[l.NameLen:], 16)
		put(mem, l.Control, 0x1200)
		put(mem, l.ControlLen, 16)
		copy(mem[0x100:], name)
		put(mem, 0x200, 16)
		binary.NativeEndian.PutUint32(mem[0x200+l.Word:], 1) // SOL_SOCKET
		for _, call := range []string{"sendmsg", "sendmmsg"} {
			p := networkRun(t, messageCall(arch, call, 3, 0x1000, 1), mem)
			size := (l.Size + 7) &^ 7
			want := append([]byte(nil), mem[:size]...)
			put(want, 0, compile.PinBase+uint64(size))
			put(want, l.Control, compile.PinBase+uint64(size)+16)
			if l.Size%8 != 0 {
				clear(want[l.Size:])
			}
			want = append(append(want, name...), mem[0x200:0x210]...)
			if string(p.pinned) != string(want) {
				t.Errorf("%v %s: pinned\n%x, want\n%x", arch, call, p.pinned, want)
			}
			entry, _ := arch.ByName("sendmsg")
			wanted := ptrace.Registers{}
			wanted.SetCall(abi.Call{Arch: arch, Nr: entry.Nr, Args: [6]uint64{3, compile.PinBase, map[string]uint64{"sendmsg": 1}[call]}})
			if p.regs != wanted || !strings.HasSuffix(p.did(), "resume to exit root") {
				t.Errorf("%v %s: %s", arch, call, p.did())
			}
			binary.NativeEndian.PutUint32(mem[0x200+l.Word:], 0) // SOL_IP
			binary.NativeEndian.PutUint32(mem[0x204+l.Word:], 7) // IP_RETOPTS
			if got := networkRun(t, messageCall(arch, call, 3, 0x1000, 1), mem).did(); got != "return -1 from root; resume root" {
				t.Errorf("%v %s by another host: %s", arch, call, got)
			}
			binary.NativeEndian.PutUint32(mem[0x200+l.Word:], 1)
			mem[0x107] = 2
			if got := networkRun(t, messageCall(arch, call, 3, 0x1000, 1), mem).did(); got != "return -13 from root; resume root" {
				t.Errorf("%v %s to another: %s", arch, call, got)
			}
			mem[0x107] = 1
		}
	}
}

// TestAddressCalls: what becomes of calls by their address's length and place.
func TestAddressCalls(t *testing.T) {
	good, other := string(inet(unix.AF_INET, 80, 10, 0, 0, 1)), string(inet(unix.AF_INET, 80, 10, 0, 0, 2))
	const goes, denied, pinned = "resume root", "return -13 from root; resume root", "pin 16 at 0x10000 root; replace the call of root; resume to exit root"
	for _, c := range []struct {
		name string
		call ptrace.SyscallInfo
		mem  string
		want string
	}{
		{"permitted", call("connect", 3, 0x1000, 16), good, pinned},
		{"denied", call("connect", 3, 0x1000, 16), other, denied},
		{"a length's high half", call("connect", 3, 0x1000, 1<<32|16), other, denied},
		{"no length", call("connect", 3, 0x1000, 0), other, goes},
		{"a negative length", call("connect", 3, 0x1000, 1<<32-1), other, goes},
		{"too long", call("connect", 3, 0x1000, 129), other, goes},
		{"too short", call("connect", 3, 0x1000, 8), other, "pin 8 at 0x10000 root; replace the call of root; resume to exit root"},
		{"in a hole", call("connect", 3, 0x10, 16), "", "return -14 from root; resume root"},
		{"into a hole", call("connect", 3, 0x1000, 16), other[:15], "return -14 from root; resume root"},
		{"a send", call("sendto", 3, 0, 0, 0, 0x1000, 16), good, pinned},
		{"a send to another", call("sendto", 3, 0, 0, 0, 0x1000, 16), other, denied},
		{"a send without an address", call("sendto", 3, 0, 0, 0, 0, 16), other, goes},
		{"a bind", call("bind", 3, 0x1000, 16), good, denied},
		{"no messages", call("sendmmsg", 3, 0x1000, 0), other, goes},
		{"a header in a hole", call("sendmsg", 3, 0x10), other, "return -14 from root; resume root"},
		{"a raw socket", call("socket", unix.AF_INET, unix.SOCK_RAW, 6), "", denied},
		{"SCTP", call("socket", unix.AF_INET, unix.SOCK_STREAM, 132), "", denied},
		{"a socket", call("socket", unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0), "", goes},
	} {
		if got := networkRun(t, c.call, []byte(c.mem)).did(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
