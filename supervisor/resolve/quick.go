package resolve

import (
	"strings"

	"golang.org/x/sys/unix"
)

// tail is what a quick look could not do.
type tail struct {
	settled bool
	// folder is where the first link that is to be followed is, by a path without
	// links, and rest is what comes after the link; "" if nothing is known.
	folder, link, rest string
}

var settled = tail{settled: true}

// quick resolves names without links in as few calls as there can be. What
// openat2 answers with RESOLVE_NO_SYMLINKS is what the kernel would answer
// anyway, unless it is ELOOP: it walks from the left and stops at the first thing
// that is wrong.
func (r *Resolver) quick(t Task, dirfd int, name string, m mode) (Result, tail, error) {
	if t.Chrooted || r.walkOnly {
		return Result{}, tail{}, nil
	}
	if name[0] == '/' {
		return r.look(folderBase{path: "/"}, name, m)
	}
	b, err := r.base(t, dirfd)
	switch {
	case err == unix.EBADF || err == unix.ESRCH || err == unix.ENOTDIR:
		return Result{}, settled, err
	case err != nil || b.hidden:
		return Result{}, tail{}, nil
	}
	return r.look(b, name, m)
}

// look opens name, which begins at base.
func (r *Resolver) look(base folderBase, name string, m mode) (Result, tail, error) {
	text := r.compose(base.path, name, m)
	if text == nil {
		return Result{}, tail{}, nil
	}
	fd, errno := r.openLinkless(text)
	switch {
	case errno == unix.ENOENT:
		return r.lookAbove(base, name)
	case errno == unix.ENOTDIR:
		return Result{}, settled, errno
	case errno == unix.EACCES && name[0] == '/':
		return Result{}, settled, errno
	case errno == unix.ELOOP:
		return Result{}, r.firstLink(base.path, name), nil
	case errno != 0:
		return Result{}, tail{}, nil
	}
	var st unix.Stat_t
	errno = status(fd, &st)
	shut(fd)
	if errno != 0 {
		return Result{}, settled, errno
	}
	p := parse(base.path, name)
	if m == following && isLink(&st) {
		return Result{}, tail{folder: parent(p.path), link: last(p.path)}, nil
	}
	return found(&p, &st), settled, nil
}

// firstLink looks for the first link of a name that has some. What it finds is
// looked at again by the walk that begins there.
func (r *Resolver) firstLink(base, name string) tail {
	p := parse(base, name)
	if p.back || len(p.path) >= pathMax || r.top != unix.AT_FDCWD {
		return tail{}
	}
	if !strings.HasPrefix(p.path, base) {
		base = "" // ".." led out of it
	}
	text := append(append(r.full[:0], p.path...), 0)
	for i := len(base) + 1; i <= len(p.path); i++ {
		if text[i] != '/' && text[i] != 0 {
			continue
		}
		kept := text[i]
		text[i] = 0
		_, errno := readLink(unix.AT_FDCWD, text, r.text[:])
		text[i] = kept
		switch errno {
		case 0:
			return tail{folder: parent(p.path[:i]), link: last(p.path[:i]), rest: p.path[i:] + p.ending()}
		case unix.EINVAL: // no link
		default:
			return tail{}
		}
	}
	return tail{}
}

// compose writes the name into full, from the root on; nil if it does not fit.
// The slashes after an entry are left out: the kernel would follow it.
func (r *Resolver) compose(base, name string, m mode) []byte {
	for m == entry && len(name) > 1 && name[len(name)-1] == '/' {
		name = name[:len(name)-1]
	}
	if name[0] == '/' {
		base = ""
	}
	if len(base)+len("/")+len(name) > pathMax {
		return nil
	}
	text := r.full[:0]
	if base != "" {
		text = append(append(text, base...), '/')
	}
	return append(append(text, name...), 0)
}

// lookAbove finds out whether only the last component is missing.
func (r *Resolver) lookAbove(base folderBase, name string) (Result, tail, error) {
	p := parse(base.path, name)
	switch {
	case p.back:
		return Result{}, tail{}, nil
	case p.dots:
		return Result{}, settled, unix.ENOENT
	}
	fd, err := r.openPath(parent(p.path))
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return Result{}, settled, unix.ENOENT
	}
	if err != nil {
		return Result{}, tail{}, nil
	}
	var st unix.Stat_t
	errno := status(fd, &st)
	shut(fd)
	if errno != 0 || !isFolder(&st) || st.Nlink == 0 {
		return Result{}, tail{}, nil
	}
	return Result{Path: p.path, Inside: p.path, TrailingSlash: p.slash, Descriptor: -1}, settled, nil
}

func found(p *parsed, st *unix.Stat_t) Result {
	res := Result{Path: p.path, Inside: p.path, TrailingSlash: p.slash, Dots: p.dots, Descriptor: -1}
	res.describe(st)
	return res
}

// describe is for what is there.
func (res *Result) describe(st *unix.Stat_t) {
	res.Exists = true
	res.Folder, res.Link = isFolder(st), isLink(st)
	res.Dev, res.Ino = st.Dev, st.Ino
}
