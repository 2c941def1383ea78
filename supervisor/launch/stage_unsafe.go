package launch

// #include <stdlib.h>
// #include "launch.h"
import "C"

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stage is a first stage under way.
type Stage struct {
	PID    int
	l      *C.struct_launch
	memory *arena
	cmd    *Command
}

// Start starts the first stage, which waits for Go. It is the child of the
// calling thread, which must be locked to its goroutine and become its tracer;
// if that thread dies, so does the stage.
//
// Close must be called once the stage has executed the command or is dead.
func Start(cmd *Command) (*Stage, error) {
	for _, text := range append([]string{cmd.Path, cmd.Dir}, cmd.Args...) {
		if strings.IndexByte(text, 0) >= 0 {
			return nil, &Error{Op: "execve", Path: cmd.Path, Errno: unix.EINVAL}
		}
	}
	apart, err := hidden()
	if err != nil {
		return nil, err
	}
	cmd.apart = apart
	memory, err := newArena(arenaSize(cmd), cmd.Room != nil || apart)
	if err != nil {
		return nil, &Error{Op: "mmap", Errno: unix.ENOMEM}
	}
	s := &Stage{l: describe(cmd, memory), memory: memory, cmd: cmd}
	pid := C.launch_stage(s.l)
	if pid < 0 {
		s.Close()
		return nil, &Error{Op: "clone", Errno: unix.Errno(-pid)}
	}
	s.PID = int(pid)
	return s, nil
}

// Go lets the stage go on, once it is traced.
func (s *Stage) Go() { C.launch_go(s.l) }

// Err says what the stage failed of. Precondition: it is dead and has not
// executed the command.
func (s *Stage) Err() error {
	op, path := "", ""
	switch s.l.step {
	case C.STEP_NONE:
		return nil
	case C.STEP_PARENT:
		op = "getppid"
	case C.STEP_KEEPER:
		op = "start process 1 of a pid namespace"
	case C.STEP_LOOPBACK:
		op = "bring the loopback device up"
	case C.STEP_MOUNT:
		op, path = s.cmd.Room.Mounts[s.l.mount].name()
	case C.STEP_CAPABILITIES:
		op = "drop capabilities"
	case C.STEP_DESCRIPTORS:
		op = "dup3"
	case C.STEP_KEEP:
		op = "fcntl on a descriptor to keep"
	case C.STEP_SESSION:
		op = "ioctl TIOCSCTTY"
	case C.STEP_NICE:
		op = "setpriority"
	case C.STEP_LIMITS:
		op = "prlimit64"
	case C.STEP_CHDIR:
		op, path = "chdir", s.cmd.Dir
	case C.STEP_NO_NEW_PRIVS:
		op = "prctl PR_SET_NO_NEW_PRIVS"
	case C.STEP_LANDLOCK:
		op = "landlock_restrict_self"
	case C.STEP_SECCOMP:
		op = "seccomp"
	case C.STEP_EXECVE:
		op, path = "execve", s.cmd.Path
	}
	return &Error{Op: op, Path: path, Errno: unix.Errno(s.l.err)}
}

// WasClosed says whether descriptor fd, 0 to 2, was closed when this program was
// started. Go has opened /dev/null in its place.
func WasClosed(fd int) bool { return C.launch_was_closed(C.int(fd)) != 0 }

// FewFiles has commands begin with a soft limit of that many descriptors, where this
// program was started with more.
func FewFiles(soft uint64) { C.launch_few_files(C.uint64_t(soft)) }

// Close gives back the stage's memory.
func (s *Stage) Close() {
	if s.l != nil {
		C.launch_end(s.l)
		s.memory.free()
		s.l = nil
	}
}

// describe copies cmd into one block of C memory: the stage reads it while Go
// goes on, and it must not move.
func describe(cmd *Command, a *arena) *C.struct_launch {
	l := (*C.struct_launch)(a.take(unsafe.Sizeof(C.struct_launch{})))
	l.path = a.text(cmd.Path)
	l.argv = a.texts(cmd.Args)
	l.envp = a.texts(cmd.Env)
	if cmd.Dir != "" {
		l.dir = a.text(cmd.Dir)
	}
	l.files, l.nfiles = a.ints(cmd.Files), C.int(len(cmd.Files))
	l.keep, l.nkeep = a.ints(cmd.Keep), C.int(len(cmd.Keep))
	if cmd.Terminal {
		l.terminal = 1
	}
	if cmd.Session {
		l.session = 1
	}
	l.umask, l.nice = -1, C.int(cmd.Nice)
	if cmd.Umask != nil {
		l.umask = C.int(*cmd.Umask)
	}
	if cmd.Room != nil {
		l.namespaces, l.capabilities = C.int(cmd.Room.Namespaces), C.uint64_t(cmd.Room.Capabilities)
		l.mounts, l.nmounts = a.mounts(cmd.Room.Mounts), C.int(len(cmd.Room.Mounts))
	}
	l.given_up = C.uint64_t(cmd.gives())
	l.limits, l.nlimits = a.limits(cmd.Limits), C.int(len(cmd.Limits))
	l.landlock = -1
	if cmd.Domain != nil {
		l.landlock = C.int(cmd.Domain.fd)
	}
	l.filters, l.nfilters = a.filters(cmd.Filters), C.int(len(cmd.Filters))
	if cmd.apart {
		need := cmd.needs()
		l.apart, l.need, l.nneed = 1, a.ints(need), C.int(len(need))
	}
	return l
}

// arena hands out pieces of one block of C memory, each aligned to a pointer.
type arena struct {
	base unsafe.Pointer
	used uintptr
	size uintptr

	mapped bool
}

const word = unsafe.Sizeof(uintptr(0))

func aligned(n uintptr) uintptr { return (n + word - 1) &^ (word - 1) }

func arenaSize(cmd *Command) uintptr {
	n := aligned(unsafe.Sizeof(C.struct_launch{}))
	n += aligned(uintptr(len(cmd.Path)+1)) + aligned(uintptr(len(cmd.Dir)+1))
	for _, list := range [][]string{cmd.Args, cmd.Env} {
		n += uintptr(len(list)+1) * word
		for _, text := range list {
			n += aligned(uintptr(len(text) + 1))
		}
	}
	n += aligned(uintptr(len(cmd.Files))*unsafe.Sizeof(C.int(0))) + aligned(uintptr(len(cmd.Keep))*unsafe.Sizeof(C.int(0)))
	n += aligned(uintptr(len(cmd.needs())) * unsafe.Sizeof(C.int(0)))
	n += uintptr(len(cmd.Limits)) * aligned(unsafe.Sizeof(C.struct_launch_limit{}))
	for _, filter := range cmd.Filters {
		n += aligned(unsafe.Sizeof(C.struct_sock_fprog{})) + aligned(uintptr(len(filter))*unsafe.Sizeof(unix.SockFilter{}))
	}
	if cmd.Room != nil {
		n += uintptr(len(cmd.Room.Mounts)) * aligned(unsafe.Sizeof(C.struct_room_mount{}))
		for _, m := range cmd.Room.Mounts {
			n += aligned(uintptr(len(m.Path)+1)) + aligned(uintptr(len(m.Type)+1)) + aligned(uintptr(len(m.Data)+1))
		}
	}
	return n + word
}

// newArena takes memory that a child without this process's memory shares, or
// that is a little cheaper.
func newArena(size uintptr, shared bool) (*arena, error) {
	if !shared {
		return &arena{base: C.calloc(1, C.size_t(size)), size: size}, nil
	}
	mapped, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	return &arena{base: mapped, size: size, mapped: true}, err
}

func (a *arena) free() {
	if !a.mapped {
		C.free(a.base)
		return
	}
	if err := unix.MunmapPtr(a.base, a.size); err != nil {
		panic("BUG: launch: munmap: " + err.Error())
	}
}

// mounts copies what the first stage is to mount.
func (a *arena) mounts(list []Mount) *C.struct_room_mount {
	p := (*C.struct_room_mount)(a.take(uintptr(len(list)) * unsafe.Sizeof(C.struct_room_mount{})))
	for i, m := range list {
		to := &unsafe.Slice(p, len(list))[i]
		to.act, to.from, to.flags, to.tree = uint32(m.Act), C.int(m.From), C.ulong(m.Flags), -1
		to.path, to._type, to.data = a.text(m.Path), a.text(m.Type), a.text(m.Data)
	}
	return p
}

func (a *arena) take(n uintptr) unsafe.Pointer {
	p := unsafe.Add(a.base, a.used)
	a.used += aligned(n)
	if a.used > a.size {
		panic("BUG: launch: the arena is too small")
	}
	return p
}

func (a *arena) text(s string) *C.char {
	p := a.take(uintptr(len(s) + 1))
	copy(unsafe.Slice((*byte)(p), len(s)), s)
	return (*C.char)(p)
}

func (a *arena) texts(list []string) **C.char {
	p := (**C.char)(a.take(uintptr(len(list)+1) * word))
	pointers := unsafe.Slice(p, len(list)+1)
	for i, s := range list {
		pointers[i] = a.text(s)
	}
	return p
}

func (a *arena) ints(list []int) *C.int {
	p := (*C.int)(a.take(uintptr(len(list)) * unsafe.Sizeof(C.int(0))))
	for i, v := range list {
		unsafe.Slice(p, len(list))[i] = C.int(v)
	}
	return p
}

func (a *arena) limits(list []Limit) *C.struct_launch_limit {
	p := (*C.struct_launch_limit)(a.take(uintptr(len(list)) * unsafe.Sizeof(C.struct_launch_limit{})))
	for i, l := range list {
		unsafe.Slice(p, len(list))[i] = C.struct_launch_limit{most: C.uint64_t(l.Most), resource: C.int(l.Resource)}
	}
	return p
}

func (a *arena) filters(list [][]unix.SockFilter) *C.struct_sock_fprog {
	p := (*C.struct_sock_fprog)(a.take(uintptr(len(list)) * unsafe.Sizeof(C.struct_sock_fprog{})))
	for i, filter := range list {
		code := a.take(uintptr(len(filter)) * unsafe.Sizeof(unix.SockFilter{}))
		copy(unsafe.Slice((*unix.SockFilter)(code), len(filter)), filter)
		prog := &unsafe.Slice(p, len(list))[i]
		prog.len = C.ushort(len(filter))
		prog.filter = (*C.struct_sock_filter)(code)
	}
	return p
}
