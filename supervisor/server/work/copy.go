package work

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// CopyFrom fills the folder with a copy of another: regular files, folders and
// symbolic links as they are; what else there is, is left out. Permissions are
// kept, and owners are whoever copies.
func (f *Folder) CopyFrom(folder string) error {
	from, err := Open(folder)
	if err != nil {
		return fmt.Errorf("copy the working folder: %w", err)
	}
	defer from.Close()
	var modes []mode
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch d.Type() {
		case fs.ModeDir:
			return f.copyFolder(d, name, &modes)
		case fs.ModeSymlink:
			return f.copyLink(folder, name)
		case 0:
			return f.copyFile(from, name)
		}
		return nil
	})
	for i := len(modes) - 1; i >= 0 && err == nil; i-- { // the deepest first: a folder may turn out to be read-only
		err = f.chmod(modes[i])
	}
	if err != nil {
		return fmt.Errorf("copy the working folder %s: %w", folder, err)
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

func (f *Folder) copyFolder(d fs.DirEntry, name string, modes *[]mode) error {
	if name == "." {
		return nil
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if info.Mode().Perm() != 0o700 {
		*modes = append(*modes, mode{name, info.Mode().Perm()})
	}
	return os.Mkdir(path.Join(f.path, name), 0o700)
}

func (f *Folder) copyLink(folder, name string) error {
	target, err := os.Readlink(path.Join(folder, name))
	if err != nil {
		return err
	}
	return os.Symlink(target, path.Join(f.path, name))
}

func (f *Folder) copyFile(from *Folder, name string) error {
	fd, err := from.beneath(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(fd), name)
	defer in.Close()
	st, err := in.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	fd, err = f.beneath(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(st.Mode().Perm()), out.Close())
}
