package launch

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Domain is a Landlock ruleset that the first stage enters. That every task of
// the sandbox is in one domain is what keeps it from the processes outside:
// Landlock lets no task ptrace, or read or write the memory of, or take
// descriptors from, one that is not in its domain or one below
// (landlock(7), "Ptrace restrictions").
type Domain struct{ fd int }

// LandlockABI is the version of Landlock that the kernel has; an error says
// that it has none (ENOSYS) or that it was not enabled at boot (EOPNOTSUPP).
func LandlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	return int(abi), nil
}

// ABIs of Landlock at which something came that matters here.
const (
	abiRefer = 2 // Linux 5.19: LANDLOCK_ACCESS_FS_REFER
	abiScope = 6 // Linux 6.12: LANDLOCK_SCOPE_*
)

// NewDomain makes the domain that restricts the least: from ABI 6 signals stay
// in the sandbox, and nothing else changes. Before that a ruleset must name a
// right on files, which it then grants everywhere; with it the kernel refuses
// mount(2) and, before ABI 2, to move files between folders.
func NewDomain() (*Domain, error) {
	abi, err := LandlockABI()
	if err != nil {
		return nil, err
	}
	attr := unix.LandlockRulesetAttr{}
	switch {
	case abi >= abiScope:
		attr.Scoped = unix.LANDLOCK_SCOPE_SIGNAL
	case abi >= abiRefer:
		attr.Handled_access_fs = unix.LANDLOCK_ACCESS_FS_REFER
	default:
		attr.Handled_access_fs = unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
	}
	d, err := create(&attr)
	if err != nil || attr.Handled_access_fs == 0 {
		return d, err
	}
	if err := d.grant("/", attr.Handled_access_fs); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func create(attr *unix.LandlockRulesetAttr) (*Domain, error) {
	// Fields that an older kernel does not know may be there if they are zero.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr), 0)
	if errno != 0 {
		return nil, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	return &Domain{int(fd)}, nil
}

func (d *Domain) grant(path string, access uint64) error {
	parent, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(parent)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(parent)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(d.fd), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("landlock_add_rule: %w", errno)
	}
	return nil
}

// Close closes the ruleset; a stage that was started has its own.
func (d *Domain) Close() error { return unix.Close(d.fd) }
