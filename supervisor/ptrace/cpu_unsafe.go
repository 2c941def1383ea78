package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// CPU is the number of the CPU that the calling thread runs on (getcpu(2)).
func CPU() (int, error) {
	var cpu uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return 0, &Error{Request: "getcpu", Errno: errno}
	}
	return int(cpu), nil
}
