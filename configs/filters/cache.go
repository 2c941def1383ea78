package filters

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"callgate/policy"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// Cache is a folder of filters that were compiled before. As those that come with callgate
// they are proven at each start: who can write there can make a start compile again, and no
// more. So it has no lock, and where it fails nobody is told. No link there is followed, nor
// one in the folder's place: what is removed is the folder's own.
type Cache struct {
	dir     string // "" for none
	version string
}

// mostKept is how many filters a cache keeps.
const mostKept = 256

// UserCache is the user's own: callgate in $XDG_CACHE_HOME or ~/.cache, if that is there and
// is of the user that this process acts for. version is the program's, whose filters no
// other takes.
func UserCache(version string) *Cache {
	base, err := os.UserCacheDir()
	if err != nil {
		return &Cache{}
	}
	for _, stat := range []func(string) (fs.FileInfo, error){os.Lstat, os.Stat} { // a link too
		st, err := stat(base)
		if err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			return &Cache{}
		}
	}
	return &Cache{dir: filepath.Join(base, "callgate"), version: version}
}

// Compile is compile.Compile with filters of before where there are some: one that comes
// with callgate, or else the cache's, which keeps what was compiled.
func (c *Cache) Compile(set policy.Set, opts compile.Options) (*compile.Plan, error) {
	if opts.Ready = For(set, &opts); opts.Ready != nil || c.dir == "" {
		return compile.Compile(set, opts)
	}
	file := c.name(set, &opts)
	opts.Ready = c.read(file)
	plan, err := compile.Compile(set, opts)
	if err == nil && !plan.Took(opts.Ready) && plan.Reusable() {
		_ = c.keep(file, compile.AppendPrograms(nil, plan.Filters))
	}
	return plan, err
}

// name is that of the file for what a plan's filters hang on.
func (c *Cache) name(set policy.Set, opts *compile.Options) string {
	h := sha256.New()
	fmt.Fprintln(h, c.version, runtime.GOARCH, opts.Report, opts.Births, opts.Holders)
	for _, p := range set {
		fmt.Fprintln(h, p.Open, p.Default, p.Errno, p.Kernel, p.Compat, len(p.Rules))
		for _, r := range p.Rules {
			fmt.Fprintln(h, r.Text(), r.Errno, r.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]) + ".bpf"
}

// mostRead is more than the kernel takes of one sandbox's filters (MAX_INSNS_PER_PATH in
// kernel/seccomp.c), in bytes.
const mostRead = 1 << 18

// read reads a filter, nil if there is none. A file that is no regular one is not waited for.
func (c *Cache) read(file string) []compile.Program {
	dir, err := c.open()
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > mostRead {
		return nil
	}
	data := make([]byte, st.Size)
	if n, err := unix.Pread(fd, data, 0); err != nil || n < len(data) {
		return nil
	}
	programs, err := compile.ReadPrograms(data)
	if err != nil {
		return nil
	}
	return programs
}

// open opens the cache's folder.
func (c *Cache) open() (fd int, err error) {
	return unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// keep puts a filter in the cache, where the oldest ones make room for it.
func (c *Cache) keep(file string, data []byte) error {
	if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fd, err := c.open()
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), c.dir)
	defer dir.Close()
	if err := put(fd, file, data); err != nil {
		return err
	}
	return makeRoom(dir)
}

// put puts a file in a folder, whole.
func put(dir int, file string, data []byte) error {
	name := "new-" + rand.Text()
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = unix.Renameat(dir, name, dir, file)
	}
	if err != nil {
		return errors.Join(err, unix.Unlinkat(dir, name, 0))
	}
	return nil
}

// mostSeen is how many files are looked at to make room: there may be any number.
const mostSeen = 4 * mostKept

func makeRoom(dir *os.File) error {
	names, err := dir.Readdirnames(mostSeen)
	if err != nil || len(names) <= mostKept {
		return err
	}
	fd := int(dir.Fd())
	changed := map[string]int64{}
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil { // else another process has removed it
			changed[name] = st.Mtim.Nano()
		}
	}
	kept := slices.SortedFunc(maps.Keys(changed), func(a, b string) int { return cmp.Compare(changed[b], changed[a]) })
	for _, old := range kept[min(mostKept, len(kept)):] {
		err = errors.Join(err, unix.Unlinkat(fd, old, 0))
	}
	return err
}
