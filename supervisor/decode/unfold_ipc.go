package decode

import (
	"fmt"
	"io"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// socketcalls are the i386 calls that socketcall's numbers stand for and how
// many 32-bit words each takes from memory: nas[] of net/compat.c. accept
// passes flags of 0 to accept4; send and recv pass null addresses to sendto
// and recvfrom: i386Direct's zeroes.
var socketcalls = [21]struct{ nr, words uint16 }{
	1:  {359, 3}, // socket
	2:  {361, 3}, // bind
	3:  {362, 3}, // connect
	4:  {363, 2}, // listen
	5:  {364, 3}, // accept -> accept4
	6:  {367, 3}, // getsockname
	7:  {368, 3}, // getpeername
	8:  {360, 4}, // socketpair
	9:  {369, 4}, // send -> sendto
	10: {371, 4}, // recv -> recvfrom
	11: {369, 6}, // sendto
	12: {371, 6}, // recvfrom
	13: {373, 2}, // shutdown
	14: {366, 5}, // setsockopt
	15: {365, 5}, // getsockopt
	16: {370, 3}, // sendmsg
	17: {372, 3}, // recvmsg
	18: {364, 4}, // accept4
	19: {337, 5}, // recvmmsg, with a 32-bit timespec as socketcall's has
	20: {345, 4}, // sendmmsg
}

// unfoldSocketcall is COMPAT_SYSCALL_DEFINE2(socketcall) of net/compat.c.
func unfoldSocketcall(c abi.Call, mem io.ReaderAt) (Direct, error) {
	call := reg(&c, 0)
	if call < 1 || call >= uint64(len(socketcalls)) {
		return Direct{}, &Unfit{"socketcall", unix.EINVAL, fmt.Sprintf("no call %d", int32(call))}
	}
	to := socketcalls[call]
	a, err := block("socketcall", mem, reg(&c, 1), int(to.words))
	if err != nil {
		return Direct{}, err
	}
	return i386Direct("socketcall", true, uint32(to.nr), a...)
}

// ipc's calls, of linux/ipc.h, and the direct ones (since Linux 5.1).
const (
	ipcSemop      = 1
	ipcSemget     = 2
	ipcSemctl     = 3
	ipcSemtimedop = 4
	ipcMsgsnd     = 11
	ipcMsgrcv     = 12
	ipcMsgget     = 13
	ipcMsgctl     = 14
	ipcShmat      = 21
	ipcShmdt      = 22
	ipcShmget     = 23
	ipcShmctl     = 24

	i386Semget     = 393
	i386Semctl     = 394
	i386Shmget     = 395
	i386Shmctl     = 396
	i386Shmat      = 397
	i386Shmdt      = 398
	i386Msgget     = 399
	i386Msgsnd     = 400
	i386Msgrcv     = 401
	i386Msgctl     = 402
	i386Semtimedop = 420 // semtimedop_time64: i386 has no other

	ipc64 = 0x100 // IPC_64: a version, not a part of the command
)

// unfoldIPC is COMPAT_SYSCALL_DEFINE6(ipc) of ipc/syscall.c. Its arguments are
// in registers but for semctl's fourth and the old msgrcv's.
//
// semop and semtimedop are both judged as semtimedop. They are not rewritten:
// ipc's time limit is a 32-bit timespec.
func unfoldIPC(c abi.Call, mem io.ReaderAt) (Direct, error) {
	op, version := reg(&c, 0)&0xffff, reg(&c, 0)>>16
	first, second, third := reg(&c, 1), reg(&c, 2), reg(&c, 3)
	ptr, fifth := reg(&c, 4), reg(&c, 5)
	view := func(nr uint32, args ...uint64) (Direct, error) {
		return i386Direct("ipc", false, nr, args...)
	}
	switch op {
	case ipcSemop:
		return view(i386Semtimedop, first, ptr, second)
	case ipcSemtimedop:
		return view(i386Semtimedop, first, ptr, second, fifth)
	case ipcSemget:
		return view(i386Semget, first, second, third)
	case ipcSemctl:
		return unfoldSemctl(mem, first, second, third, ptr)
	case ipcMsgsnd:
		return view(i386Msgsnd, first, ptr, second, third)
	case ipcMsgrcv:
		if version == 0 {
			return unfoldMsgrcv(mem, first, second, third, ptr)
		}
		return view(i386Msgrcv, first, ptr, second, fifth, third)
	case ipcMsgget:
		return view(i386Msgget, first, second)
	case ipcMsgctl:
		return view(i386Msgctl, first, second&^ipc64, ptr)
	case ipcShmat:
		if version == 1 {
			return Direct{}, &Unfit{"ipc", unix.EINVAL, "shmat of version 1"}
		}
		return view(i386Shmat, first, ptr, second)
	case ipcShmdt:
		return view(i386Shmdt, ptr)
	case ipcShmget:
		return view(i386Shmget, first, second, third)
	case ipcShmctl:
		return view(i386Shmctl, first, second&^ipc64, ptr)
	}
	return Direct{}, &Unfit{"ipc", unix.ENOSYS, fmt.Sprintf("no call %d", op)}
}

// unfoldSemctl reads semctl's union semun, which ipc has behind a pointer. The
// direct semctl takes the command as of IPC_64: commands that copy a structure
// of the older layout cannot be rewritten, but take a pointer there anyway.
func unfoldSemctl(mem io.ReaderAt, id, num, cmd, ptr uint64) (Direct, error) {
	if ptr == 0 {
		return Direct{}, &Unfit{"ipc", unix.EINVAL, "semctl without an argument"}
	}
	a, err := block("ipc", mem, ptr, 1)
	if err != nil {
		return Direct{}, err
	}
	exact := cmd&ipc64 != 0 || !copiesSemid(cmd)
	return i386Direct("ipc", exact, i386Semctl, id, num, cmd&^ipc64, a[0])
}

// copiesSemid says whether cmd copies a struct semid_ds, whose layout depends
// on IPC_64: IPC_SET, IPC_STAT, SEM_STAT, SEM_STAT_ANY (ipc/sem.c).
func copiesSemid(cmd uint64) bool {
	return cmd == 1 || cmd == 2 || cmd == 18 || cmd == 20
}

// unfoldMsgrcv reads struct compat_ipc_kludge {msgp, msgtyp}. ipc has the
// checks of negative numbers before it.
func unfoldMsgrcv(mem io.ReaderAt, id, size, flags, ptr uint64) (Direct, error) {
	if int32(id) < 0 || int32(size) < 0 || ptr == 0 {
		return Direct{}, &Unfit{"ipc", unix.EINVAL, "msgrcv with a negative or null argument"}
	}
	a, err := block("ipc", mem, ptr, 2)
	if err != nil {
		return Direct{}, err
	}
	return i386Direct("ipc", true, i386Msgrcv, id, a[0], size, a[1], flags)
}
