// Package abi is the system-call interface of Linux as data: for each ABI the
// numbers, names and parameters of its calls, the symbolic constants that
// people write for their arguments, and the groups that policies name.
//
// A number means nothing without its ABI: 5 is open on i386 and fstat on
// x86_64. Nothing here is guessed; numbers come from the generated tables
// (see gen), and a number that they lack is unknown, not "probably".
//
// Parameters say what the kernel acts on, not what C declares: the width is
// that of the SYSCALL_DEFINE, or less where the kernel truncates further
// (clone's flags, readv's fd). The tables are data that the linker lays out:
// nothing is built at start, and nothing of them may be changed.
//
// # Limits
//
//   - Calls 335 (uretprobe) and 336 (uprobe) of x86_64 bypass seccomp on recent
//     kernels: no filter and no tracer sees them. They do something only
//     where the kernel's own trampolines call them.
//   - Kernels before 5.4 ran x86_64's 64-bit-only calls under X32Bit and x32's
//     512 to 547 without it (split by commit 6365b842aae4). To the tables both
//     are unknown numbers.
//   - Arguments whose meaning hangs on another (fcntl's arg, prctl's arg2,
//     keyctl's) are whole registers here, though some commands take only an
//     int of them: rules on them should mask.
//   - preadv's and pwritev's pos_h is no parameter on 64-bit ABIs: the kernel
//     ignores it there.
//   - i386 has no accept, semop or semtimedop of its own. socketcall and ipc
//     carry them; whoever decodes these says as what.
//   - x32's widths past 511 are those of the kernel's compat entry points of
//     Linux 6.
//   - Constants are those that x/sys and consts.txt have: drivers' own ioctl
//     requests are numbers.
package abi

//go:generate go run ./gen

// Arch is a system-call ABI: one table of numbers. It is finer than the
// kernel's audit arch, which x86_64 and x32 share.
type Arch uint8

const (
	X86_64 Arch = iota + 1
	I386        // int 0x80, sysenter, and 32-bit programs on an x86-64 kernel
	X32         // x86_64's audit arch with X32Bit set in the number
	AArch64
)

// X32Bit marks an x32 call's number (__X32_SYSCALL_BIT in asm/unistd.h).
const X32Bit = 0x40000000

// AUDIT_ARCH_* of linux/audit.h.
const (
	AuditX86_64  = 0xc000003e
	AuditI386    = 0x40000003
	AuditAArch64 = 0xc00000b7
)

// Call is one system call as the kernel has it at entry: what
// PTRACE_GET_SYSCALL_INFO and struct seccomp_data say.
type Call struct {
	Arch Arch
	Nr   uint32    // as the kernel has it: X32Bit included for X32
	Args [6]uint64 // whole registers; Param.Value takes from them what the kernel takes
}

// Syscall is one entry of an ABI's table.
type Syscall struct {
	Arch Arch
	Nr   uint32 // X32Bit included for X32
	Name string
	// Canonical is the name whose rules apply to this entry too: "fcntl" for
	// i386's fcntl64, "chown" for chown32, "mmap" for mmap2. It equals Name
	// where the entry stands for nothing else.
	Canonical string
	Params    []Param
	// Since is the first kernel version that has the call, zero where it is
	// older than 5.0.
	Since Version
	// Multiplexer marks socketcall and ipc: the call that they stand for, not
	// they, is what a policy speaks of.
	Multiplexer bool
	// Block marks calls that take their arguments from a block in memory:
	// socketcall, i386's old mmap and select, and clone3.
	Block bool
}

// Param is one parameter of a call and how the kernel takes it from the
// argument registers.
type Param struct {
	Name string // the man page's
	// Aliases are other names that rules may use: the kernel's
	// (include/linux/syscalls.h) and those of older or newer man pages.
	Aliases []string
	Kind    Kind  // what it is, for decoding
	Lo      int8  // the register (0-5) with the value, or with its low half
	Hi      int8  // the register with the high 32 bits (64-bit values on i386), or -1
	Bits    uint8 // how many bits the kernel takes: 16, 32 or 64
	Shift   uint8 // the value is the register shifted left so far (mmap2's offset: 12)
	// Signed says whether comparisons are signed at Bits.
	Signed bool
	Consts *Consts // its symbolic constants, nil if it has none
}

// Value is the parameter's value as the kernel will see it: truncated to Bits
// (64 where the value spans two registers or is shifted) and zero-extended.
func (p *Param) Value(args *[6]uint64) uint64 {
	v := args[p.Lo]
	if p.Hi >= 0 {
		return v&0xffffffff | args[p.Hi]<<32
	}
	if p.Bits < 64 {
		v &= 1<<p.Bits - 1
	}
	return v << p.Shift
}

// Kind says what a parameter is, so that it can be shown as a person would
// write it.
type Kind uint8

const (
	Int        Kind = iota // a number, or constants if the parameter has them
	FD                     // a descriptor
	DirFD                  // a descriptor or AT_FDCWD
	Pointer                // an address nobody follows
	Path                   // NUL-terminated file name
	String                 // other NUL-terminated text
	Buffer                 // bytes; the next parameter is their number
	Mode                   // file mode, shown in octal
	Sockaddr               // struct sockaddr; the next parameter is its length
	Argv                   // NULL-terminated array of strings
	OpenHow                // struct open_how
	CloneArgs              // struct clone_args
	Timespec               // struct timespec of two 64-bit words
	Signal                 // a signal's number
	PID                    // a process or thread
	Size                   // a count of bytes or things
	Offset                 // a position in a file
	Timespec32             // struct timespec of two 32-bit words (i386 before its *_time64 calls)
)

// Version is a kernel version; the zero Version is "always there".
type Version struct{ Major, Minor uint16 }

// Before says whether v is older than w.
func (v Version) Before(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}
