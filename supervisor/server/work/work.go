// Package work fills a job's working folder and takes out of it what is to be
// kept. It runs as the job's user, and what lies in the folder is the job's:
// names are followed below the folder only, and through no symbolic link.
package work

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

// Folder is a working folder.
type Folder struct {
	path string
	fd   int
	root *os.Root // the same: names in it lead nowhere else while they are exchanged for links
}

// Open opens the folder of that name.
func Open(name string) (*Folder, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	root, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Folder{name, fd, root}, nil
}

// Close closes it.
func (f *Folder) Close() error { return errors.Join(f.root.Close(), unix.Close(f.fd)) }

// Within says whether a path is a folder, or in it, by their names.
func Within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// CheckName says why a name cannot be a file's within a working folder.
func CheckName(name string) error {
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		return errors.New("not a file's name")
	case strings.HasPrefix(name, "/"):
		return errors.New("an absolute path, where one within the working folder is expected")
	case len(name) > 4000:
		return errors.New("too long for a path")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return errors.New("leads out of the working folder")
		case len(part) > 255:
			return errors.New("too long for a name")
		}
	}
	if path.Clean(name) == "." || strings.HasSuffix(name, "/") {
		return errors.New("names a folder, not a file")
	}
	return nil
}

// beneath opens a name within the folder (openat2(2)).
func (f *Folder) beneath(name string, flags uint64, mode uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Mode: mode, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(f.fd, name, &how)
		if err == unix.EINTR || err == unix.EAGAIN { // EAGAIN: a rename raced (openat2(2))
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

// Put makes files, with the folders that they lie in. A file that is there, in a
// copy, is replaced.
func (f *Folder) Put(files []client.File) error {
	for i := range files {
		if err := f.put(&files[i]); err != nil {
			return fmt.Errorf("put the file into the working folder: %w", err)
		}
	}
	return nil
}

func (f *Folder) put(file *client.File) error {
	if err := CheckName(file.Path); err != nil {
		return fmt.Errorf("%s: %w", file.Path, err)
	}
	name := path.Clean(file.Path)
	dir, err := f.folders(path.Dir(name))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	base := path.Base(name)
	if err := unix.Unlinkat(dir, base, 0); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "unlink", Path: file.Path, Err: err}
	}
	mode := uint32(0o666)
	if file.Executable {
		mode = 0o777
	}
	fd, err := unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return &os.PathError{Op: "create", Path: file.Path, Err: err}
	}
	out := os.NewFile(uintptr(fd), file.Path)
	_, err = out.Write(file.Bytes())
	return errors.Join(err, out.Close())
}

// folders opens a folder within the folder, and makes what of it is missing.
func (f *Folder) folders(name string) (int, error) {
	made := ""
	for part := range strings.SplitSeq(name, "/") {
		made = path.Join(made, part)
		parent, err := f.beneath(path.Dir(made), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return -1, err
		}
		if part != "." {
			err = unix.Mkdirat(parent, part, 0o777)
		}
		unix.Close(parent)
		if err != nil && err != unix.EEXIST {
			return -1, &os.PathError{Op: "mkdir", Path: made, Err: err}
		}
	}
	return f.beneath(name, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// Collect writes the regular files whose paths match one of the patterns to a
// tar, up to quota bytes and collectMost files in all. A file that is not kept has
// an entry of no bytes that says why (Missing); with the last one that there is
// room for, it ends. When ctx does, it ends too, with ctx's cause as the error and
// what it has until then.
func (f *Folder) Collect(ctx context.Context, w io.Writer, patterns []string, quota int64) error {
	out := tar.NewWriter(w)
	entries := 0
	err := fs.WalkDir(f.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return skipFolder(d)
		case d.IsDir() && name != "." && !leads(patterns, name):
			return fs.SkipDir
		case d.IsDir() || !matches(patterns, name):
			return nil
		}
		entries++
		if quota -= entryBytes + int64(len(name)); quota < 0 || entries > collectMost {
			if err := missing(out, header(name), "over the quota, as is all that comes after it"); err != nil {
				return err
			}
			return fs.SkipAll
		}
		return f.collect(out, name, &quota)
	})
	return errors.Join(err, out.Close())
}

// skipFolder leaves out what cannot be read: it is the job's own doing.
func skipFolder(d fs.DirEntry) error {
	if d != nil && d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

const (
	collectMost = 10000 // files
	entryBytes  = 1536  // that a file's entry takes beside its name and bytes
)

func header(name string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX}
}

const missingKey = "CALLGATE.missing" // of a PAX record: why a file was not kept

func (f *Folder) collect(out *tar.Writer, name string, quota *int64) error {
	h := header(name)
	fd, err := f.beneath(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return missing(out, h, err.Error())
	}
	in := os.NewFile(uintptr(fd), name)
	defer in.Close()
	st, err := in.Stat()
	switch {
	case err != nil:
		return missing(out, h, err.Error())
	case !st.Mode().IsRegular():
		return missing(out, h, "not a regular file")
	case st.Size() > *quota:
		return missing(out, h, fmt.Sprintf("over the quota: %d bytes, where %d are left", st.Size(), *quota))
	}
	*quota -= st.Size()
	h.Size = st.Size()
	if st.Mode()&0o111 != 0 {
		h.Mode = 0o755
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyN(out, in, h.Size)
	if err == io.EOF { // it shrank: the rest is zeros
		_, err = io.CopyN(out, zeros{}, h.Size-n)
	}
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func missing(out *tar.Writer, h *tar.Header, why string) error {
	h.PAXRecords = map[string]string{missingKey: why}
	return out.WriteHeader(h)
}

// Collected lists what Collect wrote, by path. find is called with each file;
// where it says true, bytes is what it holds, to be read before the next.
func Collected(tarred io.Reader, find func(c client.Collected, bytes io.Reader) (stop bool)) error {
	in := tar.NewReader(tarred)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the collected files: %w", err)
		}
		c := client.Collected{Path: h.Name, SizeBytes: h.Size, Executable: h.Mode&0o111 != 0, Missing: h.PAXRecords[missingKey]}
		if find(c, in) {
			return nil
		}
	}
}
