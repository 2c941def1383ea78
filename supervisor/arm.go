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
// first instruction: the supervisor puts an errand where it begins, code that maps
// the area and, where the kernel can (mseal(2), Linux 6.10), seals it, which the
// filter lets pass. The errand's last call stops there, and then the program is as it
// was. What else could take the area away, or be mapped there first,
// builtin:guard-names refuses by address.
type arming struct {
	before ptrace.Registers
	text   [ptrace.MostErrand]byte // what was where the errand is now
	from   uint64                  // where that is
	size   int
	seals  bool
	// follows has it stop at each of its calls: a filter that was there before ours, a
	// container's, may answer the last one itself, and so may the program's own.
	follows bool

	command bool // the program is the sandbox's command
}

// page is the least that pages have, in bytes.
const page = 4096

// arm has t armed, which has just executed a program, perhaps the command. It is still
// inside execve, which sets no registers any more but for its result.
func (s *sandbox) arm(t *task, command bool) error {
	t.process.armed = false
	a := &arming{command: command}
	if err := s.kernel.Registers(t.tid, &a.before); err != nil {
		return err
	}
	arch := archOf(&a.before)
	a.seals = !s.unsealed && !t.process.filtered // a filter of its own might kill for mseal
	a.follows = t.process.filtered || !s.reached[arch]
	errand := errandOf(arch, a.seals)
	a.size = len(errand)
	a.from = min(a.before.IP(), (a.before.IP()|(page-1))+1-uint64(a.size)) // what is behind its page may not be mapped
	err := s.kernel.Peek(t.process.pid, a.from, a.text[:a.size])
	if err == nil {
		err = s.kernel.Write(t.process.pid, a.from, errand)
	}
	if err = s.unlessGone(t, err); err == unix.ESRCH {
		return err
	}
	if err != nil { // the program may be executed but not read
		s.unarmed = true
		return s.kernel.Resume(t.tid, 0)
	}
	regs := a.before
	regs.Begin(a.from, mapCall(arch))
	if err := s.kernel.SetRegisters(t.tid, &regs); err != nil {
		return err
	}
	t.arming = a
	return s.resume(t, 0)
}

// errandStop is the seccomp stop of a call of t's errand.
func (s *sandbox) errandStop(t *task) error {
	a := t.arming
	call, _ := s.info.Call()
	switch a.own(&call, s.info.IP) {
	case errandLast:
		if s.info.Data == compile.TraceData && !t.process.filtered {
			s.reached[call.Arch] = true
		}
		return s.armed(t, &call.Args)
	case errandOther:
		return s.resume(t, 0) // a policy refuses it, compat stops all calls of its ABI, another filter whichever it wants
	}
	return errors.New("a call other than the supervisor's own before the program's first instruction")
}

// What a call is of an errand.
const (
	errandNone = iota
	errandOther
	errandLast
)

// own says what of the errand a call is after which the task goes on at ip.
func (a *arming) own(call *abi.Call, ip uint64) int {
	maps := mapCall(archOf(&a.before))
	if call.Arch != maps.Arch || ip <= a.from || ip > a.from+uint64(a.size) {
		return errandNone
	}
	last := ip == a.from+uint64(a.size)
	seals := callOf(maps.Arch, "mseal", maps.Args[0], maps.Args[1])
	switch {
	case last && call.Nr == maps.Nr && call.Args[0] == compile.PinTold:
		return errandLast
	case !last && *call == maps, !last && call.Nr == seals.Nr && [3]uint64(call.Args[:3]) == [3]uint64(seals.Args[:3]):
		return errandOther
	}
	return errandNone
}

// errandReturn is the beginning or the end of a call of an errand that is followed, or the
// end of execve before it. Where it is the end of the last one, some filter has answered
// that.
func (s *sandbox) errandReturn(t *task) error {
	a := t.arming
	if s.info.Op != ptrace.OpExit || s.info.IP != a.from+uint64(a.size) {
		return s.resume(t, 0)
	}
	var regs ptrace.Registers
	if err := s.kernel.Registers(t.tid, &regs); err != nil {
		return err
	}
	args := regs.Arguments(archOf(&a.before))
	return s.armed(t, &args)
}

// armed lets the program begin, as if nothing had been there, at the last call of its
// errand, which has these arguments. Without an area what needs one is denied.
func (s *sandbox) armed(t *task, args *[6]uint64) error {
	a := t.arming
	mapped, sealed := args[ptrace.ErrandFirst], args[ptrace.ErrandSecond]
	if int32(mapped) == -int32(unix.EEXIST) {
		return s.occupied(t)
	}
	if a.seals && mapped == compile.PinBase {
		// A filter of a container's may answer EPERM, an older kernel ENOSYS: then the
		// guard on addresses is all there is, as everywhere.
		s.unsealed = sealed != 0
	}
	err := s.unlessGone(t, s.kernel.Write(t.process.pid, a.from, a.text[:a.size]))
	switch {
	case err == unix.ESRCH:
		return err
	case err != nil:
		return fmt.Errorf("the program's text: %w", err)
	}
	a.before.Leave()
	if err := s.kernel.SetRegisters(t.tid, &a.before); err != nil {
		return err
	}
	t.arming = nil
	t.process.armed = mapped == compile.PinBase
	s.unarmed = s.unarmed || !t.process.armed
	return s.kernel.Resume(t.tid, 0)
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

// unfiltered says whether no filter but ours looks at the sandbox's calls: none is in force
// for this thread (PR_GET_SECCOMP(2const)).
func unfiltered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return mode == 0 && err == nil
}

func archOf(r *ptrace.Registers) abi.Arch {
	if r.Code32() {
		return abi.I386
	}
	return abi.Native()
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

// errandOf is the code by which a task gets its area.
func errandOf(arch abi.Arch, seals bool) []byte {
	maps, last := mapCall(arch), mapCall(arch)
	last.Args[0] = compile.PinTold
	var mseal abi.Call
	if seals {
		mseal = callOf(arch, "mseal", maps.Args[0], maps.Args[1], 0)
	}
	return ptrace.Errand(maps, mseal, last)
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
