package attack

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// io_uring(7) as far as one call needs it (linux/io_uring.h): offsets in struct
// io_uring_params, of the rings in their descriptor, and in an entry.
const (
	ringParams             = 120
	sqTail, sqArray        = 40 + 4, 40 + 24
	cqHead, cqTail, cqCQEs = 80, 80 + 4, 80 + 20
	ringOffset, sqesOffset = 0, 0x10000000
	cqOffset               = 0x8000000
	entrySize, ringEntries = 64, 4
	opOpenat, opMkdirat    = 18, 37
	getEvents              = 1
)

// ring has the goal's first call made by a ring.
func ring(a *attacker) {
	params := a.mem.room(ringParams)
	setup := bySyscall(unix.SYS_IO_URING_SETUP, &[6]uintptr{ringEntries, params})
	if setup.errno != 0 {
		a.failed("io_uring_setup", setup.errno)
		return
	}
	of := func(at int) int { return int(binary.NativeEndian.Uint32(a.mem.at(params, ringParams)[at:])) }
	fd := int(setup.value)
	area := func(offset int64, size int) []byte {
		b, err := unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			a.failed("mmap", err)
		}
		return b
	}
	submit, complete, entries := area(ringOffset, of(sqArray)+4*ringEntries), area(cqOffset, of(cqCQEs)+16*2*ringEntries), area(sqesOffset, entrySize*ringEntries)
	if submit == nil || complete == nil || entries == nil {
		return
	}
	steps := a.goal()
	args := &steps[0].args
	put32 := func(b []byte, at int, v uintptr) { binary.NativeEndian.PutUint32(b[at:], uint32(v)) }
	entries[0] = opOpenat
	put32(entries, 28, args[2]) // open_flags
	if a.Goal == Make {
		entries[0] = opMkdirat
		put32(entries, 24, args[2]) // len: the mode
		put32(entries, 28, 0)
	}
	put32(entries, 4, args[0])
	binary.NativeEndian.PutUint64(entries[16:], uint64(args[1]))
	put32(submit, of(sqArray), 0)
	put32(submit, of(sqTail), 1)
	steps[0].name = "io_uring_enter"
	byRing := func(uintptr, *[6]uintptr) result {
		if got := bySyscall(unix.SYS_IO_URING_ENTER, &[6]uintptr{uintptr(fd), 1, 1, getEvents}); got.errno != 0 {
			return got
		}
		value := int32(binary.NativeEndian.Uint32(complete[of(cqCQEs)+8:]))
		if value < 0 {
			return result{errno: unix.Errno(-value)}
		}
		return result{value: uintptr(value)}
	}
	a.run(byRing, steps)
}
