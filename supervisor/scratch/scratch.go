// Package scratch gives a run a temporary folder of its own, which goes when the
// run ends. A policy asks for it by `private-tmp: true`.
//
// The folder is locked (flock(2)) while its run lasts. A callgate that died left
// its folder behind unlocked; one that makes a folder there later removes it.
// What lies in a folder is the sandbox's work and may be hostile: removing
// follows no link, enters no mount, and takes neither depth nor missing
// permissions for an obstacle.
package scratch

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is one run's.
type Folder struct {
	Path string // absolute

	name string
	base int // where it lies
	fd   int // the folder itself, locked
}

// Folders that this package makes are called prefix and then so many letters and
// digits that nobody else comes upon.
const (
	prefix  = "callgate-"
	letters = 16 // of base32: A to Z, 2 to 7
)

// ours says whether this package makes folders of that name.
func ours(name string) bool {
	rest, is := strings.CutPrefix(name, prefix)
	return is && len(rest) == letters && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// New makes a folder that only its owner may enter, in base or, where that is
// "", in the system's temporary folder (os.TempDir). One in sweepEvery removes
// there what dead runs of the same user have left.
func New(base string) (*Folder, error) {
	f, err := newIn(base, mathrand.N(sweepEvery) == 0)
	if err != nil {
		return nil, fmt.Errorf("make a private temporary folder: %w", err)
	}
	return f, nil
}

// sweepEvery is how many folders are made for one look at all names beside them:
// where temporary folders are full, that look takes longer than all else here.
const sweepEvery = 16

func newIn(base string, sweeping bool) (*Folder, error) {
	if base == "" {
		base = os.TempDir()
	}
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, err
	}
	at, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base, Err: err}
	}
	if sweeping {
		sweep(at)
	}
	for {
		name := prefix + rand.Text()[:letters] // short: sockets in it have 108 bytes (unix(7))
		if err := unix.Mkdirat(at, name, 0o700); err != nil {
			unix.Close(at)
			return nil, &os.PathError{Op: "mkdir", Path: filepath.Join(base, name), Err: err}
		}
		// Until it is locked, another callgate may take it for a dead run's.
		if fd, err := claim(at, name); err == nil {
			return &Folder{filepath.Join(base, name), name, at, fd}, nil
		} else if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.ENOENT) {
			unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
			unix.Close(at)
			return nil, err
		}
	}
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
func sweep(base int) {
	list, err := entries(base)
	if err != nil {
		return
	}
	for _, name := range list {
		if !ours(name) {
			continue
		}
		if fd, err := claim(base, name); err == nil {
			_ = remove(base, name, fd)
			unix.Close(fd)
		}
	}
}
