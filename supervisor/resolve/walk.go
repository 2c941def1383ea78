package resolve

import (
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// linksMost is MAXSYMLINKS of linux/namei.h.
	linksMost = 40
	// tries is how often a name is walked while renames make the answer wrong.
	tries = 4
)

// errMoved says that what was walked is not where its path leads: something was
// renamed meanwhile.
const errMoved = unix.ESTALE

// walk is one walk of a name (struct nameidata in fs/namei.c).
type walk struct {
	r    *Resolver
	t    Task
	mode mode
	name string // as the task has it

	fd          int       // the folder so far, -1 if nothing needed it yet: see at
	path        string    // its path, "" where it has none
	object, was string    // what it is then
	searched    bool      // it can be searched
	hidden      bool      // as in Result
	rest        string    // what is left of the name
	slash       bool      // the name, or a link that was followed in its end, ends in one
	links       int       // that were followed
	root        *rootInfo // of the task, once it was asked for
	descriptor  int       // as in Result
}

// rootInfo is a task's root folder.
type rootInfo struct {
	id   identity
	path string
}

// walk resolves what quick could not; it begins where that got to.
func (r *Resolver) walk(t Task, dirfd int, name string, m mode, from tail) (res Result, err error) {
	for range tries {
		if res, err = r.walkOnce(t, dirfd, name, m, from); err != errMoved {
			return res, err
		}
		from = tail{}
	}
	return Result{}, unix.ENOENT
}

func (r *Resolver) walkOnce(t Task, dirfd int, name string, m mode, from tail) (Result, error) {
	w := walk{r: r, t: t, mode: m, name: name, rest: name, fd: -1, descriptor: -1, slash: strings.HasSuffix(name, "/")}
	defer w.close()
	if err := w.begin(dirfd, from); err != nil {
		return Result{}, err
	}
	return w.run()
}

func (w *walk) close() {
	if w.fd >= 0 {
		shut(w.fd)
	}
	w.fd = -1
}

// begin is path_init of fs/namei.c.
func (w *walk) begin(dirfd int, from tail) error {
	switch {
	case from.folder != "":
		w.resume(from)
		return nil
	case w.rest[0] == '/':
		return w.toRoot()
	}
	fd, err := w.r.openBase(w.t, dirfd)
	if err != nil {
		return err
	}
	return w.jump(fd)
}

// resume goes on at a link that a quick look found.
func (w *walk) resume(from tail) {
	w.enter(-1, from.folder)
	w.rest = from.link + from.rest
}

// at is the folder so far.
func (w *walk) at() (int, error) {
	if w.fd >= 0 {
		return w.fd, nil
	}
	fd, err := w.r.openPath(w.path)
	if err != nil {
		return -1, moved(err)
	}
	w.fd = fd
	return fd, nil
}

// open opens a component of the folder so far.
func (w *walk) open(part string) (int, error) {
	if w.fd < 0 && w.path != "/" { // its path leads to all that is in it
		fd, err := w.r.openPath(join(w.path, part))
		return fd, moved(err)
	}
	at, err := w.at()
	if err != nil {
		return -1, err
	}
	return openAt(at, part, pathOnly|unix.O_NOFOLLOW)
}

// moved is for what a path leads to no more.
func moved(err error) error {
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return errMoved
	}
	return err
}

// jump goes on at fd, which is w's from now on.
func (w *walk) jump(fd int) error {
	p, err := w.r.place(fd)
	if err == nil && !isFolder(&p.st) {
		err = unix.ENOTDIR
	}
	if err != nil {
		shut(fd)
		return err
	}
	w.goTo(fd, &p)
	return nil
}

func (w *walk) goTo(fd int, p *place) {
	w.enter(fd, p.path)
	w.object, w.was, w.hidden = p.object, p.was, p.hidden
}

func (w *walk) enter(fd int, path string) {
	w.close()
	w.fd, w.path, w.searched = fd, path, false
	w.object, w.was = "", ""
}

func (w *walk) toRoot() error {
	if !w.t.Chrooted {
		w.enter(-1, "/")
		w.hidden = false
		return nil
	}
	fd, err := w.openRoot()
	if err != nil {
		return err
	}
	return w.jump(fd)
}

// run is link_path_walk and what comes after it, in one loop.
func (w *walk) run() (Result, error) {
	for {
		part, after := component(w.rest)
		w.rest = after
		var res Result
		var done bool
		var err error
		switch part {
		case "":
			return w.folder()
		case ".":
			err = w.search()
		case "..":
			err = w.up()
		default:
			res, done, err = w.step(part)
		}
		if done || err != nil {
			return res, err
		}
	}
}

// search asks for the permission that any component needs (may_lookup).
func (w *walk) search() error {
	if w.searched {
		return nil
	}
	fd, err := w.openFrom(".")
	if err != nil {
		return err
	}
	shut(fd)
	w.searched = true
	return nil
}

// openFrom opens "." or "..".
func (w *walk) openFrom(dots string) (int, error) {
	at, err := w.at()
	if err != nil {
		return -1, err
	}
	return openAt(at, dots, pathOnly)
}

// up is "..": at the task's root it stays there (follow_dotdot). Where the task
// is outside of its root it goes on up.
func (w *walk) up() error {
	if w.t.Chrooted {
		switch at, err := w.atRoot(); {
		case err != nil:
			return err
		case at:
			return w.search()
		}
	}
	fd, err := w.openFrom("..")
	if err != nil {
		return err
	}
	if w.path == "" {
		return w.jump(fd)
	}
	w.enter(fd, parent(w.path))
	return nil
}

// step is one named component (walk_component).
func (w *walk) step(part string) (res Result, done bool, err error) {
	fd, err := w.open(part)
	switch {
	case err == unix.ENOENT && w.path != "" && onlySlashes(w.rest):
		res, err = w.missing(part)
		return res, true, err
	case err != nil:
		return res, true, err
	case w.path == "": // a place that no policy can name
		shut(fd)
		return res, true, unix.EACCES
	}
	var st unix.Stat_t
	if errno := status(fd, &st); errno != 0 {
		shut(fd)
		return res, true, errno
	}
	if isFolder(&st) {
		w.enter(fd, join(w.path, part))
		return res, false, nil
	}
	defer shut(fd)
	return w.stepOn(part, fd, &st)
}

// stepOn is for a component that is no folder. A name can end with it; a link
// leads on.
func (w *walk) stepOn(part string, fd int, st *unix.Stat_t) (res Result, done bool, err error) {
	isLast := onlySlashes(w.rest)
	ends := isLast && (w.rest == "" || w.mode == entry)
	switch {
	case isLink(st) && !(ends && w.mode != following):
		return w.link(fd, part, st, isLast)
	case !ends:
		return res, true, unix.ENOTDIR
	}
	res, err = w.end(join(w.path, part), fd, st)
	return res, true, err
}
