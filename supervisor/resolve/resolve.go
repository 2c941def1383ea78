// Package resolve follows a name as the kernel would for a task
// (path_resolution(7)), from outside of it, and gives the one canonical name
// that a policy decides on. The call is then made with that name, in which no
// symbolic link is left.
//
// A name without links costs one openat2(2) with RESOLVE_NO_SYMLINKS, which
// proves that its text is its path. Otherwise it is walked component by
// component with O_PATH descriptors, as link_path_walk in fs/namei.c does, until
// the links are out of it; what was walked is checked against its path.
// Nothing is ever opened for reading or writing. Names that openat2(2) is to follow
// in a way of its own are followed by openat2 itself (Scoped).
//
// # Limits
//
// A Result was true when it was looked at, and the sandbox may rename
// files at any time. Its Path had no links then: who uses it must make the
// kernel refuse links (RESOLVE_NO_SYMLINKS), or hold off all renames. Where
// renames keep a name from being walked, the answer is ENOENT.
//
// Permissions are the supervisor's: what it may not search answers EACCES.
// So do the magic links (proc(5)) of a task that is not dumpable, and names in
// folders of another mount namespace.
//
// In a case-insensitive folder (ext4 casefold, vfat) a path is spelled as the
// name was. Automounts are not triggered by the last component of a name, and
// not at all by names with links.
//
// A folder that names began at once keeps its path though something is mounted
// over it later, and a folder of another mount namespace is taken for it if it has
// the same path there.
//
// A file descriptor of a file, not a folder, whose path is longer than
// PATH_MAX answers ENAMETOOLONG.
package resolve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pathMax is PATH_MAX of linux/limits.h, the terminating NUL included.
const pathMax = unix.PathMax

// Task is whose view counts.
type Task struct {
	PID, TID int
	// Chrooted: its root is not the supervisor's.
	Chrooted bool
	// UID is its fsuid, asked for where fs.protected_symlinks matters; without
	// it no owner matches.
	UID func() uint32
}

// Result is what a name leads to.
type Result struct {
	// Path is absolute, clean and without links, as the supervisor sees it. It
	// can be longer than PATH_MAX, and "" if the object has none.
	Path string
	// Inside is Path as the task itself must write it: from its own root; "" if
	// it is outside of that.
	Inside string
	Exists bool // the last component is there
	Folder bool
	Link   bool // a symbolic link itself, that was not to be followed
	// Hidden: a folder above may not be searched. A relative name or a
	// descriptor led here, but Path does not.
	Hidden bool
	// TrailingSlash: the name, or a link followed at its end, ended in one, so that
	// a folder is asked for.
	TrailingSlash bool
	// Dots: the name ended in "." or "..": no call makes, removes or renames
	// such a name (rmdir(2): EINVAL), as it might if it were given Path.
	Dots bool
	// Object says what has no path: as /proc/PID/fd has it ("pipe:[123]",
	// "anon_inode:[eventfd]"), "memfd:NAME", "deleted", or "unreachable" for
	// what another mount namespace or a later mount hides.
	Object string
	Was    string // the path that a deleted or unreachable one had, if the kernel tells
	// Descriptor is N where the name led through the task's own
	// /proc/self/fd/N (/dev/fd, /dev/stdin), else -1.
	Descriptor int
	Dev, Ino   uint64
}

// Resolver resolves names. It is one goroutine's at a time.
type Resolver struct {
	proc      int  // /proc
	self      int  // /proc/self/fd
	protected bool // fs.protected_symlinks
	walkOnly  bool // no openat2, as under some containers' filters
	top       int  // where absolute names begin, AT_FDCWD for this process's root
	how       unix.OpenHow
	inner     bool   // see Enter
	innerProc uint64 // its device

	name  [64]byte              // a name in proc
	full  [pathMax + 1]byte     // a name, NUL-terminated
	text  [pathMax + 1]byte     // what a link says
	known map[string]folderBase // see base
}

// New opens what a Resolver needs of /proc, which must be that of its own pid
// namespace.
func New() (*Resolver, error) {
	r := &Resolver{proc: -1, self: -1, top: unix.AT_FDCWD, how: linkless, known: map[string]folderBase{}}
	if err := r.open(); err != nil {
		r.Close()
		return nil, fmt.Errorf("/proc: %w", err)
	}
	r.protected = !r.unprotected()
	fd, errno := r.openLinkless([]byte("/\x00"))
	if r.walkOnly = errno != 0; !r.walkOnly {
		shut(fd)
	}
	return r, nil
}

func (r *Resolver) open() (err error) {
	if r.proc, err = unix.Open("/proc", pathOnly|unix.O_DIRECTORY, 0); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(r.proc, &fs); err != nil {
		return err
	}
	if fs.Type != unix.PROC_SUPER_MAGIC || !r.ours(r.proc) {
		return errors.New("it is not the proc(5) of this pid namespace")
	}
	r.self, err = unix.Openat(r.proc, strconv.Itoa(os.Getpid())+"/fd", pathOnly|unix.O_DIRECTORY, 0)
	return err
}

// unprotected says whether fs.protected_symlinks is off for certain.
func (r *Resolver) unprotected() bool {
	fd, err := unix.Openat(r.proc, "sys/fs/protected_symlinks", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer shut(fd)
	var text [1]byte
	n, err := unix.Read(fd, text[:])
	return err == nil && n == 1 && text[0] == '0'
}

// ours says whether a proc counts processes as this one does: its numbers are
// those of the pid namespace that it was mounted in.
func (r *Resolver) ours(proc int) bool {
	var text [16]byte
	n, err := unix.Readlinkat(proc, "self", text[:])
	return err == nil && string(text[:n]) == strconv.Itoa(os.Getpid())
}

// Close closes what New opened.
func (r *Resolver) Close() {
	for _, fd := range []int{r.proc, r.self} {
		if fd >= 0 {
			shut(fd)
		}
	}
	if r.top >= 0 {
		shut(r.top)
	}
	r.proc, r.self, r.top = -1, -1, unix.AT_FDCWD
}

// Name resolves a name as calls do that look at what is there (open(2),
// stat(2)). A last symbolic link is followed if follow says so or a slash comes
// after it. Where the last component is missing there is no error: the Result
// says where it would be made. Relative names begin at dirfd, which may be
// unix.AT_FDCWD. Errors are unix.Errno, as the kernel would have it.
func (r *Resolver) Name(t Task, dirfd int, name string, follow bool) (Result, error) {
	if follow {
		return r.resolve(t, dirfd, name, following)
	}
	return r.resolve(t, dirfd, name, staying)
}

// Entry resolves a name as calls do that make, remove or rename it (mkdir(2),
// unlink(2), rename(2): filename_parentat in fs/namei.c). The last component is
// never followed, even if a slash comes after it, and what it is does not matter.
func (r *Resolver) Entry(t Task, dirfd int, name string) (Result, error) {
	return r.resolve(t, dirfd, name, entry)
}

// mode is what becomes of a last component.
type mode uint8

const (
	following mode = iota
	staying        // a link is followed only if a slash comes after it
	entry          // a link is not followed
)

func (r *Resolver) resolve(t Task, dirfd int, name string, m mode) (Result, error) {
	switch { // getname_flags in fs/namei.c
	case name == "":
		return Result{}, unix.ENOENT
	case len(name) >= pathMax:
		return Result{}, unix.ENAMETOOLONG
	}
	res, tail, err := r.quick(t, dirfd, name, m)
	if tail != settled {
		res, err = r.walk(t, dirfd, name, m, tail)
	}
	if err != nil {
		return Result{}, err
	}
	return res, nil
}

// Descriptor is what a descriptor of t's holds (AT_EMPTY_PATH in openat(2)).
func (r *Resolver) Descriptor(t Task, fd int) (Result, error) {
	at, err := r.openBase(t, fd)
	if err != nil {
		return Result{}, err
	}
	defer shut(at)
	p, err := r.place(at)
	if err != nil {
		return Result{}, err
	}
	w := walk{r: r, t: t, fd: -1, descriptor: max(-1, fd)}
	return w.placed(&p)
}

// Told is the path of what a descriptor of t's holds as d_path says it, which is
// most of Descriptor at a tenth of its price: false where that may be no path
// (d_path in fs/d_path.c: a deleted file, a pipe).
func (r *Resolver) Told(t Task, fd int) (string, bool) {
	name, err := r.baseName(t, fd)
	if err != nil {
		return "", false
	}
	n, errno := readLink(r.proc, name, r.text[:])
	if errno != 0 || n == 0 || n >= pathMax || r.text[0] != '/' || bytes.HasSuffix(r.text[:n], []byte(deletedMark)) {
		return "", false
	}
	return string(r.text[:n]), true
}

// Base is the path of the folder that relative names begin at: dirfd's, or with
// unix.AT_FDCWD the working folder. ENOENT says that it was deleted.
func (r *Resolver) Base(t Task, dirfd int) (string, error) {
	b, err := r.base(t, dirfd)
	return b.path, err
}
