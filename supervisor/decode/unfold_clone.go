package decode

import (
	"io"
	"os"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// struct clone_args of linux/sched.h, as 64-bit words in every ABI.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

const (
	cloneLegacy   = 0xffffffff // CLONE_LEGACY_FLAGS
	maxPIDNesting = 32         // MAX_PID_NS_LEVEL
	maxSignal     = 64         // _NSIG
)

func cloneInvalid(reason string) error { return &Unfit{"clone3", unix.EINVAL, reason} }

func cloneBeyond(what string) error {
	return &Unfit{"clone3", unix.ENOSYS, "clone cannot express " + what}
}

// unfoldClone3 does what SYSCALL_DEFINE2(clone3) of kernel/fork.c does before
// it calls kernel_clone(), in its order, and gives the clone that comes to
// kernel_clone() with the same arguments.
func unfoldClone3(c abi.Call, mem io.ReaderAt) (Direct, error) {
	a, err := readCloneArgs(mem, reg(&c, 0), reg(&c, 1))
	if err != nil {
		return Direct{}, err
	}
	if err := a.valid(); err != nil {
		return Direct{}, err
	}
	if err := a.expressible(); err != nil {
		return Direct{}, err
	}
	return a.clone(c.Arch)
}

// readCloneArgs is copy_clone_args_from_user(). The newest version known ends with cgroup.
func readCloneArgs(mem io.ReaderAt, addr, size uint64) (*cloneArgs, error) {
	if size > uint64(os.Getpagesize()) {
		return nil, &Unfit{"clone3", unix.E2BIG, "clone_args larger than a page"}
	}
	if size < unix.CLONE_ARGS_SIZE_VER0 {
		return nil, cloneInvalid("clone_args too short")
	}
	if err := zeroed(mem, addr+unix.CLONE_ARGS_SIZE_VER2, int64(size)-unix.CLONE_ARGS_SIZE_VER2); err != nil {
		return nil, err
	}
	w, err := words(mem, addr, 8, int(min(size, unix.CLONE_ARGS_SIZE_VER2))/8)
	if err != nil {
		return nil, unreadable("clone3", err)
	}
	rest, err := full(mem, addr+uint64(len(w)*8), int(min(size, unix.CLONE_ARGS_SIZE_VER2))%8)
	if err != nil {
		return nil, unreadable("clone3", err)
	}
	a := newCloneArgs(w, rest)
	return a, a.copied(mem, size)
}

// newCloneArgs takes the words of a struct clone_args and the bytes of a last
// one that size cut off; what is missing is zero (copy_struct_from_user).
func newCloneArgs(w []uint64, rest []byte) *cloneArgs {
	var f [11]uint64
	copy(f[:], w)
	for i, b := range rest {
		if len(w) < len(f) {
			f[len(w)] |= uint64(b) << (8 * i)
		}
	}
	return &cloneArgs{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10]}
}

// zeroed is check_zeroed_user(): a struct longer than the kernel's is taken if
// what it has more is zero.
func zeroed(mem io.ReaderAt, addr uint64, n int64) error {
	if n <= 0 {
		return nil
	}
	p, err := full(mem, addr, int(n))
	if err != nil {
		return unreadable("clone3", err)
	}
	for _, b := range p {
		if b != 0 {
			return &Unfit{"clone3", unix.E2BIG, "clone_args of a newer kernel"}
		}
	}
	return nil
}

// copied are the checks that copy_clone_args_from_user() makes.
func (a *cloneArgs) copied(mem io.ReaderAt, size uint64) error {
	switch {
	case a.setTIDSize > maxPIDNesting, (a.setTID == 0) != (a.setTIDSize == 0):
		return cloneInvalid("set_tid and set_tid_size disagree")
	case a.exitSignal > maxSignal:
		return cloneInvalid("exit_signal is no signal")
	case a.flags&unix.CLONE_INTO_CGROUP != 0 && (a.cgroup > 1<<31-1 || size < unix.CLONE_ARGS_SIZE_VER2):
		return cloneInvalid("cgroup is no descriptor")
	}
	if a.setTID != 0 {
		if _, err := full(mem, a.setTID, int(a.setTIDSize)*4); err != nil {
			return unreadable("clone3", err)
		}
	}
	return nil
}

// valid is clone3_args_valid(), and kernel_clone()'s own check of where the
// pidfd goes.
func (a *cloneArgs) valid() error {
	const pidfdAndTID = unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID
	switch {
	case a.flags&^(cloneLegacy|unix.CLONE_CLEAR_SIGHAND|unix.CLONE_INTO_CGROUP) != 0:
		return cloneInvalid("unknown flags")
	case a.flags&(unix.CLONE_DETACHED|unix.CSIGNAL&^unix.CLONE_NEWTIME) != 0:
		return cloneInvalid("flags that clone3 does not take")
	case a.flags&(unix.CLONE_SIGHAND|unix.CLONE_CLEAR_SIGHAND) == unix.CLONE_SIGHAND|unix.CLONE_CLEAR_SIGHAND:
		return cloneInvalid("CLONE_SIGHAND with CLONE_CLEAR_SIGHAND")
	case a.flags&(unix.CLONE_THREAD|unix.CLONE_PARENT) != 0 && a.exitSignal != 0:
		return cloneInvalid("exit_signal with CLONE_THREAD or CLONE_PARENT")
	case (a.stack == 0) != (a.stackSize == 0):
		return cloneInvalid("stack and stack_size disagree")
	case a.stack+a.stackSize < a.stack, int64(a.stack+a.stackSize) < 0:
		return cloneInvalid("the stack is not in user space")
	case a.flags&pidfdAndTID == pidfdAndTID && a.pidfd == a.parentTID:
		return cloneInvalid("pidfd and parent_tid are one address")
	}
	return nil
}

// expressible says what clone's five registers cannot say: CLONE_NEWTIME is a bit of
// its signal.
func (a *cloneArgs) expressible() error {
	const pidfdAndTID = unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID
	switch {
	case a.flags&unix.CLONE_CLEAR_SIGHAND != 0:
		return cloneBeyond("CLONE_CLEAR_SIGHAND")
	case a.flags&unix.CLONE_INTO_CGROUP != 0:
		return cloneBeyond("CLONE_INTO_CGROUP")
	case a.flags&unix.CLONE_NEWTIME != 0:
		return cloneBeyond("CLONE_NEWTIME")
	case a.setTID != 0:
		return cloneBeyond("set_tid")
	case a.flags&pidfdAndTID == pidfdAndTID:
		return cloneBeyond("CLONE_PIDFD with CLONE_PARENT_SETTID")
	}
	return nil
}

// clone is the call: flags and signal in one word, the stack's upper end, and
// the order of arguments of the ABI (CONFIG_CLONE_BACKWARDS of i386 and
// arm64). What no flag asks for is left at zero.
func (a *cloneArgs) clone(arch abi.Arch) (Direct, error) {
	var tid, child, tls uint64
	switch {
	case a.flags&unix.CLONE_PIDFD != 0:
		tid = a.pidfd
	case a.flags&unix.CLONE_PARENT_SETTID != 0:
		tid = a.parentTID
	}
	if a.flags&(unix.CLONE_CHILD_SETTID|unix.CLONE_CHILD_CLEARTID) != 0 {
		child = a.childTID
	}
	if a.flags&unix.CLONE_SETTLS != 0 {
		tls = a.tls
	}
	d := Direct{Carrier: "clone3", Rewrite: true}
	d.Call = abi.Call{Arch: arch, Nr: x86Clone, Args: [6]uint64{a.flags | a.exitSignal, a.stack + a.stackSize, tid, child, tls}}
	switch arch {
	case abi.X32:
		d.Call.Nr = x86Clone | abi.X32Bit
	case abi.I386:
		d.Call.Nr = i386Clone
	case abi.AArch64:
		d.Call.Nr = aarch64Clone
	}
	if arch == abi.I386 || arch == abi.AArch64 {
		d.Call.Args[3], d.Call.Args[4] = tls, child
	}
	if arch == abi.I386 && (d.Call.Args[1]|tid|child|tls)>>32 != 0 {
		return Direct{}, cloneBeyond("addresses beyond 4 GiB on i386")
	}
	return d, nil
}
