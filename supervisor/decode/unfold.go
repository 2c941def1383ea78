package decode

import (
	"errors"
	"io"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Direct is a call that takes its arguments from registers only, and does what
// the call that was made would do.
type Direct struct {
	Call abi.Call
	// Carrier is the name of the call that was made (socketcall, ipc, mmap,
	// select, clone3), "" if it was direct already.
	Carrier string
	// Rewrite says that arguments came from memory, which another thread can
	// change: what was judged holds only if Call is written into the task's
	// registers before it goes on. Where it is false, Call is for judging and
	// showing: the call that was made has the same arguments in registers.
	//
	// Whoever writes Call must put the old registers and the old number back
	// at the syscall-exit stop (a restarted call takes its arguments from them
	// again), and, for clone, in the child before its first instruction.
	Rewrite bool
}

// Unfit says that a call has no direct form. Errno is what it must fail with:
// the kernel's own answer for a call that is not valid, ENOSYS for a valid one
// that no direct call can express.
type Unfit struct {
	Carrier string
	Errno   unix.Errno
	Reason  string
}

func (e *Unfit) Error() string { return e.Carrier + ": " + e.Reason }

func (e *Unfit) Unwrap() error { return e.Errno }

// Numbers of the calls that carry others, and of those that they carry, from
// the kernel's arch/x86/entry/syscalls/syscall_{32,64}.tbl and
// include/uapi/asm-generic/unistd.h.
const (
	i386Select     = 82
	i386Mmap       = 90
	i386Socketcall = 102
	i386IPC        = 117
	i386NewSelect  = 142
	i386Mmap2      = 192
	anyClone3      = 435

	x86Clone     = 56
	i386Clone    = 120
	aarch64Clone = 220
)

// Unfold returns the direct call that c stands for. For a call that is direct
// already that is c itself, with no Carrier.
//
// Errors are an *Unfit, or a *Fault where callgate is kept from reading what
// the kernel could read: then nothing is known of the call.
func Unfold(c abi.Call, mem io.ReaderAt) (Direct, error) {
	switch {
	case isClone3(c):
		return unfoldClone3(c, mem)
	case c.Arch != abi.I386:
		return Direct{Call: c}, nil
	}
	switch c.Nr {
	case i386Socketcall:
		return unfoldSocketcall(c, mem)
	case i386IPC:
		return unfoldIPC(c, mem)
	case i386Mmap:
		return unfoldMmap(c, mem)
	case i386Select:
		return unfoldSelect(c, mem)
	}
	return Direct{Call: c}, nil
}

func isClone3(c abi.Call) bool {
	switch c.Arch {
	case abi.X86_64, abi.I386, abi.AArch64:
		return c.Nr == anyClone3
	case abi.X32:
		return c.Nr == anyClone3|abi.X32Bit
	}
	return false
}

// i386Direct is a call of the i386 table.
func i386Direct(carrier string, rewrite bool, nr uint32, args ...uint64) (Direct, error) {
	d := Direct{Call: abi.Call{Arch: abi.I386, Nr: nr}, Carrier: carrier, Rewrite: rewrite}
	copy(d.Call.Args[:], args)
	return d, nil
}

// block reads the n 32-bit words that an i386 call takes its arguments from.
func block(carrier string, mem io.ReaderAt, addr uint64, n int) ([]uint64, error) {
	a, err := words(mem, addr, 4, n)
	if err != nil {
		return nil, unreadable(carrier, err)
	}
	return a, nil
}

// unreadable makes the kernel's EFAULT an *Unfit and leaves other faults as
// they are.
func unreadable(carrier string, err error) error {
	if errors.Is(err, unix.EFAULT) {
		return &Unfit{carrier, unix.EFAULT, err.Error()}
	}
	return err
}

// unfoldMmap is COMPAT_SYSCALL_DEFINE1(ia32_mmap) of arch/x86/kernel/sys_ia32.c:
// struct mmap_arg_struct32, whose offset is in bytes.
func unfoldMmap(c abi.Call, mem io.ReaderAt) (Direct, error) {
	a, err := block("mmap", mem, reg(&c, 0), 6)
	if err != nil {
		return Direct{}, err
	}
	if a[5]%4096 != 0 {
		return Direct{}, &Unfit{"mmap", unix.EINVAL, "the offset is not a multiple of the page size"}
	}
	return i386Direct("mmap", true, i386Mmap2, a[0], a[1], a[2], a[3], a[4], a[5]>>12)
}

// unfoldSelect is COMPAT_SYSCALL_DEFINE1(old_select) of fs/select.c: struct
// compat_sel_arg_struct.
func unfoldSelect(c abi.Call, mem io.ReaderAt) (Direct, error) {
	a, err := block("select", mem, reg(&c, 0), 5)
	if err != nil {
		return Direct{}, err
	}
	return i386Direct("select", true, i386NewSelect, a...)
}
