package supervisor

import (
	"errors"
	"fmt"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// arming gives a program that has just been executed its pinned area, before its
// first instruction: the supervisor has the task itself map it and, where the
// kernel can (mseal(2), Linux 6.10), seal it. What else could take the area away,
// or be mapped there first, builtin:guard-names refuses by address.
//
// At the exec event the task is still inside execve, which sets registers at its
// end; so that end is awaited first.
type arming struct {
	step   armStep
	before ptrace.Registers
	text   [8]byte // what was where the entering instruction is now
	call   abi.Call

	command bool // the program is the sandbox's command
}

type armStep uint8

const (
	armExec armStep = iota // execve is to end
	armMap                 // mmap
	armSeal                // mseal
)

// arm has t armed, which has just executed a program, perhaps the command.
func (s *sandbox) arm(t *task, command bool) error {
	t.process.armed = false
	t.arming = &arming{command: command}
	return s.kernel.ResumeToExit(t.tid, 0)
}

// armCall is the seccomp stop of the call that arming makes: the filter sends
// both there (compile.PinBase). Anything else would be the program's own.
func (s *sandbox) armCall(t *task) error {
	if call, _ := s.info.Call(); call != t.arming.call {
		return errors.New("a call other than the supervisor's own before the program's first instruction")
	}
	s.reached[t.arming.step] = true
	return s.kernel.ResumeToExit(t.tid, 0)
}

// armed goes on at the end of a call that arming awaited, which returned result.
func (s *sandbox) armed(t *task, result int64) error {
	switch t.arming.step {
	case armExec:
		return s.armBegin(t)
	case armMap:
		if result == -int64(unix.EEXIST) {
			return s.occupied(t)
		}
		if result != compile.PinBase {
			return s.armEnd(t, fmt.Errorf("mmap: %w", unix.Errno(-result)))
		}
		if s.unsealed || t.process.filtered { // a filter of its own might kill for mseal
			return s.armEnd(t, nil)
		}
		t.arming.step = armSeal
		return s.armEnter(t, sealCall(t.arming.call.Arch))
	}
	// A filter of a container's may answer EPERM, an older kernel ENOSYS: then the
	// guard on addresses is all there is, as everywhere.
	s.unsealed = result != 0
	return s.armEnd(t, nil)
}

// armBegin puts the instruction that enters the kernel where the program begins.
func (s *sandbox) armBegin(t *task) error {
	a := t.arming
	if err := s.kernel.Registers(t.tid, &a.before); err != nil {
		return err
	}
	gate := ptrace.Gate(a.before.Code32())
	err := s.kernel.Peek(t.process.pid, a.before.IP(), a.text[:len(gate)])
	if err == nil {
		err = s.kernel.Write(t.process.pid, a.before.IP(), gate)
	}
	if err = s.unlessGone(t, err); err == unix.ESRCH {
		return err
	}
	if err != nil { // the program may be executed but not read
		t.arming, s.unarmed = nil, true
		return s.kernel.Resume(t.tid, 0)
	}
	a.step = armMap
	return s.armEnter(t, mapCall(archOf(&a.before)))
}

// errOccupied is of programs that are linked where the pinned area is to be.
var errOccupied = fmt.Errorf("cannot be run under rules on files, programs or addresses: "+
	"it is linked between %#x and %#x, where callgate keeps what it judges", compile.PinBase, compile.PinEnd)

// occupied ends a program that has something of its own where the area is to be:
// every call of it that names a file would be denied.
func (s *sandbox) occupied(t *task) error {
	if t.arming.command {
		return &StartError{Op: "execve", Path: t.process.program(), Err: errOccupied}
	}
	s.tellKilled(t, &judged{verdict: policy.Verdict{Action: policy.Kill, Policy: s.plan.Set[0]}, reason: errOccupied.Error()})
	s.kill(t.tid)
	return unix.ESRCH
}

func archOf(r *ptrace.Registers) abi.Arch {
	if r.Code32() {
		return abi.I386
	}
	return abi.Native()
}

// armEnter has t make a call; it stops at the filter, and again at the end. A
// filter that was there before ours, a container's, may answer the call itself,
// and so may the program's own: until one has come as far as ours, it is followed
// from its beginning.
func (s *sandbox) armEnter(t *task, call abi.Call) error {
	a := t.arming
	a.call = call
	regs := a.before
	regs.Enter(call)
	if err := s.kernel.SetRegisters(t.tid, &regs); err != nil {
		return err
	}
	if !s.reached[a.step] || t.process.filtered {
		return s.kernel.ResumeToExit(t.tid, 0)
	}
	return s.kernel.Resume(t.tid, 0)
}

// armEnd lets the program begin, as if nothing had been there. Without an area
// what needs one is denied.
func (s *sandbox) armEnd(t *task, failed error) error {
	a := t.arming
	gate := ptrace.Gate(a.before.Code32())
	err := s.unlessGone(t, s.kernel.Write(t.process.pid, a.before.IP(), a.text[:len(gate)]))
	switch {
	case err == unix.ESRCH:
		return err
	case err != nil:
		return fmt.Errorf("the program's text: %w", err)
	}
	if err := s.kernel.SetRegisters(t.tid, &a.before); err != nil {
		return err
	}
	t.arming = nil
	t.process.armed = failed == nil
	s.unarmed = s.unarmed || failed != nil
	return s.kernel.Resume(t.tid, 0)
}

// unlessGone is why t's memory could not be reached, if it could not: unix.ESRCH where t
// was killed meanwhile, which ends its stop before its memory goes (ptrace(2), "Death
// under ptrace").
func (s *sandbox) unlessGone(t *task, err error) error {
	if err == nil {
		return nil
	}
	var regs ptrace.Registers
	if gone := s.kernel.Registers(t.tid, &regs); gone != nil {
		return gone
	}
	return err
}

// mapCall is mmap(PinBase, the area's size, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|
// MAP_NORESERVE|MAP_FIXED_NOREPLACE, -1, 0).
func mapCall(arch abi.Arch) abi.Call {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE | unix.MAP_FIXED_NOREPLACE
	name := "mmap"
	none := ^uint64(0)
	if arch == abi.I386 {
		name, none = "mmap2", 1<<32-1
	}
	return callOf(arch, name, compile.PinBase, compile.PinEnd-compile.PinBase, unix.PROT_READ, flags, none, 0)
}

func sealCall(arch abi.Arch) abi.Call {
	return callOf(arch, "mseal", compile.PinBase, compile.PinEnd-compile.PinBase, 0)
}

// callOf is a call by its name in an ABI's table, which must have it.
func callOf(arch abi.Arch, name string, args ...uint64) abi.Call {
	entry, ok := arch.ByName(name)
	if !ok {
		panic("BUG: " + arch.String() + " has no " + name)
	}
	c := abi.Call{Arch: arch, Nr: entry.Nr}
	copy(c.Args[:], args)
	return c
}
