package supervisor

import (
	"encoding/binary"
	"io"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// An open is made as openat2(2) with a name in pinned memory, and with the order
// to the kernel to refuse symbolic links. So most names need not be followed
// here at all: if the rules permit the name as its text reads, the kernel either
// opens just that or says ELOOP, having opened nothing; then the name is
// followed, and the call made again with where it led.

// What open(2) takes of its flags and mode, and ignores the rest of
// (build_open_how in fs/open.c); openat2 refuses what it does not know.
const (
	openValid = 0o37777703
	openPath  = 0o10000000
	openMakes = 0o100 | 0o20000000 // O_CREAT, __O_TMPFILE
	modeValid = 0o7777
	// RESOLVE_CACHED of linux/openat2.h: nothing is to be waited for.
	resolveCached = 0x20
)

// readOpen finds what an open is for.
func (s *sandbox) readOpen(t *task, entry *abi.Syscall, j *judged) bool {
	n := &s.naming
	switch entry.Canonical {
	case "creat":
		n.flags, n.mode = unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, argument(entry, "mode", j)
	case "openat2":
		return s.readHow(t, entry, j)
	default:
		n.flags, n.mode = argument(entry, "flags", j), argument(entry, "mode", j)
	}
	if n.flags &= openValid; n.flags&openPath != 0 {
		n.flags &= openPath | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	}
	if n.mode &= modeValid; n.flags&openMakes == 0 {
		n.mode = 0
	}
	return true
}

func argument(entry *abi.Syscall, name string, j *judged) uint64 {
	p, ok := entry.Param(name)
	if !ok {
		return 0
	}
	return p.Value(&j.direct.Args)
}

// howMost is the largest struct open_how that the kernel takes: a page.
const howMost = 4096

// readHow copies openat2's struct. One that the kernel refuses is left to it.
func (s *sandbox) readHow(t *task, entry *abi.Syscall, j *judged) bool {
	size := argument(entry, "size", j)
	switch {
	case size < unix.SizeofOpenHow:
		j.answer = unix.EINVAL
		return false
	case size > howMost:
		j.answer = unix.E2BIG
		return false
	}
	how := make([]byte, size)
	at, n := argument(entry, "how", j), 0
	for n < len(how) {
		m, err := s.kernel.Memory(t.tid).ReadAt(how[n:], int64(at)+int64(n))
		if n += m; err != nil && err != io.EOF {
			j.unnamed(err)
			return false
		}
	}
	s.naming.how = how
	s.naming.flags = binary.NativeEndian.Uint64(how)
	return true
}

// resolveOf is what openat2 was told of how to follow.
func (n *naming) resolveOf() uint64 {
	if n.how == nil {
		return 0
	}
	return binary.NativeEndian.Uint64(n.how[16:])
}

// judgeOpen decides for the name of an open.
func (s *sandbox) judgeOpen(t *task, n *named, j *judged) {
	flags := s.naming.flags
	if s.naming.scoped() {
		s.judgeScoped(t, n, j)
		return
	}
	makes := flags&unix.O_CREAT != 0 && policy.OpenAccess(flags, true) == policy.Read
	if pinning && !t.walks && !makes && j.findings == nil && !t.process.filtered && s.judgeText(t, n, j) {
		return
	}
	t.walks = false
	if flags&unix.O_CREAT != 0 && strings.HasSuffix(n.name, "/") && s.asksFolder(t, j, func() (resolve.Result, error) {
		return s.resolver.Entry(s.viewOf(t), n.dir, n.name)
	}) {
		return
	}
	if !s.walk(t, n, s.naming.follows(), j) {
		return
	}
	if s.naming.resolveOf()&unix.RESOLVE_NO_SYMLINKS != 0 && s.leadsAway(t, n) {
		j.answer = unix.ELOOP
		return
	}
	s.judgeFound(t, n, policy.OpenAccess(flags, n.found.Exists), j)
}

// follows says whether an open follows a link at the name's end.
func (n *naming) follows() bool {
	return n.flags&unix.O_NOFOLLOW == 0 && n.flags&(unix.O_CREAT|unix.O_EXCL) != unix.O_CREAT|unix.O_EXCL
}

// scoped says whether an openat2 is to follow its name in another way than opens
// do.
func (n *naming) scoped() bool { return n.resolveOf()&resolve.Scopes != 0 }

// judgeScoped decides for the name of such an open. Where it leads is found out once
// for all: what is made in its place opens that, from the root, without links.
func (s *sandbox) judgeScoped(t *task, n *named, j *judged) {
	asked := s.naming.resolveOf()
	if asked&unix.RESOLVE_IN_ROOT != 0 && n.name != "" { // the root is what relative names begin at
		if n.name = strings.TrimLeft(n.name, "/"); n.name == "" {
			n.name = "."
		}
	}
	look := func(name string, follow bool) (resolve.Result, error) {
		return s.resolver.Scoped(s.viewOf(t), n.dir, name, follow, asked&^resolveCached)
	}
	if s.naming.flags&unix.O_CREAT != 0 && strings.HasSuffix(n.name, "/") && s.asksFolder(t, j, func() (resolve.Result, error) {
		return look(strings.TrimRight(n.name, "/"), false)
	}) {
		return
	}
	found, err := look(n.name, s.naming.follows())
	if err != nil {
		j.answer = errnoOf(err)
		s.hide(t, n, j)
		return
	}
	n.walked, n.found = true, found
	binary.NativeEndian.PutUint64(s.naming.how[16:], asked&^resolve.Scopes|unix.RESOLVE_NO_SYMLINKS)
	s.judgeFound(t, n, policy.OpenAccess(s.naming.flags, found.Exists), j)
}

// leadsAway says whether a name that was followed leads to another place than its
// text: then there are links in it.
func (s *sandbox) leadsAway(t *task, n *named) bool {
	if n.name[0] != '/' && !s.findBase(t, n) {
		return true
	}
	text, _, _ := resolve.Lexical(n.base, n.name)
	return text != n.found.Path
}

// asksFolder says whether a name that ends in a slash, and whose last component is
// entry, is of what an open cannot make: then the kernel does not look at what is
// there (open_last_lookups in fs/namei.c).
func (s *sandbox) asksFolder(t *task, j *judged, entry func() (resolve.Result, error)) bool {
	found, err := entry()
	if err != nil || found.Dots {
		return false
	}
	if v := s.plan.Sections().File(own(t, found.Path), policy.Look); !v.Action.Permits() {
		j.take(v, found.Path, "look")
		return true
	}
	j.answer = unix.EISDIR
	return true
}

// judgeText decides by the name as it reads; false if that does not permit it, or
// is known to be another than where the name leads.
func (s *sandbox) judgeText(t *task, n *named, j *judged) bool {
	if n.name == "" || s.chrooted {
		return false
	}
	if !strings.HasPrefix(n.name, "/") && !s.findBase(t, n) {
		return false
	}
	path, _, ok := resolve.Lexical(n.base, n.name)
	if !ok || s.linked[folder(path)] {
		return false
	}
	v := s.plan.Sections().File(own(t, path), policy.OpenAccess(s.naming.flags, true))
	if v.Action >= policy.Ask { // a question is about where the name leads
		return false
	}
	n.path = path
	j.take(v, path, needOf(policy.OpenAccess(s.naming.flags, true)))
	return true
}

// findBase asks where a relative name begins.
func (s *sandbox) findBase(t *task, n *named) bool {
	base, err := s.resolver.Base(s.viewOf(t), n.dir)
	n.base = base
	return err == nil
}

// linkedMost bounds linked.
const linkedMost = 4096

// learn remembers a folder in whose path, or in which, there are links: names in
// it are followed at once. It is a hint, nothing rests on it.
func (s *sandbox) learn(path string) {
	if len(s.linked) >= linkedMost {
		clear(s.linked)
	}
	s.linked[folder(path)] = true
}

// hasDots says whether a component is "..": a folder that is moved meanwhile
// could change what that means.
func hasDots(name string) bool {
	return name == ".." || strings.HasPrefix(name, "../") || strings.HasSuffix(name, "/..") || strings.Contains(name, "/../")
}

// planReopen is for an open, by way of /proc/self/fd or /dev/stdin, of what has
// no name: a pipe, a deleted file. Where no other thread can exchange the
// descriptor, and /proc is what it seems, it is opened as it stands; else it is duplicated, if that gives no
// more than what it has already.
func (s *sandbox) planReopen(t *task, n *named, j *judged) {
	fd, arch := n.found.Descriptor, j.direct.Arch
	switch {
	case fd < 0:
		j.deny(unix.EACCES, "it leads to what has no name any more: "+n.found.Object)
	case !t.process.shares() && !s.chrooted:
		j.direct = callOf(arch, "openat", uint64(uint32(unix.AT_FDCWD&0xffffffff)), 0, s.naming.flags, s.naming.mode)
		j.pinName(1, "/proc/self/fd/"+strconv.Itoa(fd))
	case !within(s.naming.flags, descriptorFlags(t.tid, fd)):
		j.deny(unix.EACCES, "another thread could exchange the descriptor that it opens anew")
	default:
		cmd := uint64(unix.F_DUPFD)
		if s.naming.flags&unix.O_CLOEXEC != 0 {
			cmd = unix.F_DUPFD_CLOEXEC
		}
		j.direct, j.rewrite = callOf(arch, "fcntl", uint64(fd), cmd, 0), true
	}
}

// within says whether an open with flags asks for no more than a descriptor with
// the flags had has.
func within(flags, had uint64) bool {
	return had&openPath == 0 && (had&3 == unix.O_RDWR || had&3 == flags&3) && flags&(unix.O_TRUNC|unix.O_CREAT) == 0
}
