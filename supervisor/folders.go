package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

// folders are those of the sandbox's own, which limits on disk and inodes are about. They
// are held open, so that they stay what they are wherever they are moved.
type folders struct {
	fds  []int
	look sync.Mutex // held while somebody looks
	last unlinked   // what the last look found
	gone atomic.Bool
}

// holding is what folders have on the disk.
type holding struct{ bytes, files int64 }

func (f *folders) open(paths []string) error {
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		f.fds = append(f.fds, fd)
	}
	if len(f.fds) == 0 {
		return errors.New("there is a limit on disk or inodes, and the command has no folder of its own that it could hold for: environment: {private-tmp: true} gives it one, or run --private-tmp")
	}
	return nil
}

func (f *folders) close() {
	f.gone.Store(true)
	f.look.Lock()
	defer f.look.Unlock()
	for _, fd := range f.fds {
		unix.Close(fd)
	}
	f.fds = nil
}

// Times between two looks, and how fast a folder may grow: there is a look when it
// could be full at the earliest. Looking takes no more than a tenth of the time.
const (
	diskLook = 25 * time.Millisecond
	diskRest = time.Second
	diskRate = 2 << 30 // bytes a second
	fileRate = 200_000 // files a second
	lookPart = 10
)

// folderDue is the earliest time at which a limit can be reached.
func (b *bounds) folderDue(used holding) time.Duration {
	due := diskRest
	for _, l := range []struct{ most, used, rate int64 }{
		{b.limits[policy.Disk].Most, used.bytes, diskRate}, {b.limits[policy.Inodes].Most, used.files, fileRate}} {
		if l.most > 0 {
			due = min(due, time.Duration(float64(l.most-l.used)/float64(l.rate)*float64(time.Second)))
		}
	}
	return max(due, diskLook)
}

// lookFolders ends a sandbox whose folders hold too much, or cannot be looked at.
func (b *bounds) lookFolders() {
	b.mu.Lock()
	pids := make([]int, 0, len(b.usage.live))
	for pid := range b.usage.live {
		pids = append(pids, pid)
	}
	b.mu.Unlock()
	began := time.Now()
	used, err := b.folders.measure(pids)
	disk, inodes := b.limits[policy.Disk].Most, b.limits[policy.Inodes].Most
	switch {
	case errors.Is(err, errAway):
	case disk > 0 && (used.bytes > disk || err != nil):
		b.reach(policy.Disk, max(used.bytes, disk))
	case inodes > 0 && (used.files > inodes || err != nil):
		b.reach(policy.Inodes, max(used.files, inodes))
	default:
		b.mu.Lock()
		b.after(folderAlarm, max(b.folderDue(used), lookPart*time.Since(began)), b.lookFolders)
		b.mu.Unlock()
	}
}

var (
	errAway = errors.New("the sandbox is gone")
	errDeep = fmt.Errorf("more than %d folders in one another", folderDepth)
)

// folderDepth is how many folders may be in one another: each takes a descriptor.
const folderDepth = 1000

// measure says what is in the folders, and what is in no folder any more, on the
// same disk, but still open in one of the processes.
func (f *folders) measure(pids []int) (holding, error) {
	f.look.Lock()
	defer f.look.Unlock()
	w := &folderWalk{seen: map[file]bool{}, disks: map[uint64]bool{}, gone: &f.gone, nameless: unlinked{}}
	for _, fd := range f.fds {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return w.sum, err
		}
		w.disks[st.Dev] = true
		if err := w.folder(fd, st.Dev, 0); err != nil {
			return w.sum, err
		}
	}
	w.hidden(pids, f.last)
	f.last = w.nameless
	return w.sum, nil
}

type file struct{ dev, ino uint64 }

// folderWalk is one look.
type folderWalk struct {
	sum   holding
	seen  map[file]bool // files with several names, or open several times
	disks map[uint64]bool
	gone  *atomic.Bool

	nameless unlinked
}

func (w *folderWalk) add(st *unix.Stat_t) {
	if st.Nlink != 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if w.seen[file{st.Dev, st.Ino}] {
			return
		}
		w.seen[file{st.Dev, st.Ino}] = true
	}
	w.sum.bytes += st.Blocks * 512 // inode(7)
	w.sum.files++
}

// folder adds what is in a folder. What is removed meanwhile is nothing.
func (w *folderWalk) folder(fd int, dev uint64, depth int) error {
	if depth > folderDepth {
		return errDeep
	}
	cover, err := uncover(fd)
	if err != nil {
		return nil // its owner is not the sandbox's user
	}
	defer func() { cover() }()
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ignored(err)
	}
	dir := os.NewFile(uintptr(again), "")
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			err := w.entry(again, name, dev, depth)
			if errors.Is(err, unix.EACCES) { // closed again meanwhile; who does that all the time is over the limit
				if cover, err = uncover(fd); err == nil {
					err = w.entry(again, name, dev, depth)
				}
			}
			if err != nil {
				return err
			}
		}
		if err != nil {
			return ignored(err)
		}
	}
}

// uncover opens a folder that its owner has closed, for as long as it is looked through:
// the sandbox could hide in it what it has.
func uncover(fd int) (cover func(), err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&0o500 == 0o500 {
		return func() {}, err
	}
	self, was := "/proc/self/fd/"+strconv.Itoa(fd), st.Mode&0o7777
	if err := unix.Chmod(self, was|0o500); err != nil {
		return func() {}, err
	}
	return func() {
		if unix.Fstat(fd, &st) == nil && st.Mode&0o7777 == was|0o500 { // nobody has said otherwise meanwhile
			_ = unix.Chmod(self, was)
		}
	}, nil
}

func ignored(err error) error {
	if err == io.EOF || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func (w *folderWalk) entry(dir int, name string, dev uint64, depth int) error {
	if w.gone.Load() {
		return errAway
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Dev != dev {
		return ignored(err)
	}
	w.add(&st)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	fd, err := openFolder(dir, name)
	if err != nil {
		return ignored(err)
	}
	defer unix.Close(fd)
	return w.folder(fd, dev, depth+1)
}

// openFolder opens a folder in a folder, as a place (O_PATH).
func openFolder(dir int, name string) (int, error) {
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: resolve})
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
		return -1, unix.ENOENT // it is another by now
	}
	return fd, err
}
