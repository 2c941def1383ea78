package resolve

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// deletedMark is what d_path adds to the last name of what was deleted. Files
// can be so named too.
const deletedMark = " (deleted)"

// place is where an object is, as the kernel tells.
type place struct {
	path        string
	object, was string // as in Result
	hidden      bool
	st          unix.Stat_t
}

// place finds out where fd's object is. What d_path says is a path only if it
// leads to the object: it can be deleted, in another mount namespace (where
// d_path begins at that one's root), or beneath a mount.
func (r *Resolver) place(fd int) (place, error) {
	var p place
	if errno := status(fd, &p.st); errno != 0 {
		return p, errno
	}
	var before string
	for range tries {
		text, err := r.toldAll(fd, &p.st)
		if err != nil {
			return p, err
		}
		if text[0] != '/' {
			p.object = text
			return p, nil
		}
		switch err := r.leads(text, &p.st); err {
		case nil:
			p.path = text
			return p, nil
		case unix.EACCES:
			r.trust(&p, fd, text)
			return p, nil
		case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ESTALE, unix.ENAMETOOLONG:
			if text == before {
				r.lose(&p, fd, text)
				return p, nil
			}
			before = text // if it was renamed meanwhile, it is elsewhere now
		default:
			return p, err
		}
	}
	return p, unix.ENOENT
}

// trust takes d_path's word where nothing else can tell.
func (r *Resolver) trust(p *place, fd int, text string) {
	if strings.HasSuffix(text, deletedMark) || p.st.Nlink == 0 {
		r.lose(p, fd, text)
		return
	}
	p.path, p.hidden = text, true
}

// lose is for an object whose text is no path to it.
func (r *Resolver) lose(p *place, fd int, text string) {
	was, deleted := strings.CutSuffix(text, deletedMark)
	switch {
	case !deleted:
		p.object, p.was = "unreachable", text
	case strings.HasPrefix(was, "/memfd:") && !r.inRoot(fd):
		p.object = was[1:]
	default:
		p.object, p.was = "deleted", was
	}
}

// inRoot says whether fd is in the mount of the root folder, as a file really
// named /memfd:x was: memfds are in the kernel's own.
func (r *Resolver) inRoot(fd int) bool {
	mine, err := mount(fd, "")
	if err != nil {
		return false
	}
	slash, err := r.openSlash()
	if err != nil {
		return false
	}
	defer shut(slash)
	root, err := mount(slash, "")
	return err == nil && mine == root
}

// identity tells folders apart, bind mounts of the same one too.
type identity struct{ mount, ino, dev uint64 }

func mount(dirfd int, name string) (uint64, error) {
	id, err := identify(dirfd, name)
	return id.mount, err
}

func identify(dirfd int, name string) (identity, error) {
	var x unix.Statx_t
	err := unix.Statx(dirfd, name, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_INO|unix.STATX_MNT_ID, &x)
	return identity{x.Mnt_id, x.Ino, unix.Mkdev(x.Dev_major, x.Dev_minor)}, err
}

// toldAll is told, of a folder with a path of any length.
func (r *Resolver) toldAll(fd int, st *unix.Stat_t) (string, error) {
	text, err := r.told(fd)
	if err == unix.ENAMETOOLONG && isFolder(st) {
		return r.climb(fd)
	}
	return text, err
}

// told is what the kernel calls fd's object (d_path in fs/d_path.c).
func (r *Resolver) told(fd int) (string, error) {
	name := append(strconv.AppendInt(r.name[:0], int64(fd), 10), 0)
	n, errno := readLink(r.self, name, r.text[:])
	if errno != 0 {
		return "", errno
	}
	if n == 0 {
		return "", unix.ENOENT
	}
	return string(r.text[:n]), nil
}

// leads says whether path, without following links, leads to st's object:
// ESTALE says to another.
func (r *Resolver) leads(path string, st *unix.Stat_t) error {
	fd, err := r.openPath(path)
	if err != nil {
		return err
	}
	defer shut(fd)
	var there unix.Stat_t
	if errno := status(fd, &there); errno != 0 {
		return errno
	}
	if there.Dev != st.Dev || there.Ino != st.Ino {
		return unix.ESTALE
	}
	return nil
}

// openPath opens a clean path of any length that has no links.
func (r *Resolver) openPath(path string) (int, error) {
	if r.walkOnly || len(path) >= pathMax {
		return r.openParts(path)
	}
	n := copy(r.full[:], path)
	r.full[n] = 0
	fd, errno := r.openLinkless(r.full[:n+1])
	if errno == unix.EINTR || errno == unix.EPERM {
		return r.openParts(path)
	}
	if errno != 0 {
		return -1, errno
	}
	return fd, nil
}

// openParts opens a clean path component by component. A link among them is no
// folder to open the next one in.
func (r *Resolver) openParts(path string) (int, error) {
	fd, err := r.openSlash()
	for rest := path; err == nil; {
		var part string
		if part, rest = component(rest); part == "" {
			return fd, nil
		}
		var next int
		next, err = openAt(fd, part, pathOnly|unix.O_NOFOLLOW)
		shut(fd)
		fd = next
	}
	return -1, err
}

// openAt is openat(2), tried again a few times if a signal interrupts it.
func openAt(dirfd int, name string, flags int) (fd int, err error) {
	for range 8 {
		if fd, err = unix.Openat(dirfd, name, flags, 0); err != unix.EINTR {
			break
		}
	}
	return fd, err
}

func isFolder(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }
func isLink(st *unix.Stat_t) bool   { return st.Mode&unix.S_IFMT == unix.S_IFLNK }
