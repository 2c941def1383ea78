package decode

import (
	"testing"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD |
	unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID

func clone3(arch abi.Arch, size uint64) abi.Call {
	c := abi.Call{Arch: arch, Nr: 435, Args: [6]uint64{0x1000, size}}
	if arch == abi.X32 {
		c.Nr |= abi.X32Bit
	}
	return c
}

// cloneAt is memory with a struct clone_args at 0x1000.
func cloneAt(words ...uint64) memory {
	return memory{0x1000: le(8, words...), 0x5000: le(8, 1, 2, 3, 4)}
}

func TestUnfoldClone3(t *testing.T) {
	// flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
	fork := cloneAt(0, 0x10, 0x20, 0x30, 17, 0, 0, 0x40)
	for _, arch := range abi.Arches() {
		unfolds(t, clone3(arch, 64), fork, "clone3", true, "clone", 17)
	}
	thread := cloneAt(threadFlags, 0x10, 0x20, 0x30, 0, 0x70000, 0x8000, 0x40)
	for _, arch := range []abi.Arch{abi.X86_64, abi.X32} {
		unfolds(t, clone3(arch, 64), thread, "clone3", true, "clone", threadFlags, 0x78000, 0x30, 0x20, 0x40)
	}
	for _, arch := range []abi.Arch{abi.I386, abi.AArch64} {
		unfolds(t, clone3(arch, 64), thread, "clone3", true, "clone", threadFlags, 0x78000, 0x30, 0x40, 0x20)
	}
	pidfd := cloneAt(unix.CLONE_PIDFD|unix.CLONE_CHILD_SETTID, 0x10, 0x20, 0x30, 17, 0, 0, 0x40)
	unfolds(t, clone3(abi.X86_64, 64), pidfd, "clone3", true, "clone", unix.CLONE_PIDFD|unix.CLONE_CHILD_SETTID|17, 0, 0x10, 0x20)
	// Newer, older and odd sizes; zeroes of a newer kernel's.
	long := cloneAt(0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, size := range []uint64{64, 65, 80, 84, 88, 89, 104} {
		unfolds(t, clone3(abi.X86_64, size), long, "clone3", true, "clone", 17)
	}
	high := cloneAt(unix.CLONE_PARENT_SETTID, 0, 1<<40, 1<<40, 17, 0, 0, 1<<40)
	unfolds(t, clone3(abi.X86_64, 64), high, "clone3", true, "clone", unix.CLONE_PARENT_SETTID|17, 0, 1<<40)
}

func TestUnfoldClone3Refusals(t *testing.T) {
	const into = unix.CLONE_INTO_CGROUP
	for _, c := range []struct {
		name  string
		size  uint64
		errno unix.Errno
		words []uint64
	}{
		{"too short", 63, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0, 0, 0}},
		{"too long", 65537 << 10, unix.E2BIG, []uint64{0, 0, 0, 0, 17, 0, 0, 0}},
		{"size of all ones", ^uint64(0), unix.E2BIG, []uint64{0}},
		{"unmapped end", 64, unix.EFAULT, []uint64{0, 0, 0, 0, 17, 0, 0}},
		{"unmapped trail", 96, unix.EFAULT, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0}},
		{"a newer field", 96, unix.E2BIG, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 1}},
		{"a newer field's last byte", 96, unix.E2BIG, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 1 << 56}},
		{"signal 65", 64, unix.EINVAL, []uint64{0, 0, 0, 0, 65, 0, 0, 0}},
		{"signal with high half", 64, unix.EINVAL, []uint64{0, 0, 0, 0, 17 | 1<<32, 0, 0, 0}},
		{"set_tid without size", 88, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0x5000, 0, 0}},
		{"size without set_tid", 88, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0, 1, 0}},
		{"too many set_tid", 88, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0x5000, 33, 0}},
		{"set_tid unmapped", 88, unix.EFAULT, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0x5000, 32, 0}},
		{"set_tid", 88, unix.ENOSYS, []uint64{0, 0, 0, 0, 17, 0, 0, 0, 0x5000, 1, 0}},
		{"set_tid with bad flags", 88, unix.EINVAL, []uint64{1, 0, 0, 0, 17, 0, 0, 0, 0x5000, 1, 0}},
		{"cgroup of the old size", 80, unix.EINVAL, []uint64{into, 0, 0, 0, 17, 0, 0, 0, 0, 0, 3}},
		{"cgroup beyond an int", 88, unix.EINVAL, []uint64{into, 0, 0, 0, 17, 0, 0, 0, 0, 0, 1 << 31}},
		{"cgroup", 88, unix.ENOSYS, []uint64{into, 0, 0, 0, 17, 0, 0, 0, 0, 0, 3}},
		{"unknown flag", 88, unix.EINVAL, []uint64{1 << 40, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0}},
		{"CLONE_DETACHED", 64, unix.EINVAL, []uint64{unix.CLONE_DETACHED, 0, 0, 0, 17, 0, 0, 0}},
		{"signal among the flags", 64, unix.EINVAL, []uint64{17, 0, 0, 0, 0, 0, 0, 0}},
		{"CLONE_NEWTIME", 64, unix.ENOSYS, []uint64{unix.CLONE_NEWTIME, 0, 0, 0, 17, 0, 0, 0}},
		{"CLONE_CLEAR_SIGHAND", 64, unix.ENOSYS, []uint64{unix.CLONE_CLEAR_SIGHAND, 0, 0, 0, 17, 0, 0, 0}},
		{"both SIGHANDs", 64, unix.EINVAL, []uint64{unix.CLONE_CLEAR_SIGHAND | unix.CLONE_SIGHAND | unix.CLONE_VM, 0, 0, 0, 17, 0, 0, 0}},
		{"thread with signal", 64, unix.EINVAL, []uint64{threadFlags, 0, 0, 0, 17, 0x1000, 0x1000, 0}},
		{"CLONE_PARENT with signal", 64, unix.EINVAL, []uint64{unix.CLONE_PARENT, 0, 0, 0, 17, 0, 0, 0}},
		{"stack without size", 64, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0x1000, 0, 0}},
		{"size without stack", 64, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0, 0x1000, 0}},
		{"stack that wraps", 64, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 0x1000, ^uint64(0), 0}},
		{"kernel stack", 64, unix.EINVAL, []uint64{0, 0, 0, 0, 17, 1 << 63, 0x1000, 0}},
		{"pidfd and parent_tid", 64, unix.ENOSYS, []uint64{unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID, 0x10, 0, 0x20, 17, 0, 0, 0}},
		{"pidfd on parent_tid", 64, unix.EINVAL, []uint64{unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID, 0x10, 0, 0x10, 17, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) { refuses(t, clone3(abi.X86_64, c.size), cloneAt(c.words...), c.errno) })
	}
	for _, w := range [][]uint64{
		{0, 0, 0, 0, 17, 1 << 31, 1 << 31, 0},
		{unix.CLONE_PARENT_SETTID, 0, 0, 1 << 32, 17, 0, 0, 0},
		{unix.CLONE_CHILD_SETTID, 0, 1 << 32, 0, 17, 0, 0, 0},
		{unix.CLONE_PIDFD, 1 << 32, 0, 0, 17, 0, 0, 0},
		{unix.CLONE_SETTLS, 0, 0, 0, 17, 0, 0, 1 << 32},
	} {
		refuses(t, clone3(abi.I386, 64), cloneAt(w...), unix.ENOSYS)
	}
}
