package decode

import (
	"strconv"
	"strings"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// openHow shows struct open_how of linux/openat2.h: 64-bit flags, mode and
// resolve. Newer, longer ones are shown as far as that goes.
func (sh *shower) openHow(i int, addr uint64) (string, error) {
	if n, ok := sh.length(i); ok && n < unix.SizeofOpenHow {
		return hex(addr), nil
	}
	w, err := words(sh.mem, addr, 8, 3)
	if err != nil {
		return "", err
	}
	s := "{flags=" + consts(sh.call.Arch, "openat", "flags").Format(w[0], 64)
	if w[1] != 0 {
		s += ", mode=" + octal(w[1])
	}
	if w[2] != 0 {
		s += ", resolve=" + resolveFlags.Format(w[2], 64)
	}
	return s + "}", nil
}

// resolveFlags are RESOLVE_* of linux/openat2.h.
var resolveFlags = abi.Consts{Name: "resolve flags", Flags: true, List: []abi.Const{
	{Name: "RESOLVE_NO_XDEV", Value: unix.RESOLVE_NO_XDEV},
	{Name: "RESOLVE_NO_MAGICLINKS", Value: unix.RESOLVE_NO_MAGICLINKS},
	{Name: "RESOLVE_NO_SYMLINKS", Value: unix.RESOLVE_NO_SYMLINKS},
	{Name: "RESOLVE_BENEATH", Value: unix.RESOLVE_BENEATH},
	{Name: "RESOLVE_IN_ROOT", Value: unix.RESOLVE_IN_ROOT},
	{Name: "RESOLVE_CACHED", Value: 0x20},
}}

// cloneArgs shows struct clone_args: what is set of it.
func (sh *shower) cloneArgs(i int, addr uint64) (string, error) {
	n, ok := sh.length(i)
	if !ok || n < unix.CLONE_ARGS_SIZE_VER0 {
		return hex(addr), nil
	}
	w, err := words(sh.mem, addr, 8, int(min(n, unix.CLONE_ARGS_SIZE_VER2))/8)
	if err != nil {
		return "", err
	}
	return newCloneArgs(w, nil).show(sh.call.Arch), nil
}

func (a *cloneArgs) show(arch abi.Arch) string {
	var b strings.Builder
	b.WriteString("{flags=" + clone3Flags(arch, a.flags))
	for _, f := range []struct {
		name  string
		value uint64
	}{{"pidfd", a.pidfd}, {"child_tid", a.childTID}, {"parent_tid", a.parentTID}} {
		if f.value != 0 {
			b.WriteString(", " + f.name + "=" + hex(f.value))
		}
	}
	if a.exitSignal != 0 {
		b.WriteString(", exit_signal=" + signal(a.exitSignal))
	}
	if a.stack != 0 {
		b.WriteString(", stack=" + hex(a.stack) + ", stack_size=" + hex(a.stackSize))
	}
	if a.tls != 0 {
		b.WriteString(", tls=" + hex(a.tls))
	}
	if a.setTIDSize != 0 {
		b.WriteString(", set_tid=" + hex(a.setTID) + ", set_tid_size=" + strconv.FormatUint(a.setTIDSize, 10))
	}
	if a.cgroup != 0 {
		b.WriteString(", cgroup=" + strconv.FormatUint(a.cgroup, 10))
	}
	return b.String() + "}"
}

// clone3Flags shows clone's flags and the two above them that clone lacks.
func clone3Flags(arch abi.Arch, flags uint64) string {
	const high = unix.CLONE_CLEAR_SIGHAND | unix.CLONE_INTO_CGROUP
	s := consts(arch, "clone", "flags").Format(flags&^high, 64)
	if flags&^high == 0 && flags != 0 {
		s = ""
	}
	if flags&unix.CLONE_CLEAR_SIGHAND != 0 {
		s += "|CLONE_CLEAR_SIGHAND"
	}
	if flags&unix.CLONE_INTO_CGROUP != 0 {
		s += "|CLONE_INTO_CGROUP"
	}
	return strings.TrimPrefix(s, "|")
}
