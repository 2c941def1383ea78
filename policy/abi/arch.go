package abi

var archNames = [...]string{X86_64: "x86_64", I386: "i386", X32: "x32", AArch64: "aarch64"}

// Arches gives every ABI that the package has a table for, in the order of
// their constants.
func Arches() []Arch { return []Arch{X86_64, I386, X32, AArch64} }

// OfHost gives the ABIs that a kernel of the build's architecture offers, its own
// first and those of one audit arch in a row.
func OfHost() []Arch {
	if Native() == X86_64 {
		return []Arch{X86_64, X32, I386}
	}
	return []Arch{Native()}
}

// String is the ABI's name as policies and events have it; "unknown" for the
// zero Arch and others without a table.
func (a Arch) String() string {
	if a.known() {
		return archNames[a]
	}
	return "unknown"
}

func (a Arch) known() bool { return a >= X86_64 && a <= AArch64 }

// ParseArch is String's inverse. It knows the names of other tools too: amd64,
// x86, arm64.
func ParseArch(name string) (Arch, bool) {
	switch name {
	case "amd64", "x86-64":
		return X86_64, true
	case "x86", "386":
		return I386, true
	case "arm64":
		return AArch64, true
	}
	for _, a := range Arches() {
		if archNames[a] == name {
			return a, true
		}
	}
	return 0, false
}

// Audit is the ABI's AUDIT_ARCH_*, 0 if it has no table. X86_64 and X32 share
// one.
func (a Arch) Audit() uint32 {
	switch a {
	case X86_64, X32:
		return AuditX86_64
	case I386:
		return AuditI386
	case AArch64:
		return AuditAArch64
	}
	return 0
}

// Of is the ABI of a call with this audit arch and number, as
// PTRACE_GET_SYSCALL_INFO and seccomp_data give them. Number -1 under x86_64's
// audit arch has X32Bit set, yet is no x32 call but "no call": it is X86_64.
func Of(audit uint32, nr uint64) (Arch, bool) {
	switch audit {
	case AuditX86_64:
		if nr&X32Bit != 0 && int32(nr) >= 0 {
			return X32, true
		}
		return X86_64, true
	case AuditI386:
		return I386, true
	case AuditAArch64:
		return AArch64, true
	}
	return 0, false
}

// RegisterBits is the width of an argument register as the kernel reads it at
// the ABI's entry: 32 on i386, else 64.
func (a Arch) RegisterBits() uint8 {
	if a == I386 {
		return 32
	}
	return 64
}
