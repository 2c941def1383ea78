package compile

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"callgate/policy/abi"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// The edge to libseccomp. It gets what it compiles rightly and nothing else:
// unconditional rules and MASKED_EQ (EQ where all bits count), one action a
// call and filter. Ranges it miscompiles (2.5.4 and 2.6.1: rules on one
// argument with mixed comparisons let through what neither allows), and calls that
// share some comparisons (shared.go).
//
// Filters are exported and never loaded from here: the binding asks for
// SECCOMP_FILTER_FLAG_TSYNC, which would put the filter on every thread of the
// supervisor.

// token is a call as libseccomp wants it in a rule.
type token = seccomp.ScmpSyscall

// tokenOf is the token of a call in the filter of an audit arch; false if
// libseccomp has none that means exactly this number.
func tokenOf(audit uint32, c *call) (token, bool) {
	if audit == abi.AuditI386 && multiplexed(c.name) {
		return 0, false
	}
	if audit == abi.Native().Audit() {
		// A native filter takes raw numbers, also those that the library has no
		// name for. x32's need no translation: see addX32.
		return token(c.nr), true
	}
	arch, ok := foreign(audit)
	if !ok {
		return 0, false
	}
	if nr, err := seccomp.GetSyscallFromNameByArch(c.name, arch); err != nil || uint32(nr) != c.nr {
		return 0, false
	}
	t, err := seccomp.GetSyscallFromName(c.name)
	return t, err == nil
}

// foreign is libseccomp's name for an audit arch that is not the host's own.
func foreign(audit uint32) (seccomp.ScmpArch, bool) {
	if audit == abi.AuditI386 {
		return seccomp.ArchX86, true
	}
	return seccomp.ArchInvalid, false
}

// multiplexed says whether libseccomp would turn a rule on this i386 call into
// rules on socketcall or ipc too (abi_rule_add in its src/syscalls.c).
func multiplexed(name string) bool {
	switch name {
	case "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt",
		"listen", "recv", "recvfrom", "recvmmsg", "recvmsg", "send", "sendmmsg", "sendmsg",
		"sendto", "setsockopt", "shutdown", "socket", "socketpair", "socketcall",
		"msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop",
		"shmat", "shmctl", "shmdt", "shmget", "ipc":
		return true
	}
	return false
}

// scmpAction is a kernel answer as libseccomp names it.
func scmpAction(answer uint32) seccomp.ScmpAction {
	data := int16(answer & unix.SECCOMP_RET_DATA)
	switch answer & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW:
		return seccomp.ActAllow
	case unix.SECCOMP_RET_ERRNO:
		return seccomp.ActErrno.SetReturnCode(data)
	case unix.SECCOMP_RET_TRACE:
		return seccomp.ActTrace.SetReturnCode(data)
	}
	return seccomp.ActKillProcess
}

// exporter reads filters back from libseccomp through one memory file: 2.5 can
// export to descriptors only, and a pipe would block on a long program.
type exporter struct {
	file *os.File
	size int64
}

func newExporter() (*exporter, error) {
	fd, err := unix.MemfdCreate("callgate-filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return &exporter{file: os.NewFile(uintptr(fd), "callgate-filter")}, nil
}

func (e *exporter) close() { e.file.Close() }

// body has libseccomp compile a layer's rules.
func (e *exporter) body(l *layer) (Program, error) {
	f, err := newFilter(l)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	for i := range l.rules {
		if err := addRule(f, &l.rules[i]); err != nil {
			return nil, fmt.Errorf("seccomp_rule_add for call %d of arch %#x: %w", l.rules[i].nr, l.group.audit, err)
		}
	}
	if l.group.audit == abi.AuditX86_64 {
		if err := f.AddArch(seccomp.ArchX32); err != nil {
			return nil, fmt.Errorf("seccomp_arch_add x32: %w", err)
		}
	}
	p, err := e.export(f)
	if err != nil {
		return nil, err
	}
	return lean(p), nil
}

// newFilter is an empty filter for the layer's audit arch.
//
// x86_64's gets x32 too, but only when its rules are in (body): an arch bears
// on the rules added after it, so that x32 has none and libseccomp leaves out
// its own test of x32's bit, sending all of the audit arch's numbers through
// the native rules. There an x32 number is a number like any other, and its
// arguments are compared at 64 bits, where libseccomp's x32 would look at
// their low halves only.
func newFilter(l *layer) (*seccomp.ScmpFilter, error) {
	f, err := seccomp.NewFilter(scmpAction(l.def))
	if err != nil {
		return nil, fmt.Errorf("seccomp_init: %w", err)
	}
	// A binary tree of numbers: an ioctl that conditions speak of is found in 8
	// comparisons rather than 100, and the proof runs through fewer. A library
	// before 2.5 has none, and its list is as right.
	_ = f.SetOptimize(2)
	// The prologue keeps other archs out; with the default's action libseccomp
	// needs no return instruction of its own for them.
	if err = f.SetBadArchAction(scmpAction(l.def)); err == nil {
		err = setArch(f, l.group.audit)
	}
	if err != nil {
		f.Release()
		return nil, fmt.Errorf("seccomp filter for arch %#x: %w", l.group.audit, err)
	}
	return f, nil
}

func setArch(f *seccomp.ScmpFilter, audit uint32) error {
	arch, ok := foreign(audit)
	if !ok || audit == abi.Native().Audit() {
		return nil
	}
	if err := f.AddArch(arch); err != nil {
		return err
	}
	return f.RemoveArch(seccomp.ArchNative)
}

func addRule(f *seccomp.ScmpFilter, r *rule) error {
	if len(r.cubes) == 0 {
		return f.AddRuleExact(r.token, scmpAction(r.action))
	}
	for i := range r.cubes {
		conds, err := conditions(&r.cubes[i])
		if err == nil {
			err = f.AddRuleConditionalExact(r.token, scmpAction(r.action), conds)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// conditions asks for a cube.
func conditions(c *cube) ([]seccomp.ScmpCondition, error) {
	var out []seccomp.ScmpCondition
	for i, mask := range c.mask {
		if mask == 0 {
			continue
		}
		one, err := seccomp.MakeCondition(uint(i), seccomp.CompareMaskedEqual, mask, c.value[i])
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// export is the filter's program, appended to the memory file and read back.
func (e *exporter) export(f *seccomp.ScmpFilter) (Program, error) {
	if err := f.ExportBPF(e.file); err != nil {
		return nil, fmt.Errorf("seccomp_export_bpf: %w", err)
	}
	end, err := e.file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, end-e.size)
	if _, err := e.file.ReadAt(raw, e.size); err != nil {
		return nil, fmt.Errorf("reading the exported filter: %w", err)
	}
	e.size = end
	p := make(Program, len(raw)/8)
	for i := range p {
		b := raw[8*i:]
		p[i] = unix.SockFilter{
			Code: binary.NativeEndian.Uint16(b), Jt: b[2], Jf: b[3],
			K: binary.NativeEndian.Uint32(b[4:]),
		}
	}
	return p, nil
}
