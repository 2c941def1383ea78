package scratch

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// remove empties a folder and removes it from base, if it still has its name
// there. It needs three descriptors however deep the folder is: what is in a
// folder in it is brought up into it before that goes.
func remove(base int, name string, fd int) error {
	var is unix.Stat_t
	if err := unix.Fstat(fd, &is); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, 0o700); err != nil {
		return err
	}
	if still(base, name, &is) && unix.Unlinkat(base, name, unix.AT_REMOVEDIR) == nil {
		return nil // it was empty
	}
	if err := empty(fd); err != nil {
		return err
	}
	if !still(base, name, &is) {
		return nil // the command removed it, or put another in its place
	}
	return named("rmdir", name, unix.Unlinkat(base, name, unix.AT_REMOVEDIR))
}

// empty removes all that is in an open folder, but for what cannot be removed: what
// is mounted there, and what others put there. The error is the first of those.
func empty(fd int) error {
	for e := (emptying{top: fd}); ; {
		before := e.steps
		there, err := eachEntry(fd, e.entry)
		if !there || e.steps == before {
			return err
		}
	}
}

// emptying is a folder whose content is being removed.
type emptying struct {
	top     int
	brought int // folders that were brought up
	steps   int // all that was removed, or brought up
}

// entry removes what is in the top folder by some name.
func (e *emptying) entry(name string) error {
	gone, err := e.unlink(e.top, name)
	if gone || err != nil {
		return err
	}
	dir, err := enter(e.top, name)
	if err != nil {
		return named("open", name, err)
	}
	defer unix.Close(dir)
	if _, err := eachEntry(dir, func(below string) error { return e.bring(dir, below) }); err != nil {
		return err
	}
	err = unix.Unlinkat(e.top, name, unix.AT_REMOVEDIR)
	if err == nil {
		e.steps++
	}
	return named("rmdir", name, err)
}

// bring removes an entry of a folder, or brings it up where it is a folder with
// something in it.
func (e *emptying) bring(dir int, name string) error {
	gone, err := e.unlink(dir, name)
	if gone || err != nil {
		return err
	}
	// To be moved, a folder must be writable itself: its ".." changes.
	if fd, err := enter(dir, name); err == nil {
		unix.Close(fd)
	}
	for {
		e.brought++
		err := unix.Renameat2(dir, name, e.top, "callgate "+strconv.Itoa(e.brought), unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err == nil {
			e.steps++
		}
		return named("rename", name, err)
	}
}

// unlink removes a file or an empty folder; what is left, and no error, is a
// folder with something in it.
func (e *emptying) unlink(dir int, name string) (gone bool, err error) {
	err = unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) { // POSIX has EPERM for folders
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
			return false, nil
		}
	}
	if err == nil {
		e.steps++
	}
	return err == nil, named("remove", name, err)
}

// enter opens a folder that is in another, on the same mount, and makes sure
// that its owner may change it.
func enter(dir int, name string) (fd int, err error) {
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS
	path, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolve})
	if err != nil {
		return -1, err
	}
	defer unix.Close(path)
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(path), 0o700); err != nil {
		return -1, err
	}
	return unix.Openat(path, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// namesAtOnce bounds what is held of a folder's names, of which there may be any number.
const namesAtOnce = 512

// eachEntry has do called with the names in an open folder, and says whether there
// were any. The error is the first of do's, which does not keep it from the rest.
func eachEntry(fd int, do func(name string) error) (there bool, first error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	dir := os.NewFile(uintptr(again), "")
	defer dir.Close()
	for {
		list, err := dir.Readdirnames(namesAtOnce)
		for _, name := range list {
			there = true
			if err := do(name); err != nil && first == nil {
				first = err
			}
		}
		switch {
		case err == io.EOF, errors.Is(err, unix.ENOENT): // the command removed the folder
			return there, first
		case err != nil:
			return there, errors.Join(first, err)
		}
	}
}

func named(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

// Empty removes all that is in a folder, as that of a run's own is removed. Nobody
// but its owner may still use it.
func Empty(path string) error {
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return named("open", filepath.Dir(path), err)
	}
	defer unix.Close(parent)
	fd, err := enter(parent, filepath.Base(path))
	if err != nil {
		return named("open", path, err)
	}
	defer unix.Close(fd)
	return empty(fd)
}
