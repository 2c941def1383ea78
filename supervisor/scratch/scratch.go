// Package scratch gives a run a temporary folder of its own, which goes when the
// run ends. A policy asks for it by `private-tmp: true`.
//
// The folder is locked (flock(2)) while its run lasts. A callgate that died left
// its folder behind unlocked; the next one that makes a folder there removes it.
// What lies in a folder is the sandbox's work and may be hostile: removing
// follows no link, enters no mount, and takes neither depth nor missing
// permissions for an obstacle.
package scratch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is one run's.
type Folder struct {
	Path string // absolute

	name  string
	user  string // the name of base in above; "" where they are the same
	above int
	base  int // where it lies
	fd    int // the folder itself, locked
}

// Folders that this package makes are called prefix and then so many letters and
// digits that nobody else comes upon.
const (
	prefix  = "callgate-"
	letters = 16 // of base32: A to Z, 2 to 7
)

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// newName is what a folder is called. It need not be a secret: who guesses it can only
// have the folder not be made. crypto/rand would set up the runtime's poller.
func newName() string {
	name := []byte(prefix)
	for range letters {
		name = append(name, base32[rand.IntN(len(base32))])
	}
	return string(name)
}

// ours says whether this package makes folders of that name.
func ours(name string) bool {
	rest, is := strings.CutPrefix(name, prefix)
	return is && len(rest) == letters && strings.Trim(rest, base32) == ""
}

// New makes a folder that only its owner may enter, in a folder of this user's in base
// or, where that is "", in the system's temporary folder (os.TempDir), and removes
// what dead runs of the same user have left there.
func New(base string) (*Folder, error) {
	f, err := newIn(base)
	if err != nil {
		return nil, fmt.Errorf("make a private temporary folder: %w", err)
	}
	return f, nil
}

func newIn(base string) (*Folder, error) {
	if base == "" {
		base = os.TempDir()
	}
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	above, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base, Err: err}
	}
	var f *Folder
	for range triesMax {
		f, err = makeOne(base, above)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	if err != nil {
		unix.Close(above)
	}
	return f, err
}

// triesMax is how often other runs may be in the way. Folders in which nothing can be made, such as
// /proc and one that was removed, say ENOENT as well.
const triesMax = 1000

// makeOne makes a folder; it is to be tried again where another run was in the way:
// EWOULDBLOCK, ENOENT.
func makeOne(base string, above int) (*Folder, error) {
	user, at, made, err := usersOwn(base, above)
	if err != nil {
		return nil, err
	}
	if !made {
		_ = sweep(at)
	}
	f := &Folder{name: newName(), user: user, above: above, base: at}
	f.Path = filepath.Join(base, user, f.name)
	if err := unix.Mkdirat(at, f.name, 0o700); err != nil {
		unix.Close(at)
		return nil, &os.PathError{Op: "mkdir", Path: f.Path, Err: err}
	}
	// Until it is locked, another callgate may take it for a dead run's.
	if f.fd, err = claim(at, f.name); err != nil {
		unix.Unlinkat(at, f.name, unix.AT_REMOVEDIR)
		unix.Close(at)
		return nil, err
	}
	return f, nil
}

// usersOwn opens the folder that has this user's folders alone, and is there while it has
// any: to look through it costs what there is to sweep, however much others have
// in base. Where another user has taken its name it is base itself. made says that it was
// made here, and is empty.
func usersOwn(base string, above int) (name string, fd int, made bool, err error) {
	name = ofUser()
	err = unix.Mkdirat(above, name, 0o700)
	if made = err == nil; !made && err != unix.EEXIST {
		return "", -1, false, &os.PathError{Op: "mkdir", Path: filepath.Join(base, name), Err: err}
	}
	fd, err = unix.Openat(above, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		if usersAlone(fd) {
			return name, fd, made, nil
		}
		unix.Close(fd)
	}
	if err == unix.ENOENT {
		return "", -1, false, err // its last folder went meanwhile, and it with that
	}
	fd, err = unix.Openat(above, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return "", fd, false, err
}

// ofUser is what that folder is called.
func ofUser() string { return prefix + strconv.Itoa(os.Geteuid()) }

// usersAlone says whether an open folder is this user's, and closed to others.
func usersAlone(fd int) bool {
	var is unix.Stat_t
	err := unix.Fstat(fd, &is)
	return err == nil && int(is.Uid) == os.Geteuid() && is.Mode&0o077 == 0
}

// Environ is an environment in which programs find the folder: TMPDIR, and TMP
// and TEMP, which some look for first.
func (f *Folder) Environ(env []string) []string {
	out := make([]string, 0, len(env)+3)
	for _, line := range env {
		name, _, _ := strings.Cut(line, "=")
		if name != "TMPDIR" && name != "TMP" && name != "TEMP" {
			out = append(out, line)
		}
	}
	return append(out, "TMPDIR="+f.Path, "TMP="+f.Path, "TEMP="+f.Path)
}

// Remove removes the folder and all that is in it.
func (f *Folder) Remove() error {
	err := remove(f.base, f.name, f.fd)
	unix.Close(f.fd)
	unix.Close(f.base)
	if f.user != "" {
		_ = unix.Unlinkat(f.above, f.user, unix.AT_REMOVEDIR) // unless others are in it
	}
	unix.Close(f.above)
	if err != nil {
		return fmt.Errorf("remove the private temporary folder %s: %w", f.Path, err)
	}
	return nil
}

// claim opens and locks a folder of this user's. The error is EWOULDBLOCK where
// a run holds it and ENOENT where it is not the folder of that name any more.
func claim(base int, name string) (fd int, err error) {
	fd, err = unix.Openat(base, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	var is unix.Stat_t
	err = unix.Fstat(fd, &is)
	if err == nil && int(is.Uid) != os.Geteuid() {
		err = unix.EPERM
	}
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil && !still(base, name, &is) {
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return fd, nil
}

// still says whether a name stands for a file.
func still(base int, name string, file *unix.Stat_t) bool {
	var now unix.Stat_t
	err := unix.Fstatat(base, name, &now, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && now.Dev == file.Dev && now.Ino == file.Ino
}

// sweep removes what dead runs have left. What it cannot remove stays.
func sweep(base int) error {
	_, err := eachEntry(base, func(name string) error {
		if !ours(name) {
			return nil
		}
		fd, err := claim(base, name)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPERM): // it is in use, or gone, or another user's
			return nil
		case err != nil:
			return err
		}
		defer unix.Close(fd)
		return remove(base, name, fd)
	})
	return err
}

// Sweep removes what dead runs of this user have left in base.
func Sweep(base string) error {
	name := filepath.Join(base, ofUser())
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES: // there is none, or the name is another user's
		return nil
	default:
		return named("open", name, err)
	}
	defer unix.Close(fd)
	if !usersAlone(fd) {
		return nil
	}
	if err := sweep(fd); err != nil {
		return fmt.Errorf("remove the temporary folders of dead runs: %w", err)
	}
	_ = unix.Rmdir(name) // unless others are in it
	return nil
}
