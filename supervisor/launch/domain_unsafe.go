package launch

import (
	"errors"
	"fmt"
	"unsafe"

	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// Domain is a Landlock ruleset that the first stage enters. That every task of
// the sandbox is in one domain is what keeps it from the processes outside:
// Landlock lets no task ptrace, or read or write the memory of, or take
// descriptors from, one that is not in its domain or one below
// (landlock(7), "Ptrace restrictions").
type Domain struct {
	fd    int
	rules *compile.Ruleset
}

// LandlockABI is the version of Landlock that the kernel has; an error says
// that it has none (ENOSYS) or that it was not enabled at boot (EOPNOTSUPP).
func LandlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	return int(abi), nil
}

// NewDomain makes a ruleset of the kernel's. Paths that are gone since r was
// computed are an error, but where only reading was granted: what is not
// granted is denied. Symbolic links are never followed, for what they lead to
// is not what the policy named.
func NewDomain(r *compile.Ruleset) (*Domain, error) {
	d, err := OpenDomain(r)
	if err != nil {
		return nil, err
	}
	if err := d.grantAll(unix.AT_FDCWD); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// OpenDomain makes a ruleset that grants nothing until Grant.
func OpenDomain(r *compile.Ruleset) (*Domain, error) {
	d, err := create(r)
	if err != nil {
		return nil, err
	}
	d.rules = r
	return d, nil
}

// Grant grants what the ruleset does, by what its paths are in the folder root.
// What is granted is the stage's too if that has the ruleset already. A nil
// Domain grants nothing.
func (d *Domain) Grant(root int) error {
	if d == nil {
		return nil
	}
	return d.grantAll(root)
}

func create(r *compile.Ruleset) (*Domain, error) {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: r.AccessFS, Handled_access_net: r.AccessNet, Scoped: r.Scoped}
	// Fields that an older kernel does not know may be there if they are zero.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return nil, fmt.Errorf("landlock_create_ruleset: %w", errno)
	}
	return &Domain{fd: int(fd)}, nil
}

func (d *Domain) grantAll(root int) error {
	for _, g := range d.rules.Paths {
		// In a root of the sandbox's own there need not be all that is outside.
		if err := d.grantPath(root, g); err != nil && !(gone(err) && (g.Access&^harmless == 0 || root != unix.AT_FDCWD)) {
			return err
		}
	}
	for _, g := range d.rules.Ports {
		rule := netPortAttr{access: g.Access, port: uint64(g.Port)}
		if err := d.add(ruleNetPort, unsafe.Pointer(&rule)); err != nil {
			return fmt.Errorf("landlock_add_rule for port %d: %w", g.Port, err)
		}
	}
	return nil
}

// harmless are the rights without which a command at worst cannot read.
const harmless = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR

func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

func (d *Domain) grantPath(root int, g compile.PathGrant) error {
	fd, err := openAt(root, g.Path)
	if err != nil {
		return fmt.Errorf("open %s, to grant it to the sandbox: %w", g.Path, err)
	}
	defer unix.Close(fd)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: g.Access, Parent_fd: int32(fd)}
	if err := d.add(unix.LANDLOCK_RULE_PATH_BENEATH, unsafe.Pointer(&rule)); err != nil {
		return fmt.Errorf("landlock_add_rule for %s: %w", g.Path, err)
	}
	return nil
}

func (d *Domain) add(kind uintptr, rule unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(d.fd), kind, uintptr(rule), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

const ruleNetPort = 2 // LANDLOCK_RULE_NET_PORT

// netPortAttr is struct landlock_net_port_attr (linux/landlock.h):
//
//	__u64 allowed_access;
//	__u64 port;
type netPortAttr struct{ access, port uint64 }

// openAt opens a canonical path for its place alone; root is where it begins, or
// AT_FDCWD. openat2 came with Linux 5.6, before Landlock.
func openAt(root int, path string) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	if root != unix.AT_FDCWD {
		how.Resolve |= unix.RESOLVE_IN_ROOT
	}
	return unix.Openat2(root, path, &how)
}

// Look says what is at a canonical path, for compile.Host. What this process may
// not look at is missing, for the sandbox as well.
func Look(path string) compile.Found {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return compile.Missing
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return compile.Link
	case unix.S_IFDIR:
		return compile.Folder
	}
	return compile.File
}

// Close closes the ruleset; a stage that was started has its own.
func (d *Domain) Close() error { return unix.Close(d.fd) }
