package resolve

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Scopes are the flags of openat2(2) by which a name may lead elsewhere than it
// would without them, or nowhere.
const Scopes = unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS

// Scoped resolves a name as openat2(2) does with RESOLVE_* flags that are or
// include some of Scopes. It is the kernel that is asked, so that the answer is its
// own; where the kernel would answer otherwise for the task than for the
// supervisor, the error is ENOSYS: for links of proc(5) that mean who asks, magic
// links that would be followed, and tasks of other users or roots.
func (r *Resolver) Scoped(t Task, dirfd int, name string, follow bool, flags uint64) (Result, error) {
	switch {
	case name == "":
		return Result{}, unix.ENOENT
	case len(name) >= pathMax:
		return Result{}, unix.ENAMETOOLONG
	case r.walkOnly, r.protected && (t.UID == nil || int(t.UID()) != os.Geteuid()):
		return Result{}, unix.ENOSYS
	}
	s := scoped{r: r, t: t, at: -1, flags: flags, asked: flags, name: name, follow: follow}
	if err := s.begin(dirfd); err != nil {
		return Result{}, err
	}
	defer shut(s.at)
	for range linksMost + 1 {
		res, done, err := s.look()
		switch {
		case err != nil:
			return Result{}, s.failed(err)
		case done:
			return res, nil
		}
	}
	return Result{}, unix.ELOOP
}

// scoped is one look at such a name.
type scoped struct {
	r      *Resolver
	t      Task
	at     int
	flags  uint64
	asked  uint64 // the flags without what begin adds
	name   string // what is left to look at: links at its end are replaced
	follow bool
}

// begin opens the folder that a name begins at. Absolute ones, and absolute links,
// begin at the task's root where nothing says otherwise.
func (s *scoped) begin(dirfd int) (err error) {
	switch {
	case s.flags&(unix.RESOLVE_BENEATH|unix.RESOLVE_IN_ROOT) != 0:
		s.at, err = s.r.openBase(s.t, dirfd)
	case s.t.Chrooted && !s.r.sameRoot(s.t):
		err = unix.ENOSYS
	case s.r.top != unix.AT_FDCWD:
		err = s.beginInside(dirfd)
	case s.name[0] == '/':
		s.at, err = s.r.openSlash()
	default:
		s.at, err = s.r.openBase(s.t, dirfd)
	}
	return err
}

// beginInside is for the root of another mount namespace, which the kernel takes for
// the root with RESOLVE_IN_ROOT only. So a relative name begins there too, with its
// folder's path. RESOLVE_NO_XDEV would not let it come to a folder in another mount;
// but from there neither do absolute links lead anywhere (nd_jump_root in fs/namei.c).
func (s *scoped) beginInside(dirfd int) (err error) {
	if s.name[0] != '/' {
		if away, err := s.mountedApart(dirfd); away || err != nil {
			return err
		}
		base, err := s.r.base(s.t, dirfd)
		switch {
		case err == unix.ENOENT, err == unix.EACCES, base.hidden:
			return unix.ENOSYS // it has no path
		case err != nil:
			return err
		}
		if s.name = join(base.path, s.name); len(s.name) >= pathMax {
			return unix.ENOSYS
		}
	}
	s.flags |= unix.RESOLVE_IN_ROOT
	s.at, err = s.r.openSlash()
	return err
}

// mountedApart says whether RESOLVE_NO_XDEV holds the name in another mount than the
// root's. Then it begins at its folder.
func (s *scoped) mountedApart(dirfd int) (bool, error) {
	if s.flags&unix.RESOLVE_NO_XDEV == 0 {
		return false, nil
	}
	fd, err := s.r.openBase(s.t, dirfd)
	if err != nil {
		return false, err
	}
	if s.r.inRoot(fd) {
		shut(fd)
		return false, nil
	}
	s.at = fd
	return true, nil
}

// sameRoot says whether t's root is that of names.
func (r *Resolver) sameRoot(t Task) bool {
	w := walk{r: r, t: t, fd: -1}
	root, err := w.taskRoot()
	if err != nil {
		return false
	}
	slash, err := r.openSlash()
	if err != nil {
		return false
	}
	defer shut(slash)
	top, err := identify(slash, "")
	return err == nil && top == root.id
}

// open is openat2(2). Magic links are never followed (nd_jump_link in fs/namei.c):
// those of the task's own folder in proc would be the supervisor's.
func (s *scoped) open(name string, flags uint64) (int, error) {
	const without = unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS
	how := unix.OpenHow{Flags: pathOnly | flags, Resolve: s.flags}
	if s.asked&without == 0 {
		how.Resolve |= unix.RESOLVE_NO_MAGICLINKS
	}
	for range tries {
		fd, err := unix.Openat2(s.at, name, &how)
		switch {
		case err == unix.EINTR, err == unix.EAGAIN: // a rename, while ".." was looked at
			continue
		case err == unix.ELOOP && how.Resolve != s.flags:
			return -1, unix.ENOSYS // perhaps only for what was added
		}
		return fd, err
	}
	return -1, unix.EAGAIN
}

// look asks for the name as it is now; done says that it leads to the Result.
func (s *scoped) look() (res Result, done bool, err error) {
	flags := uint64(0)
	if !s.follow {
		flags = unix.O_NOFOLLOW
	}
	fd, err := s.open(s.name, flags)
	switch {
	case err == unix.ENOENT:
		return s.missing()
	case err != nil:
		return res, true, err
	}
	defer shut(fd)
	res, err = s.result(fd, "")
	return res, true, err
}

// failed is the error for a name that leads nowhere: ENOSYS where that is so in the
// supervisor's own folder of proc, or perhaps because a proc of the sandbox's has none.
func (s *scoped) failed(err error) error {
	for name := s.name; ; {
		i := strings.LastIndexByte(strings.TrimRight(name, "/"), '/')
		if i < 0 {
			return err
		}
		name = name[:i+1]
		fd, wrong := s.open(name, unix.O_DIRECTORY)
		if wrong != nil {
			continue
		}
		defer shut(fd)
		if p, wrong := s.r.place(fd); wrong == nil && s.inProc(fd) && s.r.meansAsker(p.path) {
			return unix.ENOSYS
		}
		if s.r.inner && err == unix.ENOENT && s.isLink(name, s.name[i+1:]) {
			return unix.ENOSYS
		}
		return err
	}
}

// isLink says whether the first of the names behind a folder's is a link.
func (s *scoped) isLink(folder, rest string) bool {
	part, _ := component(rest)
	fd, err := s.open(folder+part, unix.O_NOFOLLOW)
	if err != nil {
		return false
	}
	defer shut(fd)
	var st unix.Stat_t
	return status(fd, &st) == 0 && isLink(&st)
}

// missing finds out what of the name is: a link at its end may lead on to what can
// be made, else the folder above says where.
func (s *scoped) missing() (res Result, done bool, err error) {
	folder, base := "", strings.TrimRight(s.name, "/")
	if i := strings.LastIndexByte(base, '/'); i >= 0 {
		folder, base = base[:i+1], base[i+1:]
	}
	if base == "" || dotted(base) {
		return res, true, unix.ENOENT
	}
	if fd, err := s.open(folder+base, unix.O_NOFOLLOW); err == nil {
		defer shut(fd)
		return res, false, s.replace(fd, folder)
	}
	above := folder
	if above == "" {
		above = "."
	}
	fd, err := s.open(above, unix.O_DIRECTORY)
	if err != nil {
		return res, true, err
	}
	defer shut(fd)
	res, err = s.result(fd, base)
	return res, true, err
}

// replace puts what a link says in its place.
func (s *scoped) replace(fd int, folder string) error {
	text := make([]byte, pathMax)
	n, err := unix.Readlinkat(fd, "", text)
	switch {
	case err != nil || n == 0 || n >= pathMax:
		return unix.ENOENT // it was replaced meanwhile
	case s.inProc(fd):
		return unix.ENOSYS
	}
	target, slash := string(text[:n]), strings.HasSuffix(s.name, "/")
	if s.name = target; target[0] != '/' {
		s.name = folder + target
	}
	if slash {
		s.name += "/"
	}
	return nil
}

// result is the Result for what fd holds, or for what is to be made in it.
func (s *scoped) result(fd int, missing string) (Result, error) {
	p, err := s.r.place(fd)
	if err != nil {
		return Result{}, err
	}
	if s.inProc(fd) && s.r.meansAsker(p.path) {
		return Result{}, unix.ENOSYS
	}
	w := walk{r: s.r, t: s.t, fd: -1, descriptor: -1, name: s.name, slash: strings.HasSuffix(s.name, "/")}
	switch {
	case missing == "":
		return w.placed(&p)
	case p.path == "":
		return Result{}, unix.ENOENT
	}
	w.hidden = p.hidden
	return w.result(join(p.path, missing))
}

func (s *scoped) inProc(fd int) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(fd, &fs) != nil || fs.Type == unix.PROC_SUPER_MAGIC
}

// meansAsker says whether a path in proc may have been reached by a link that leads
// whoever asks to what is its own.
func (r *Resolver) meansAsker(path string) bool {
	return path == "" || slices.Contains(strings.Split(path, "/"), strconv.Itoa(os.Getpid()))
}
