package resolve

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	stNoSymfollow = 0x2000 // ST_NOSYMFOLLOW of linux/statfs.h
	procRootIno   = 1      // PROC_ROOT_INO of linux/proc_fs.h
	// stickyAndOpen is what makes a folder one where links are not trusted.
	stickyAndOpen = unix.S_ISVTX | unix.S_IWOTH
)

// link follows the link fd, which is called part in the folder so far, in the
// order of pick_link in fs/namei.c.
func (w *walk) link(fd int, part string, st *unix.Stat_t, isLast bool) (res Result, done bool, err error) {
	if w.links++; w.links > linksMost {
		return res, true, unix.ELOOP
	}
	if isLast {
		if err := w.mayFollow(st); err != nil {
			return res, true, err
		}
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return res, true, err
	}
	if fs.Flags&stNoSymfollow != 0 {
		return res, true, unix.ELOOP
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return w.procLink(fd, part)
	}
	return w.readAndFollow(fd)
}

// mayFollow is may_follow_link of fs/namei.c (fs.protected_symlinks in proc(5)).
func (w *walk) mayFollow(st *unix.Stat_t) error {
	if !w.r.protected || w.t.UID != nil && w.t.UID() == st.Uid {
		return nil
	}
	folder, err := w.status()
	if err != nil {
		return err
	}
	if folder.Mode&stickyAndOpen != stickyAndOpen || folder.Uid == st.Uid {
		return nil
	}
	return unix.EACCES
}

func (w *walk) readAndFollow(fd int) (res Result, done bool, err error) {
	n, errno := readLink(fd, []byte{0}, w.r.text[:])
	switch {
	case errno != 0:
		return res, true, errno
	case n >= pathMax:
		return res, true, unix.ENAMETOOLONG
	case n == 0:
		return res, true, unix.ENOENT
	}
	return w.follow(string(w.r.text[:n]))
}

// follow puts target in front of what is left of the name. If no link is left
// after that, one look settles the rest.
func (w *walk) follow(target string) (res Result, done bool, err error) {
	w.rest = target + w.rest
	w.slash = w.slash || strings.HasSuffix(w.rest, "/")
	if !w.t.Chrooted && !w.r.walkOnly && !w.hidden && w.path != "" {
		res, from, err := w.r.look(folderBase{path: w.path}, w.rest, w.mode)
		switch {
		case from == settled:
			res.TrailingSlash, res.Dots = w.slash, endsInDots(w.name)
			res.Descriptor = w.descriptor
			return res, true, err
		case from.folder != "":
			w.resume(from)
			return res, false, nil
		}
	}
	if target[0] == '/' {
		err = w.toRoot()
	}
	return res, false, err
}

// procLink follows a link of proc(5). In proc's root they are text, but for those
// that mean who asks; elsewhere the kernel alone knows where they lead.
func (w *walk) procLink(fd int, part string) (res Result, done bool, err error) {
	root, err := w.inProcRoot()
	switch {
	case err != nil:
		return res, true, err
	case !root:
		return w.magic(part)
	case part != "self" && part != "thread-self":
		return w.readAndFollow(fd)
	case w.r.inner && !w.r.isInner(w.fd), !w.r.inner && !w.r.ours(w.fd): // its numbers for our tasks are not known
		return res, true, unix.EACCES
	}
	target := w.r.Number(w.t.PID)
	if part == "thread-self" {
		target += "/task/" + w.r.Number(w.t.TID)
	}
	return w.follow(target)
}

// inProcRoot says whether the folder so far, in which a link of proc was found,
// is the root of proc.
func (w *walk) inProcRoot() (bool, error) {
	st, err := w.status()
	if err != nil {
		return false, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(w.fd, &fs); err != nil {
		return false, err
	}
	return fs.Type == unix.PROC_SUPER_MAGIC && st.Ino == procRootIno, nil
}

// magic follows a magic link (nd_jump_link): it leads to the object itself,
// whatever its name says.
func (w *walk) magic(part string) (res Result, done bool, err error) {
	at, err := w.at()
	if err != nil {
		return res, true, err
	}
	fd, err := openAt(at, part, pathOnly)
	if err != nil {
		return res, true, err
	}
	own := w.ownDescriptor(part, fd)
	p, err := w.r.place(fd)
	if err == nil && !isFolder(&p.st) && w.rest != "" {
		err = unix.ENOTDIR
	}
	if err != nil {
		shut(fd)
		return res, true, err
	}
	w.descriptor = own
	if isFolder(&p.st) {
		w.goTo(fd, &p)
		return res, false, nil
	}
	shut(fd)
	res, err = w.placed(&p)
	return res, true, err
}

// ownDescriptor is the number of the task's own descriptor that fd was reached
// by, -1 if it was another way.
func (w *walk) ownDescriptor(part string, fd int) int {
	n, err := strconv.ParseUint(part, 10, 31)
	if err != nil || !w.inOwnFd() {
		return -1
	}
	// The process's descriptors need not be the thread's (unshare(2)).
	var through, held unix.Stat_t
	name := strconv.Itoa(w.t.TID) + "/fd/" + part
	if status(fd, &through) != 0 || unix.Fstatat(w.r.proc, name, &held, 0) != nil {
		return -1
	}
	if through.Dev != held.Dev || through.Ino != held.Ino {
		return -1
	}
	return int(n)
}

// inOwnFd says whether the folder so far, which is in proc, is the fd of the
// task or its process.
func (w *walk) inOwnFd() bool {
	rest, ok := strings.CutSuffix(w.path, "/fd")
	if !ok {
		return false
	}
	number := last(rest)
	return number == w.r.Number(w.t.TID) || number == w.r.Number(w.t.PID)
}
