package server

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// peerGroups are the supplementary groups that the process had when it
// connected.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 1024)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && size > uint32(4*len(groups)):
			groups = make([]uint32, size/4)
		case errno != 0:
			return nil, errno
		default:
			return groups[:size/4], nil
		}
	}
}
