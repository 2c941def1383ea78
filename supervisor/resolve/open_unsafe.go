package resolve

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// pathOnly never opens what it finds: no FIFO blocks and no device acts.
const pathOnly = unix.O_PATH | unix.O_CLOEXEC

// linkless is struct open_how of openat2(2) for a walk that meets no link: a last
// one is given itself.
var linkless = unix.OpenHow{Flags: pathOnly | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_NO_SYMLINKS}

// openLinkless is openat2(2) of an absolute name as how says. It ends in NUL,
// which x/sys would allocate a copy for.
func (r *Resolver) openLinkless(name []byte) (int, unix.Errno) {
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(r.top), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&r.how)), unix.SizeofOpenHow, 0, 0)
	return int(fd), errno
}

// readLink is readlinkat(2). name ends in NUL.
func readLink(dirfd int, name, out []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(dirfd), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)), 0, 0)
	return int(n), errno
}

// status is fstat(2) of a descriptor that Resolver opened.
func status(fd int, st *unix.Stat_t) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

// shut is close(2) of a descriptor opened with O_PATH, which has nothing to
// write back.
func shut(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }
