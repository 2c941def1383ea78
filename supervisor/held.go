package supervisor

import (
	"encoding/binary"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// A call that was decided by names is made with these names in pinned memory
// (pin.go), while other names hold still (order.go).

// pinText is what is to be pinned, and the register that is to point to it; -1:
// none.
type pinText struct {
	register int8
	name     bool // a NUL comes behind it
	text     string
	data     []byte // instead
	// Without a register: the first text has a pointer to this one, of width bytes,
	// at an offset.
	offset, width int8
}

// nameCall plans the call that is to be made in the place of one that was
// permitted by the files that it names.
func (s *sandbox) nameCall(t *task, entry *abi.Syscall, j *judged) {
	list := s.naming.list
	if len(list) == 0 || j.answer != 0 || !j.verdict.Action.Permits() {
		return
	}
	if j.part = looks; slices.ContainsFunc(list, func(n named) bool { return n.use.Verb.Names() }) {
		j.part = changes
	}
	switch verb := list[0].use.Verb; {
	case verb == policy.Opens:
		s.planOpen(t, entry, &list[0], j)
	case list[0].held && list[0].use.Path < 0:
		s.planHeld(t, entry, &list[0], j)
	default:
		for i := range list {
			s.planName(t, entry, &list[i], j)
		}
	}
	if j.pinned == 0 && !j.rewrite {
		j.part = apart // it rests on no name: descriptors that nobody can exchange
	}
}

// planName pins one name.
func (s *sandbox) planName(t *task, entry *abi.Syscall, n *named, j *judged) {
	switch {
	case n.held && n.use.Verb == policy.Changes && t.process.shares():
		s.planPath(entry, n, j)
	case n.held && entry.Params[n.use.Path].Value(&j.direct.Args) == 0:
		// NULL: nothing to point to
	default:
		j.pinName(entry.Params[n.use.Path].Lo, s.kernelName(t, n))
	}
}

// kernelName is the name as the kernel is to take it: the tracee's own where no link
// is in it, so that nothing about the call is different; else the one that it
// leads to, since magic links (proc(5)) lead elsewhere without a rename. A
// program's name is what its script is told, so that it stays; what was executed
// is judged again (judgeProgramAgain).
func (s *sandbox) kernelName(t *task, n *named) string {
	switch {
	case n.held, n.use.Verb == policy.Runs, n.found.Path == "" && !t.process.shares():
		return n.name
	case n.found.Dots && (n.use.Verb == policy.Makes || n.use.Verb.Names()):
		return n.name // whatever it leads to, the kernel refuses to make or remove it
	case n.name[0] != '/' && !s.findBase(t, n):
		return n.found.Inside
	}
	if text, _, ok := resolve.Lexical(n.base, n.name); ok && text == n.found.Path {
		return n.name
	}
	switch {
	case n.found.Inside == "/" || n.found.Inside == "":
	case n.found.Dots:
		return n.found.Inside + "/."
	case n.found.TrailingSlash:
		return n.found.Inside + "/"
	}
	return n.found.Inside
}

// planHeld is for calls on a descriptor: as they stand where nobody can exchange
// it, else on the path of what it holds.
func (s *sandbox) planHeld(t *task, entry *abi.Syscall, n *named, j *judged) {
	if !t.process.shares() {
		j.part = apart
		return
	}
	s.planPath(entry, n, j)
}

// planPath makes a change of a descriptor's file one of its path.
func (s *sandbox) planPath(entry *abi.Syscall, n *named, j *judged) {
	arch, a := j.direct.Arch, j.direct.Args
	here := uint64(uint32(unix.AT_FDCWD & 0xffffffff))
	register := int8(0)
	switch entry.Canonical {
	case "fchmod":
		j.direct, register = callOf(arch, "fchmodat", here, 0, a[1]), 1
	case "fchown":
		j.direct, register = callOf(arch, "fchownat", here, 0, owner(entry, a[1]), owner(entry, a[2]), 0), 1
	case "fsetxattr":
		j.direct = callOf(arch, "setxattr", 0, a[1], a[2], a[3], a[4])
	case "fremovexattr":
		j.direct = callOf(arch, "removexattr", 0, a[1])
	default: // *at, with an empty name or NULL
		j.direct.Args[entry.Params[n.use.Dir].Lo] = here
		register = entry.Params[n.use.Path].Lo
	}
	j.pinName(register, n.found.Inside)
}

// owner widens an id: 16 bits of all ones are no id, as 32 bits of them
// (low2highuid in include/linux/highuid.h).
func owner(entry *abi.Syscall, id uint64) uint64 {
	if entry.Params[1].Bits == 16 {
		if id &= 0xffff; id == 0xffff {
			return 1<<32 - 1
		}
	}
	return id
}

// planOpen makes an open an openat2 that meets no symbolic link.
func (s *sandbox) planOpen(t *task, entry *abi.Syscall, n *named, j *judged) {
	j.part = apart
	switch {
	case n.walked && n.found.Path == "":
		s.planReopen(t, n, j)
		return
	case t.process.filtered:
		s.planPlainOpen(entry, n, j)
		return
	}
	how := s.naming.how
	if how == nil {
		how = s.naming.made[:]
		binary.NativeEndian.PutUint64(how, s.naming.flags)
		binary.NativeEndian.PutUint64(how[8:], s.naming.mode)
	}
	asked := s.naming.resolveOf()
	binary.NativeEndian.PutUint64(how[16:], asked|unix.RESOLVE_NO_SYMLINKS)
	j.again = !n.walked && asked&unix.RESOLVE_NO_SYMLINKS == 0
	j.direct = callOf(j.direct.Arch, "openat2", uint64(uint32(n.dir)), 0, 0, uint64(len(how)))
	j.pinData(2, how)
	j.pinName(1, openName(n))
}

// planPlainOpen leaves the call what it is: a filter of the program's own is asked
// about what is made in its place too, and may kill for openat2. Then links are
// kept away as from other calls, and it may not wait for long.
func (s *sandbox) planPlainOpen(entry *abi.Syscall, n *named, j *judged) {
	j.part, j.blocks = looks, true
	if s.naming.how != nil {
		p, _ := entry.Param("how")
		j.pinData(p.Lo, s.naming.how)
	}
	j.pinName(entry.Params[n.use.Path].Lo, openName(n))
}

// openName is the name that is opened: what it leads to, or where it was not
// followed the text, without "..": a folder that is moved meanwhile could change
// what that means.
func openName(n *named) string {
	name, end := n.name, ""
	switch {
	case n.walked:
		if name = n.found.Inside; n.found.TrailingSlash {
			end = "/"
		}
	case hasDots(n.name):
		name = n.path
		for _, asks := range []string{"/", "/."} { // for a folder
			if strings.HasSuffix(n.name, asks) {
				end = asks
			}
		}
	}
	if name == "/" {
		return name
	}
	return name + end
}

// pinName notes a name that the register is to point to.
func (j *judged) pinName(register int8, name string) {
	j.pins[j.pinned] = pinText{register: register, name: true, text: name}
	j.pinned++
}

// pinWithin notes data to which width bytes at an offset of the first text are to
// point.
func (j *judged) pinWithin(offset, width int, data []byte) {
	j.pins[j.pinned] = pinText{register: -1, data: data, offset: int8(offset), width: int8(width)}
	j.pinned++
}

// pinData notes data that the register is to point to.
func (j *judged) pinData(register int8, data []byte) {
	j.pins[j.pinned] = pinText{register: register, data: data}
	j.pinned++
}
