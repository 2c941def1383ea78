package supervisor

import (
	"errors"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/decode"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// named is a file that the call at hand names.
type named struct {
	use  *policy.Use
	name string // as given
	held bool   // no name: the descriptor itself is meant
	runs bool   // it is what a process executes already
	// dir is the descriptor that a relative name begins at, or is the file; base
	// the path of that folder, "" until somebody asks.
	dir  int
	base string

	walked bool // found says where the name leads; else path is as its text says
	found  resolve.Result
	path   string // what was decided on, "" for what has none
}

// naming is what one call names, and with what flags it opens it.
type naming struct {
	list  []named
	flags uint64 // of an open
	how   []byte // openat2's own struct, nil for its elders
	mode  uint64
	made  [unix.SizeofOpenHow]byte // the struct of what is made in their place
}

func (s *sandbox) usesOf(entry *abi.Syscall) []policy.Use {
	uses, ok := s.uses[entry]
	if !ok {
		uses = policy.UsesOf(entry)
		s.uses[entry] = uses
	}
	return uses
}

// judgeNames decides a call by the files that it names. The most restrictive
// verdict holds; where the call cannot be, j.answer is what the kernel says.
func (s *sandbox) judgeNames(t *task, entry *abi.Syscall, j *judged) {
	n := &s.naming
	n.list, n.how = n.list[:0], nil
	uses := s.usesOf(entry)
	if len(uses) == 0 {
		return
	}
	verb := uses[len(uses)-1].Verb
	if s.holders.Orders(verb) && !s.opt.Permissive {
		j.part, j.rewrite = changes, true
	}
	if s.passes(uses[0].Verb) || s.holders.Mounted(entry, verb) || uses[0].Verb == policy.Opens && !s.readOpen(t, entry, j) {
		return
	}
	advice := s.advises(uses[0].Verb)
	if advice && !s.plan.Reports() {
		return
	}
	if advice {
		defer func() { n.list, j.answer = n.list[:0], 0 }() // the kernel has its own
	}
	for i := range uses {
		if !s.readName(t, entry, &uses[i], j) {
			return
		}
	}
	for i := range n.list { // one after the other, as the kernel says what is wrong
		if !s.fix(t, &n.list[i], j) {
			return
		}
		if s.judgeName(t, entry, &n.list[i], j); j.answer != 0 || !j.verdict.Action.Permits() {
			return
		}
	}
	s.judgeMove(entry, j)
}

// passes says whether a verb is none of the sections' business here.
func (s *sandbox) passes(v policy.Verb) bool {
	h := s.holders
	switch v {
	case policy.Looks:
		return !h.Hides
	case policy.Runs:
		return h.Files == compile.Nobody && !h.Exec
	case policy.Opens:
		return h.Files == compile.Nobody && !h.Memory
	}
	return h.Files == compile.Nobody
}

// advises says whether the verdict is only for telling what Landlock denies.
func (s *sandbox) advises(v policy.Verb) bool {
	switch {
	case s.holders.Files != compile.Kernel, v == policy.Changes, v == policy.Watches:
		return false
	case v == policy.Opens:
		return !s.holders.Memory || policy.OpenAccess(s.naming.flags, true) != policy.Write
	}
	return v != policy.Runs || !s.holders.Exec
}

// readName copies one name from the tracee's memory, once.
func (s *sandbox) readName(t *task, entry *abi.Syscall, u *policy.Use, j *judged) bool {
	n := named{use: u, dir: unix.AT_FDCWD}
	if u.Dir >= 0 {
		n.dir = int(int32(entry.Params[u.Dir].Value(&j.direct.Args)))
	}
	if u.Path < 0 {
		n.held = true
		s.naming.list = append(s.naming.list, n)
		return true
	}
	address := entry.Params[u.Path].Value(&j.direct.Args)
	empty := u.Empty(entry, &j.direct.Args)
	if address == 0 && (empty || nameless(entry.Canonical)) {
		if entry.Canonical == "acct" || entry.Canonical == "quotactl" {
			return true // it names nothing
		}
		n.held = true
		s.naming.list = append(s.naming.list, n)
		return true
	}
	name, err := s.nameAt(t, address)
	if err != nil {
		j.unnamed(err)
		return false
	}
	n.name, n.held = name, name == "" && empty
	s.naming.list = append(s.naming.list, n)
	return true
}

// nameAt copies the name at an address. Programs use the same names again and
// again, so that those seen lately are not made anew.
func (s *sandbox) nameAt(t *task, address uint64) (string, error) {
	s.reader = reader{s.kernel, t}
	text, err := decode.PathInto(s.text[:0], &s.reader, address)
	if err != nil {
		return "", err
	}
	s.text = text
	name, ok := s.names[string(text)]
	if !ok {
		if len(s.names) >= namesMost {
			clear(s.names)
		}
		name = string(text)
		s.names[name] = name
	}
	return name, nil
}

// reader reads a task's memory through the file that pinned memory is written
// through, which costs half of what process_vm_readv(2) does. It also reads pages
// that the program itself may not; what cannot be read so is asked for in the usual
// way, for the error.
type reader struct {
	kernel kernel
	task   *task
}

func (r *reader) ReadAt(p []byte, at int64) (int, error) {
	if r.kernel.Peek(r.task.process.pid, uint64(at), p) == nil {
		return len(p), nil
	}
	return r.kernel.Memory(r.task.tid).ReadAt(p, at)
}

// namesMost bounds names.
const namesMost = 1024

// fix makes a relative name absolute where another thread could change what it
// begins at meanwhile. One that is followed in another way becomes so thereby.
func (s *sandbox) fix(t *task, n *named, j *judged) bool {
	if !pinning || n.held || n.name == "" || n.name[0] == '/' || !t.process.shares() || n.use.Verb == policy.Opens && s.naming.scoped() {
		return true
	}
	base, err := s.resolver.Base(s.viewOf(t), n.dir)
	if err != nil {
		j.answer = errnoOf(err)
		return false
	}
	n.name, n.dir = strings.TrimSuffix(base, "/")+"/"+n.name, unix.AT_FDCWD
	if len(n.name) >= unix.PathMax {
		j.answer = unix.ENAMETOOLONG
		return false
	}
	return true
}

// nameless are calls to which NULL is not a wrong address but the descriptor
// itself, or nothing.
func nameless(call string) bool {
	switch call {
	case "utimensat", "futimesat", "fanotify_mark", "acct", "quotactl":
		return true
	}
	return false
}

// unnamed is for a name that could not be read: what the kernel would say, or a
// denial where it could have read what callgate may not.
func (j *judged) unnamed(err error) {
	switch {
	case errors.Is(err, unix.EFAULT):
		j.answer = unix.EFAULT
	case err == unix.ENAMETOOLONG:
		j.answer = unix.ENAMETOOLONG
	default:
		j.deny(unix.EACCES, "it names files in memory that cannot be read: "+err.Error())
	}
}

// judgeName decides for one name.
func (s *sandbox) judgeName(t *task, entry *abi.Syscall, n *named, j *judged) {
	switch {
	case n.held:
		s.judgeHeld(t, entry, n, j)
	case n.use.Verb == policy.Opens:
		s.judgeOpen(t, n, j)
	default:
		if s.walk(t, n, n.use.Follows(entry, &j.direct.Args), j) {
			s.judgeFound(t, n, n.use.Verb.Access(), j)
		}
	}
}
