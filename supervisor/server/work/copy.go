package work

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// CopyFrom fills the folder with a copy of another: regular files, folders and
// symbolic links as they are; what else there is, is left out. Permissions are
// kept, and owners are whoever copies; holes stay holes. It ends with ctx, and where
// room says that there is none left, or with more than most.
func (f *Folder) CopyFrom(ctx context.Context, folder string, room func() bool, most Most) error {
	c := copier{ctx: ctx, room: room, left: most, to: f}
	if most.Bytes == 0 {
		c.left.Bytes = math.MaxInt64
	}
	if most.Files == 0 {
		c.left.Files = math.MaxInt64
	}
	if err := c.copy(folder); err != nil {
		return fmt.Errorf("copy the working folder %s: %w", folder, err)
	}
	return nil
}

// Most is what a copy may take. 0: there is no bound.
type Most struct {
	Bytes int64 // of files, their holes left out
	Files int64 // files and folders
}

// Errors of a copy that would take too much.
var (
	ErrDisk   = errors.New("the limit on disk was reached before the command began")
	ErrInodes = errors.New("the limit on inodes was reached before the command began")
)

// copier is one copying.
type copier struct {
	ctx      context.Context
	room     func() bool
	left     Most
	from, to *Folder
	modes    []mode
}

func (c *copier) copy(folder string) error {
	from, err := Open(folder)
	if err != nil {
		return err
	}
	defer from.Close()
	c.from = from
	err = fs.WalkDir(from.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = c.mayGoOn()
		}
		if c.left.Files--; err == nil && c.left.Files < 0 {
			err = ErrInodes
		}
		if err != nil {
			return err
		}
		switch d.Type() {
		case fs.ModeDir:
			return c.copyFolder(name)
		case fs.ModeSymlink:
			return c.copyLink(name)
		case 0:
			return c.copyFile(name)
		}
		return nil
	})
	for i := len(c.modes) - 1; i >= 0 && err == nil; i-- { // the deepest first: a folder may turn out to be read-only
		err = c.to.chmod(c.modes[i])
	}
	return err
}

func (c *copier) mayGoOn() error {
	if err := c.ctx.Err(); err != nil {
		return context.Cause(c.ctx)
	}
	if !c.room() {
		return errors.New("the disk has no room for it")
	}
	return nil
}

// mode is what a folder is to have once all is in it.
type mode struct {
	name string
	perm fs.FileMode
}

func (f *Folder) chmod(m mode) error {
	fd, err := f.beneath(m.name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fchmod(fd, uint32(m.perm))
}

func (c *copier) copyFolder(name string) error {
	if name == "." {
		return nil
	}
	info, err := c.from.root.Lstat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != 0o700 {
		c.modes = append(c.modes, mode{name, info.Mode().Perm()})
	}
	return os.Mkdir(path.Join(c.to.path, name), 0o700)
}

func (c *copier) copyLink(name string) error {
	target, err := c.from.root.Readlink(name)
	if err != nil {
		return err
	}
	return os.Symlink(target, path.Join(c.to.path, name))
}

func (c *copier) copyFile(name string) error {
	fd, err := c.from.beneath(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(fd), name)
	defer in.Close()
	st, err := in.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	fd, err = c.to.beneath(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	err = c.copyData(out, in, st.Size())
	return errors.Join(err, out.Chmod(st.Mode().Perm()), out.Close())
}

const copyPiece = 8 << 20 // bytes between two looks at the time and the room

// copyData copies what is not a hole (SEEK_DATA in lseek(2)), up to size.
func (c *copier) copyData(out, in *os.File, size int64) error {
	for at := int64(0); at < size; {
		begin, err := in.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole follows
		}
		if err != nil {
			return err
		}
		end, err := in.Seek(begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		for at = begin; at < min(end, size); at += copyPiece {
			if err := c.mayGoOn(); err != nil {
				return err
			}
			n := min(copyPiece, min(end, size)-at)
			if c.left.Bytes -= n; c.left.Bytes < 0 {
				return ErrDisk
			}
			if err := copyPart(out, in, at, n); err != nil {
				return err
			}
		}
		at = min(at, end)
	}
	return out.Truncate(size)
}

func copyPart(out, in *os.File, at, n int64) error {
	if _, err := out.Seek(at, io.SeekStart); err != nil {
		return err
	}
	if _, err := in.Seek(at, io.SeekStart); err != nil {
		return err
	}
	_, err := io.CopyN(out, in, n)
	if err == io.EOF {
		return nil // it shrank meanwhile
	}
	return err
}
