package supervisor

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Find resolves a command's name as execvp(3) does: a name with a slash is
// taken as it is, any other is looked up in path (the value of PATH). Relative
// results are relative to dir, the command's working folder.
//
// Errors wrap fs.ErrNotExist where nothing of that name is there, and
// otherwise say why what is there cannot be executed.
func Find(name, path, dir string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(in(dir, name))
	}
	if name == "" {
		return "", &StartError{Op: "execve", Path: `""`, Err: unix.ENOENT}
	}
	var denied error
	for _, folder := range filepath.SplitList(path) {
		if folder == "" {
			folder = "."
		}
		file := folder + "/" + name
		err := executable(in(dir, file))
		if err == nil {
			return file, nil
		}
		if denied == nil && fileExists(in(dir, file)) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &StartError{Op: "execve", Path: name, Err: unix.ENOENT}
}

// fileExists says whether a file exists for all that its caller can see: a folder of
// PATH that may not be searched says nothing about the name.
func fileExists(file string) bool {
	var st unix.Stat_t
	return unix.Stat(file, &st) == nil
}

func in(dir, name string) string {
	if dir == "" || filepath.IsAbs(name) {
		return name
	}
	return dir + "/" + name
}

func executable(file string) error {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return &StartError{Op: "execve", Path: file, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return &StartError{Op: "execve", Path: file, Err: unix.EISDIR}
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return &StartError{Op: "execve", Path: file, Err: err}
	}
	return nil
}
