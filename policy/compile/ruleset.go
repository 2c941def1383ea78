package compile

import (
	"fmt"
	"slices"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

// Ruleset is a Landlock ruleset as data (landlock(7)): what it handles is
// denied but for what it grants.
//
// Landlock ANDs stacked rulesets. What files, exec and all policies of a set
// permit is ANDed here instead, path by path, so that a sandbox is always one
// layer and its command may stack 15 more.
type Ruleset struct {
	AccessFS  uint64 // LANDLOCK_ACCESS_FS_*
	AccessNet uint64 // LANDLOCK_ACCESS_NET_*
	Scoped    uint64 // LANDLOCK_SCOPE_*
	Paths     []PathGrant
	Ports     []PortGrant
}

// PathGrant permits Access to Path and, if that is a folder, all beneath it.
type PathGrant struct {
	Path   string
	Access uint64
}

// PortGrant permits Access to a TCP port.
type PortGrant struct {
	Port   uint16
	Access uint64
}

// Landlock is what Landlock can hold of a set's sections. The ruleset permits
// all that they permit.
type Landlock struct {
	Ruleset              Ruleset
	Files, Exec, Network Hold
}

// Hold says whether a ruleset forbids all that a section does not permit, so
// that no call needs a stop for it; if not, Why is the first thing in the way.
// It forbids with EACCES, as sections do, but for some renames and links with
// EXDEV, on which mv(1) copies. Calls of BeyondLandlock are never held.
type Hold struct {
	Exact bool
	Why   string
}

// worsen notes the first thing in the way.
func (h *Hold) worsen(why string) {
	if h.Exact && why != "" {
		*h = Hold{Why: why}
	}
}

// BeyondLandlock are calls that need Write in files and that no Landlock right
// covers (landlock(7), "Current limitations"). Beside them ioctl can change a
// file's attributes: FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR.
var BeyondLandlock = []string{
	"chmod", "fchmod", "fchmodat", "fchmodat2",
	"chown", "fchown", "lchown", "fchownat",
	"utime", "utimes", "futimesat", "utimensat",
	"setxattr", "lsetxattr", "fsetxattr", "setxattrat",
	"removexattr", "lremovexattr", "fremovexattr", "removexattrat",
	"file_setattr",
}

// Tried is a section's rules and defaults by policy that has it, as
// policy.Sections.Rules and Defaults give them.
type Tried struct {
	Rules    [][]policy.BoundRule
	Defaults []policy.Action
}

// Ports is what the section network permits, seen by TCP ports. It may be more
// than the section permits, never less.
type Ports struct {
	Connect, Bind       []uint16
	AnyConnect, AnyBind bool
	Abstract            bool // abstract unix sockets of others
}

// Bound is what Landlock is to hold.
type Bound struct {
	Files, Exec Tried
	Network     *Ports // nil: no policy has the section
}

// Found is what a host has at a path.
type Found uint8

const (
	Missing Found = iota
	Link          // the path leads through a symbolic link: it is nothing's canonical name
	File          // anything but a folder
	Folder
)

// Host is what a ruleset depends on. All paths are canonical.
type Host struct {
	ABI  int                     // Landlock's; 0: the kernel has none
	Look func(path string) Found // what is there now
	// Loaders are the ELF interpreters, which programs that exec rules permit
	// have the kernel execute.
	Loaders []string
	// Procs finds out where proc(5) is mounted.
	Procs func() []string
	// Start are the files that the kernel executes for the first stage: the
	// command, and its interpreters in turn.
	Start []string
}

// Confine computes the ruleset of a sandbox.
func Confine(b Bound, h Host) Landlock {
	if h.ABI < 1 {
		none := Hold{Why: "the kernel has no Landlock"}
		return Landlock{Files: none, Exec: none, Network: none}
	}
	var l Landlock
	files, writable, hold := h.files(b.Files)
	l.Files = hold
	exec, hold := h.exec(b.Exec, writable)
	l.Exec = hold
	all := files.and(exec)
	h.start(&all, &l)
	h.network(b.Network, &l)
	h.protect(&all, &l.Ruleset)
	l.Ruleset.AccessFS, l.Ruleset.Paths = all.handled, all.sorted()
	return l
}

// start lets the first stage execute the command: that is no part of the
// policy.
func (h Host) start(d *domain, l *Landlock) {
	need := d.handled & (unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE)
	for _, path := range h.Start {
		missing := need &^ d.of(path)
		if missing == 0 || h.Look(path) != File {
			continue
		}
		d.add(path, missing)
		why := "the command could not start if " + path + " could not be executed"
		if missing&unix.LANDLOCK_ACCESS_FS_READ_FILE != 0 {
			l.Files.worsen(why)
		} else {
			l.Exec.worsen(why)
		}
	}
}

// network denies TCP ports that no rule speaks of, and abstract sockets outside
// of the sandbox. Landlock knows neither addresses nor abstract names.
func (h Host) network(p *Ports, l *Landlock) {
	if p == nil {
		l.Network = Hold{Exact: true}
		return
	}
	l.Network = Hold{Why: "Landlock knows TCP ports, not addresses"}
	if h.ABI >= abiNet && !p.AnyConnect {
		l.Ruleset.ports(unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, p.Connect)
	}
	if h.ABI >= abiNet && !p.AnyBind {
		l.Ruleset.ports(unix.LANDLOCK_ACCESS_NET_BIND_TCP, p.Bind)
	}
	if h.ABI >= abiScope && !p.Abstract {
		l.Ruleset.Scoped |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
	}
}

func (r *Ruleset) ports(access uint64, list []uint16) {
	r.AccessNet |= access
	list = slices.Clone(list)
	slices.Sort(list)
	for _, port := range slices.Compact(list) {
		r.Ports = append(r.Ports, PortGrant{port, access})
	}
}

// protect makes sure that there is a domain at all: Landlock lets no task
// ptrace, or read or write the memory of, or take descriptors from, one that is
// not in its domain or one below (landlock(7), "Ptrace restrictions"). From ABI
// 6 signals stay in the sandbox too. Before that a ruleset must name a right,
// which it then grants everywhere.
//
// Files can be moved between folders only where REFER is granted, by every
// ruleset of a domain that has any on files. It is granted everywhere: a file
// can then still go only where it gets no right that it has not, and a link or
// rename there takes MAKE_*, which comes with all rights on files.
func (h Host) protect(d *domain, r *Ruleset) {
	if h.ABI >= abiScope {
		r.Scoped |= unix.LANDLOCK_SCOPE_SIGNAL
	}
	none := d.handled == 0
	switch {
	case none && (r.Scoped != 0 || r.AccessNet != 0):
	case h.ABI >= abiRefer:
		d.handle("/", unix.LANDLOCK_ACCESS_FS_REFER)
	case none:
		d.handle("/", unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK)
	}
}

// ABIs of Landlock at which something came that matters here.
const (
	abiRefer    = 2 // Linux 5.19: LANDLOCK_ACCESS_FS_REFER
	abiTruncate = 3 // Linux 6.2: LANDLOCK_ACCESS_FS_TRUNCATE
	abiNet      = 4 // Linux 6.7: LANDLOCK_ACCESS_NET_*
	abiScope    = 6 // Linux 6.12: LANDLOCK_SCOPE_*
)

// covered are the rights on files that the host's Landlock has. IOCTL_DEV is
// never handled: no section speaks of ioctl.
func (h Host) covered(access uint64) uint64 {
	if h.ABI < abiTruncate {
		access &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	return access
}

// uncovered is why an old Landlock does not hold files.
func (h Host) uncovered() (why string) {
	if h.ABI < abiTruncate {
		return fmt.Sprintf("Landlock ABI %d does not cover truncate(2), which takes ABI %d (Linux 6.2)", h.ABI, abiTruncate)
	}
	return ""
}

const (
	accessRead = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR

	accessMake = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM

	accessWrite = accessRead | accessMake | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE

	// accessFile are the rights that a rule on anything but a folder may grant
	// (ACCESS_FILE in security/landlock/fs.c).
	accessFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
)
