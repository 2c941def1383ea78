package supervisor

import (
	"io"
	"strings"
	"sync"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/ptrace"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// opener is a kernel with one task, which makes the same call again and again. It
// notes nothing, so that what allocates is the loop.
type opener struct {
	recording
	call, exit ptrace.SyscallInfo
	atExit     bool
	mem        io.ReaderAt
	replaced   int
}

func (o *opener) SyscallInfo(_ int, out *ptrace.SyscallInfo) error {
	*out = o.call
	if o.atExit {
		*out = o.exit
	}
	return nil
}

func (o *opener) Memory(int) io.ReaderAt { return o.mem }
func (o *opener) Peek(_ int, addr uint64, p []byte) error {
	_, err := o.mem.ReadAt(p, int64(addr))
	return err
}
func (o *opener) Write(int, uint64, []byte) error           { return nil }
func (o *opener) Restore(int, *[6]uint64, *[6]uint64) error { return nil }
func (o *opener) Resume(int, unix.Signal) error             { o.atExit = false; return nil }
func (o *opener) ResumeToExit(int, unix.Signal) error       { o.atExit = true; return nil }
func (o *opener) Registers(int, *ptrace.Registers) error    { return nil }
func (o *opener) SetRegisters(int, *ptrace.Registers) error { return nil }
func (o *opener) Replace(_ int, _, _ *abi.Call) error       { o.replaced++; return nil }

// TestNoAllocations: calls that are traced and pinned cost no garbage, however
// many there are.
func TestNoAllocations(t *testing.T) {
	const name = "/usr/lib/libc.so\x00"
	for _, c := range []struct {
		call ptrace.SyscallInfo
		mem  string
	}{
		{call("openat", 1<<64-100, 0x1000, unix.O_RDONLY), name},
		{call("openat", 1<<64-100, 0x1000, unix.O_RDONLY), "/proc/version\x00"},
		{call("open", 0x1000, unix.O_CREAT|unix.O_WRONLY, 0o600), name},
		{call("newfstatat", 1<<64-100, 0x1000, 0x2000, 0), "/proc/version\x00"},
	} {
		s := namesRun(t)
		o := &opener{call: c.call, exit: ptrace.SyscallInfo{Op: ptrace.OpExit, Return: 3}, mem: fakeMemory(c.mem + strings.Repeat("x", 4096))}
		s.kernel = o
		allocations := testing.AllocsPerRun(100, func() {
			s.handle(at(ptrace.Seccomp, root))
			s.handle(at(ptrace.Syscall, root))
		})
		if s.err != nil || o.replaced != 101 {
			t.Errorf("%q: %d calls of 101 were replaced: %v", c.mem, o.replaced, s.err)
		}
		if allocations > 0 {
			t.Errorf("%d %q: %v allocations", c.call.Nr, c.mem, allocations)
		}
	}
}

// namesPlan has a rule that only the supervisor can hold.
var namesPlan = sync.OnceValues(func() (*compile.Plan, error) {
	loader := policy.Loader{ReadFile: func(string) ([]byte, error) {
		return []byte("callgate: 1\ndefault: allow\nfiles:\n  - deny: /etc/shadow\n"), nil
	}}
	set, err := loader.LoadAll("test.yaml")
	if err != nil {
		return nil, err
	}
	var opts compile.Options
	if opts.Sections, err = set.Bind(policy.Place{Dir: "/"}); err != nil {
		return nil, err
	}
	opts.Holders, opts.Landlock = compile.Enforce(opts.Sections, compile.Host{Procs: func() []string { return nil }})
	return compile.Compile(set, opts)
})

// namesRun is a sandbox under namesPlan, with an armed process.
func namesRun(t *testing.T) *sandbox {
	t.Helper()
	plan, err := namesPlan()
	if err != nil {
		t.Fatal(err)
	}
	s := newSandbox(plan, Command{}, Options{})
	if s.resolver, err = resolve.New(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.resolver.Close)
	s.place.off.Store(true)
	s.adoptFirst(root)
	s.first.starting, s.first.armed = false, true
	return s
}
