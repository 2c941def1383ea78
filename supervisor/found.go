package supervisor

import (
	"errors"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// walk follows the name; false if that leads nowhere.
func (s *sandbox) walk(t *task, n *named, follow bool, j *judged) bool {
	found, err := s.lead(t, n, follow)
	if err != nil {
		j.answer = errnoOf(err)
		s.hide(t, n, j)
		return false
	}
	n.walked, n.found = true, found
	return true
}

// lead asks where a name leads. Calls that make or remove names never follow the
// last component, be there a slash behind it.
func (s *sandbox) lead(t *task, n *named, follow bool) (resolve.Result, error) {
	if v := n.use.Verb; v == policy.Makes || v == policy.Binds || v.Names() && v != policy.Shares {
		return s.resolver.Entry(s.viewOf(t), n.dir, n.name)
	}
	return s.resolver.Name(s.viewOf(t), n.dir, n.name, follow)
}

// hide denies a name that leads nowhere if it reads as one in a hidden folder:
// ENOENT or ENOTDIR would tell what is in there.
func (s *sandbox) hide(t *task, n *named, j *judged) {
	if n.name == "" || !strings.HasPrefix(n.name, "/") && !s.findBase(t, n) {
		return
	}
	path, _, _ := resolve.Lexical(n.base, n.name)
	if v := s.plan.Sections().File(own(t, path), policy.Look); !v.Action.Permits() {
		j.answer = 0
		j.take(v, path, "look")
	}
}

// viewOf is whose eyes the resolver is to see with.
func (s *sandbox) viewOf(t *task) resolve.Task {
	if t.fsuid == nil {
		t.fsuid = func() uint32 { return fsuidOf(t.tid) }
	}
	return resolve.Task{PID: t.process.pid, TID: t.tid, Chrooted: s.chrooted, UID: t.fsuid}
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EACCES
}

// judgeFound decides by where a name was found to lead.
func (s *sandbox) judgeFound(t *task, n *named, access policy.Access, j *judged) {
	if !n.found.Exists && n.found.Path != "" && !s.mayMake(n) {
		s.judgeMissing(t, n, j)
		return
	}
	if n.use.Verb == policy.Runs {
		s.judgeProgram(t, n, j)
	}
	switch {
	case n.found.Path != "":
		n.path = n.found.Path
	case n.found.Was != "":
		n.path = n.found.Was // a deleted file is still what it was
	case n.found.Descriptor >= 0, n.held:
		return // a pipe, a socket: it has it already
	case n.use.Verb == policy.Runs && strings.HasPrefix(n.found.Object, "memfd:"):
		return // all that is in it the program has put there; section exec has spoken
	default:
		j.deny(unix.EACCES, "it leads to an object without a name: "+n.found.Object)
		return
	}
	s.decide(t, n, access, j)
}

// mayMake says whether the call can make a file of that name.
func (s *sandbox) mayMake(n *named) bool {
	switch n.use.Verb {
	case policy.Makes, policy.Links, policy.Takes, policy.Binds:
		return true
	case policy.Opens:
		return s.naming.flags&openMakes != 0
	}
	return false
}

// judgeMissing is for a name of nothing: whoever may look may know it, whatever
// else is denied. Programs try names in turn, and stop at EACCES.
func (s *sandbox) judgeMissing(t *task, n *named, j *judged) {
	n.path = n.found.Path
	j.take(s.plan.Sections().File(own(t, n.path), policy.Look), n.path, "look")
	if j.verdict.Action.Permits() {
		j.answer = unix.ENOENT
	}
}

// decide asks the rules, also those that the verb asks of beside the name itself:
// who removes a name changes its folder.
func (s *sandbox) decide(t *task, n *named, access policy.Access, j *judged) {
	path := own(t, n.path)
	j.take(s.plan.Sections().File(path, access), n.path, needOf(access))
	switch v := n.use.Verb; {
	case v == policy.Removes, v == policy.Moves, v == policy.Takes && n.found.Exists:
		j.take(s.plan.Sections().File(folder(path), policy.Write), folder(n.path), "write")
	}
}

// take has a section's verdict hold if it restricts more than what there is. need
// is what the object is needed for (asked).
func (j *judged) take(v policy.Verdict, object, need string) {
	said := ""
	if v.Action == policy.Ask {
		v, said = j.answers.settle(v, matter{object: object, need: need})
	}
	j.findings.ofObject(v, object, need)
	if v.Action > j.verdict.Action {
		j.verdict, j.said, j.object, j.need = v, said, object, need
	}
}

// needOf is what take is told of an access.
func needOf(a policy.Access) string {
	if a == policy.Write {
		return "write"
	}
	return "read"
}

// own is a path as t's own: its /proc/PID is /proc/self to the rules.
func own(t *task, path string) string {
	rest, ok := strings.CutPrefix(path, "/proc/")
	if !ok {
		return path
	}
	if rest, ok = strings.CutPrefix(rest, t.process.number()); !ok || rest != "" && rest[0] != '/' {
		return path
	}
	return "/proc/self" + rest
}

func folder(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// judgeHeld decides for a descriptor that is itself what the call acts on. To
// look at what it holds it needs no leave.
func (s *sandbox) judgeHeld(t *task, entry *abi.Syscall, n *named, j *judged) {
	if n.use.Verb == policy.Looks {
		return
	}
	if path, ok := s.toldOf(t, n); ok {
		n.path = path
		s.decide(t, n, n.use.Verb.Access(), j)
		return
	}
	found, err := s.resolver.Descriptor(s.viewOf(t), n.dir)
	if err != nil {
		j.answer = errnoOf(err)
		return
	}
	n.walked, n.found = true, found
	if t.process.shares() && n.dir >= 0 && !pathOnly(entry) && descriptorFlags(t.tid, n.dir)&openPath != 0 {
		j.answer = unix.EBADF // by its path it could be done
		return
	}
	s.judgeFound(t, n, n.use.Verb.Access(), j)
	if pinning && t.process.shares() && (found.Path == "" || !renamable(n.use.Verb)) && n.use.Verb != policy.Runs {
		j.deny(unix.EPERM, "another thread could exchange its descriptor meanwhile")
	}
}

// toldOf is the path of a descriptor's file where that is all that is needed:
// nobody can exchange it, and the call acts on it as it stands.
func (s *sandbox) toldOf(t *task, n *named) (string, bool) {
	if n.use.Verb != policy.Changes || n.dir < 0 || t.process.shares() {
		return "", false
	}
	return s.resolver.Told(s.viewOf(t), n.dir)
}

// pathOnly says whether a call takes a descriptor that was opened with O_PATH for
// a file itself (open(2)).
func pathOnly(entry *abi.Syscall) bool {
	switch entry.Canonical {
	case "fchmod", "fchown", "fsetxattr", "fremovexattr", "setxattrat", "removexattrat", "file_setattr":
		return false
	}
	return true
}

// renamable says whether what the verb does to a descriptor can be done to its
// path instead.
func renamable(v policy.Verb) bool { return v == policy.Changes }

// judgeMove denies to move a folder to where rules are freer with what is in it:
// EXDEV has mv(1) copy, each file by its own leave.
func (s *sandbox) judgeMove(entry *abi.Syscall, j *judged) {
	list := s.naming.list
	if len(list) != 2 || list[0].use.Verb != policy.Moves || !j.verdict.Action.Permits() {
		return
	}
	from, to := &list[0], &list[1]
	both := exchanges(entry, &j.direct)
	if from.found.Folder && !s.plan.Sections().MayMove(from.path, to.path) || both && to.found.Folder && !s.plan.Sections().MayMove(to.path, from.path) {
		j.deny(unix.EXDEV, "other rules are for what is in the folder there")
	}
}

func exchanges(entry *abi.Syscall, c *abi.Call) bool {
	p, ok := entry.Param("flags")
	return ok && entry.Canonical == "renameat2" && p.Value(&c.Args)&unix.RENAME_EXCHANGE != 0
}
