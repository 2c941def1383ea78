package resolve

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// openRoot opens the task's root folder.
func (w *walk) openRoot() (int, error) {
	if !w.t.Chrooted {
		return w.r.openSlash()
	}
	fd, err := openAt(w.r.proc, strconv.Itoa(w.t.TID)+"/root", pathOnly)
	if err == unix.ENOENT {
		err = unix.ESRCH
	}
	return fd, err
}

// taskRoot is asked for once a walk.
func (w *walk) taskRoot() (*rootInfo, error) {
	if w.root != nil {
		return w.root, nil
	}
	fd, err := w.openRoot()
	if err != nil {
		return nil, err
	}
	defer shut(fd)
	p, err := w.r.place(fd)
	if err != nil {
		return nil, err
	}
	id, err := identify(fd, "")
	if err != nil {
		return nil, err
	}
	w.root = &rootInfo{id, p.path}
	return w.root, nil
}

// atRoot says whether the folder so far is the task's root.
func (w *walk) atRoot() (bool, error) {
	root, err := w.taskRoot()
	if err != nil {
		return false, err
	}
	at, err := w.at()
	if err != nil {
		return false, err
	}
	id, err := identify(at, "")
	return id == root.id, err
}

// inside is path from the task's root on.
func (w *walk) inside(path string) (string, error) {
	if !w.t.Chrooted || path == "" {
		return path, nil
	}
	root, err := w.taskRoot()
	if err != nil || root.path == "" {
		return "", err
	}
	beneath, ok := strings.CutPrefix(path, strings.TrimSuffix(root.path, "/"))
	switch {
	case !ok:
		return "", nil
	case beneath == "":
		return "/", nil
	case beneath[0] != '/':
		return "", nil
	}
	return beneath, nil
}
