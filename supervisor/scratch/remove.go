package scratch

import (
	"errors"
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

// empty removes all that is in an open folder.
func empty(fd int) error {
	e := emptying{top: fd}
	for {
		list, err := entries(fd)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, entry := range list {
			if err := e.entry(entry); err != nil {
				return err
			}
		}
	}
}

// emptying is a folder whose content is being removed.
type emptying struct {
	top     int
	brought int // folders that were brought up
}

// entry removes what is in the top folder by some name.
func (e *emptying) entry(name string) error {
	gone, err := unlink(e.top, name)
	if gone || err != nil {
		return err
	}
	dir, err := enter(e.top, name)
	if err != nil {
		return named("open", name, err)
	}
	defer unix.Close(dir)
	list, err := entries(dir)
	if err != nil {
		return err
	}
	for _, below := range list {
		if err := e.bring(dir, below); err != nil {
			return err
		}
	}
	return named("rmdir", name, unix.Unlinkat(e.top, name, unix.AT_REMOVEDIR))
}

// bring removes an entry of a folder, or brings it up where it is a folder with
// something in it.
func (e *emptying) bring(dir int, name string) error {
	gone, err := unlink(dir, name)
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
		if !errors.Is(err, unix.EEXIST) {
			return named("rename", name, err)
		}
	}
}

// unlink removes a file or an empty folder; what is left, and no error, is a
// folder with something in it.
func unlink(dir int, name string) (gone bool, err error) {
	err = unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) { // POSIX has EPERM for folders
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
			return false, nil
		}
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

// entries are the names in an open folder.
func entries(fd int) ([]string, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(again), "")
	defer dir.Close()
	list, err := dir.Readdirnames(-1)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // the command removed the folder
	}
	return list, err
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
