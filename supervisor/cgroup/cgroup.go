// Package cgroup gives a sandbox a memory cgroup of its own, version 2 or 1, where
// this user may make one (cgroups(7)).
//
// A group's folder is locked (flock(2)) while its sandbox lasts. A callgate that
// died left its group behind unlocked and, since nothing of a sandbox outlives its
// tracer, empty; the next one that makes a group there removes it, or Sweep.
//
// Who makes a group can go on to use it as a user who could not: its files are open
// by then, and the kernel asks who opened them (cgroup_procs_write_permission in
// kernel/cgroup/cgroup.c, cgroup1_procs_write in cgroup-v1.c; Linux 5.16 and its
// stable predecessors, commit 1756d7994ad8). Only the removing is then for others.
//
// # Limits
//
// Nothing of the host is changed: version 2 is used only where the memory
// controller is enabled already for the children of a folder above. A command whose
// policy lets it write to the cgroup file system, as a user who may, can leave its
// group: Holds is to be asked.
package cgroup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is a sandbox's.
type Group struct {
	kind kind
	path string
	fd   int // the folder, locked

	procs         *os.File   // cgroup.procs
	most          []*os.File // what Bound writes to
	events, peaks *os.File   // nil: the kernel has no such file
}

// kind is a version's files.
type kind struct {
	name                       string
	limit, swap, events, peaks string
}

var (
	version2 = kind{"cgroup v2", "memory.max", "memory.swap.max", "memory.events", "memory.peak"}
	version1 = kind{"cgroup v1", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control", "memory.max_usage_in_bytes"}
)

// ours says whether a folder has a name that New gives.
func ours(name string) bool {
	text, found := strings.CutPrefix(name, "callgate-")
	return found && len(text) == 16 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// New makes a group that may hold that many bytes of memory, and removes what dead
// runs have left beside it. The error says why this user can make none here.
func New(memory int64) (*Group, error) {
	parent, k, err := place()
	if err != nil {
		return nil, err
	}
	sweep(parent)
	g, err := claimNew(parent, k)
	if err != nil {
		return nil, err
	}
	if err = g.open(); err == nil {
		err = g.Bound(memory)
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	return g, nil
}

// Probe says which version a group would be of, or why there can be none.
func Probe() (string, error) {
	g, err := New(1 << 30)
	if err != nil {
		return "", err
	}
	return g.String() + ": " + filepath.Dir(g.path), g.Remove()
}

// String is "cgroup v2" or "cgroup v1".
func (g *Group) String() string { return g.kind.name }

func claimNew(parent string, k kind) (*Group, error) {
	for {
		path := filepath.Join(parent, "callgate-"+rand.Text()[:16])
		if err := os.Mkdir(path, 0o755); err != nil {
			return nil, err
		}
		// Until it is locked, another callgate may take it for a dead run's.
		fd, err := claim(path)
		if err == nil {
			return &Group{kind: k, path: path, fd: fd}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.ENOENT) {
			return nil, errors.Join(err, os.Remove(path))
		}
	}
}

// claim opens and locks a group's folder, if it is this user's.
func claim(path string) (fd int, err error) {
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var is, now unix.Stat_t
	err = unix.Fstat(fd, &is)
	if err == nil && int(is.Uid) != os.Geteuid() {
		err = unix.EPERM
	}
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil && (unix.Lstat(path, &now) != nil || now.Ino != is.Ino || now.Dev != is.Dev) {
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return fd, nil
}

// open opens the group's files. An out-of-memory kill of version 2 is to take all of the
// group, and nothing of it may be swapped out.
func (g *Group) open() (err error) {
	if g.procs, err = g.file("cgroup.procs"); err != nil {
		return err
	}
	limit, err := g.file(g.kind.limit)
	if err != nil {
		return err
	}
	g.most = append(g.most, limit)
	if g.events, err = os.Open(filepath.Join(g.path, g.kind.events)); whereThere(err) != nil {
		return err
	}
	if g.peaks, err = os.Open(filepath.Join(g.path, g.kind.peaks)); whereThere(err) != nil {
		return err
	}
	if g.kind == version1 {
		swap, err := g.file(g.kind.swap)
		if err == nil {
			g.most = append(g.most, swap)
		}
		return whereThere(err)
	}
	return errors.Join(g.set(g.kind.swap, "0"), g.set("memory.oom.group", "1"))
}

func (g *Group) file(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(g.path, name), os.O_WRONLY, 0)
}

// set writes to a file that not every kernel has.
func (g *Group) set(name, text string) error {
	f, err := g.file(name)
	if err != nil {
		return whereThere(err)
	}
	_, err = f.WriteString(text)
	return whereThere(errors.Join(err, f.Close()))
}

func whereThere(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

// Bound has the group hold so many bytes of memory at most, in version 1 with what is
// swapped out: as few as before, or fewer.
func (g *Group) Bound(memory int64) error {
	for _, f := range g.most {
		if _, err := f.WriteString(strconv.FormatInt(memory, 10)); err != nil {
			return err
		}
	}
	return nil
}

// Add moves a process into the group; what it starts is born there.
func (g *Group) Add(pid int) error {
	_, err := g.procs.WriteString(strconv.Itoa(pid))
	return err
}

// Holds says whether a process is in the group, or in one that was made in it; so is one
// that is gone. Where its first thread ends before the others, those are looked at.
func (g *Group) Holds(pid int) bool {
	process := "/proc/" + strconv.Itoa(pid)
	if g.holds(process) {
		return true
	}
	threads, err := os.ReadDir(process + "/task")
	return err != nil || !slices.ContainsFunc(threads, func(t os.DirEntry) bool {
		thread := process + "/task/" + t.Name()
		return !g.holds(thread) && !exiting(thread)
	})
}

// holds is the same of what has that folder in proc(5).
func (g *Group) holds(folder string) bool {
	text, err := os.ReadFile(folder + "/cgroup")
	if err != nil || len(text) == 0 {
		return true
	}
	name := "/" + filepath.Base(g.path)
	for line := range strings.Lines(string(text)) {
		if path := strings.TrimSpace(line); strings.HasSuffix(path, name) || strings.Contains(path, name+"/") {
			return true
		}
	}
	return false
}

// exiting says whether a thread ends, or has ended. From then on it is said to be
// in version 1's root group, though it is what it was (proc_cgroup_show in
// kernel/cgroup/cgroup.c looks at PF_EXITING, the same flag as proc(5)'s stat
// has).
func exiting(folder string) bool {
	const flag = 4 // PF_EXITING, of the ninth field
	text, err := os.ReadFile(folder + "/stat")
	i := bytes.LastIndex(text, []byte(") ")) // a name may hold anything
	if err != nil || i < 0 {
		return true
	}
	fields := bytes.Fields(text[i+2:])
	if len(fields) < 7 {
		return false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	return err == nil && flags&flag != 0
}

// Kills is how many processes were killed for want of memory in the group.
func (g *Group) Kills() int64 {
	for line := range strings.Lines(string(read(g.events))) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return number([]byte(n))
		}
	}
	return 0
}

// Peak is the most bytes that the group held at one time; 0 where the kernel does
// not say (memory.peak comes with Linux 5.19).
func (g *Group) Peak() int64 { return number(read(g.peaks)) }

// read is what one of the group's files says now; nothing where there is none.
func read(f *os.File) []byte {
	text := make([]byte, 4096)
	n, _ := f.ReadAt(text, 0) // io.EOF
	return text[:n]
}

func number(text []byte) int64 {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// close gives the group up, as the end of the process does.
func (g *Group) close() {
	for _, f := range append(g.most, g.procs, g.events, g.peaks) {
		_ = f.Close() // nil: it was never opened
	}
	unix.Close(g.fd)
}

// Remove removes the group. Precondition: all in it are dead.
func (g *Group) Remove() error {
	err := remove(g.path)
	g.close()
	if err != nil {
		return fmt.Errorf("remove the cgroup: %w", err)
	}
	return nil
}

// remove removes a group and those that the command made in it. The kernel may
// take a moment to let go of tasks that are dead (EBUSY).
func remove(path string) error {
	var err error
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if err = unix.Rmdir(path); err == nil || err == unix.ENOENT {
			return nil
		}
		inner, readErr := os.ReadDir(path)
		if readErr != nil {
			break
		}
		for _, e := range inner {
			if e.IsDir() {
				_ = remove(filepath.Join(path, e.Name()))
			}
		}
		if err = unix.Rmdir(path); err != unix.EBUSY {
			break
		}
		time.Sleep(wait)
	}
	if err == nil || err == unix.ENOENT {
		return nil
	}
	return &os.PathError{Op: "rmdir", Path: path, Err: err}
}

// Sweep removes the groups that dead runs have left where this process can make one.
func Sweep() {
	if parent, _, err := place(); err == nil {
		sweep(parent)
	}
}

// sweep removes what dead runs have left. What it cannot remove stays.
func sweep(parent string) {
	list, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range list {
		if !e.IsDir() || !ours(e.Name()) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if fd, err := claim(path); err == nil {
			_ = remove(path)
			unix.Close(fd)
		}
	}
}
