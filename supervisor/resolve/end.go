package resolve

import (
	"strings"

	"golang.org/x/sys/unix"
)

// status is the folder's so far.
func (w *walk) status() (st unix.Stat_t, err error) {
	at, err := w.at()
	if err != nil {
		return st, err
	}
	if errno := status(at, &st); errno != 0 {
		return st, errno
	}
	return st, nil
}

// missing is for a last component that is not there, in a folder that is.
func (w *walk) missing(part string) (Result, error) {
	st, err := w.status()
	if err != nil {
		return Result{}, err
	}
	if err := w.check(w.path, w.fd, &st); err != nil {
		return Result{}, err
	}
	return w.result(join(w.path, part))
}

// folder is for a name that ends at the folder that was reached.
func (w *walk) folder() (Result, error) {
	st, err := w.status()
	if err != nil {
		return Result{}, err
	}
	if w.path == "" {
		return w.placed(&place{object: w.object, was: w.was, st: st})
	}
	return w.end(w.path, w.fd, &st)
}

// end is for an object with its path.
func (w *walk) end(path string, fd int, st *unix.Stat_t) (Result, error) {
	if err := w.check(path, fd, st); err != nil {
		return Result{}, err
	}
	return w.placed(&place{path: path, hidden: w.hidden, st: *st})
}

// check makes sure that path leads to what was walked to.
func (w *walk) check(path string, fd int, st *unix.Stat_t) error {
	err := w.r.leads(path, st)
	if w.hidden = err == unix.EACCES; w.hidden {
		if text, _ := w.r.toldAll(fd, st); text == path {
			return nil
		}
		return errMoved
	}
	return moved(err)
}

// placed is the Result for an object.
func (w *walk) placed(p *place) (Result, error) {
	w.hidden = p.hidden
	res, err := w.result(p.path)
	res.Object, res.Was = p.object, p.was
	res.describe(&p.st)
	return res, err
}

func (w *walk) result(path string) (Result, error) {
	inside, err := w.inside(path)
	return Result{Path: path, Inside: inside, Hidden: w.hidden, Descriptor: w.descriptor,
		TrailingSlash: w.slash, Dots: endsInDots(w.name)}, err
}

// endsInDots says that the last component of name is "." or "..".
func endsInDots(name string) bool {
	name = strings.TrimRight(name, "/")
	return dotted(name[strings.LastIndexByte(name, '/')+1:])
}
