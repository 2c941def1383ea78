package resolve

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// folderBase is a folder that names began at.
type folderBase struct {
	path   string
	hidden bool // as in Result
}

// knownMost bounds known.
const knownMost = 256

// base is the folder that t's names relative to dirfd begin at. A path that
// d_path gives and that once led to its folder is known: as long as d_path gives
// it, only a mount could make it lead elsewhere.
func (r *Resolver) base(t Task, dirfd int) (folderBase, error) {
	name, err := r.baseName(t, dirfd)
	if err != nil {
		return folderBase{}, err
	}
	if n, errno := readLink(r.proc, name, r.text[:]); errno == 0 {
		if b, ok := r.known[string(r.text[:n])]; ok {
			return b, nil
		}
	}
	return r.findBase(t, dirfd)
}

func (r *Resolver) findBase(t Task, dirfd int) (folderBase, error) {
	fd, err := r.openBase(t, dirfd)
	if err != nil {
		return folderBase{}, err
	}
	defer shut(fd)
	p, err := r.place(fd)
	switch {
	case err != nil:
		return folderBase{}, err
	case !isFolder(&p.st):
		return folderBase{}, unix.ENOTDIR
	case p.object == "deleted":
		return folderBase{}, unix.ENOENT
	case p.path == "":
		return folderBase{}, unix.EACCES
	}
	b := folderBase{p.path, p.hidden}
	r.remember(b)
	return b, nil
}

// remember leaves out what may be the text of another, deleted folder.
func (r *Resolver) remember(b folderBase) {
	if len(b.path) >= pathMax || strings.HasSuffix(b.path, deletedMark) {
		return
	}
	if len(r.known) >= knownMost {
		clear(r.known)
	}
	r.known[b.path] = b
}

// openBase opens what dirfd holds.
func (r *Resolver) openBase(t Task, dirfd int) (int, error) {
	name, err := r.baseName(t, dirfd)
	if err != nil {
		return -1, err
	}
	fd, err := openAt(r.proc, string(name[:len(name)-1]), pathOnly)
	if err == unix.ENOENT {
		err = absent(dirfd)
	}
	return fd, err
}

// absent is the error for a link of /proc/TID that is not there: a task that
// has no working folder is dead.
func absent(dirfd int) error {
	if dirfd == unix.AT_FDCWD {
		return unix.ESRCH
	}
	return unix.EBADF
}

// baseName is dirfd's name in proc, with a NUL. It is the thread's, which need
// not share descriptors and working folder with its process (unshare(2)).
func (r *Resolver) baseName(t Task, dirfd int) ([]byte, error) {
	name := strconv.AppendInt(r.name[:0], int64(t.TID), 10)
	switch {
	case dirfd == unix.AT_FDCWD:
		return append(name, "/cwd\x00"...), nil
	case dirfd < 0:
		return nil, unix.EBADF
	}
	name = append(name, "/fd/"...)
	return append(strconv.AppendInt(name, int64(dirfd), 10), 0), nil
}
