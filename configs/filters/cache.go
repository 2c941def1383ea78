package filters

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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
// more. So it has no lock, and where it fails nobody is told.
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
	st, err := os.Stat(base)
	if err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
		return &Cache{}
	}
	return &Cache{dir: filepath.Join(base, "callgate"), version: version}
}

// Compile is compile.Compile with filters of before where there are some: one that comes
// with callgate, or else the cache's, which keeps what was compiled.
func (c *Cache) Compile(set policy.Set, opts compile.Options) (*compile.Plan, error) {
	if opts.Ready = For(set, &opts); opts.Ready != nil || c.dir == "" {
		return compile.Compile(set, opts)
	}
	file := filepath.Join(c.dir, c.name(set, &opts))
	opts.Ready = read(file)
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
			fmt.Fprintln(h, r.Text, r.Errno, r.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]) + ".bpf"
}

// mostRead is more than the kernel takes of one sandbox's filters (MAX_INSNS_PER_PATH in
// kernel/seccomp.c), in bytes.
const mostRead = 1 << 18

// read reads a filter, nil if there is none. A file that is no regular one is not waited for.
func read(file string) []compile.Program {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
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

// keep puts a filter in the cache, where the oldest ones make room for it.
func (c *Cache) keep(file string, data []byte) error {
	if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return c.makeRoom()
}

func (c *Cache) makeRoom() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) <= mostKept {
		return err
	}
	var kept []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else another process has removed it
			kept = append(kept, info)
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, old := range kept[min(mostKept, len(kept)):] {
		err = errors.Join(err, os.Remove(filepath.Join(c.dir, old.Name())))
	}
	return err
}
