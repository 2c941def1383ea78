package supervisor

import (
	"strings"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// asked is what j's section was asked, as rules see it: for whoever tells of a
// denial. nil where no section has denied anything.
func (s *sandbox) asked(t *task, j *judged) *policy.Object {
	if j.verdict.Action.Permits() || j.verdict.Section == policy.Syscalls {
		return nil
	}
	o := &policy.Object{Section: j.verdict.Section, Access: accessOf(j.need)}
	if o.Section == policy.Network {
		o.Bind, o.Address, o.Socket = j.need == "bind", j.to, socketMade(j)
		return o
	}
	o.Path = own(t, j.object)
	o.Folder, o.Link = s.kindOf(j.object)
	return o
}

// socketMade is the socket that j makes, nil if it makes none.
func socketMade(j *judged) *policy.Socket {
	entry, ok := j.direct.Arch.Lookup(j.direct.Nr)
	if !ok || entry.Canonical != "socket" {
		return nil
	}
	value := func(i int) uint32 { return uint32(entry.Params[i].Value(&j.direct.Args)) }
	return &policy.Socket{Domain: value(0), Type: value(1), Protocol: value(2)}
}

// accessOf is the access that a need of files is.
func accessOf(need string) policy.Access {
	switch need {
	case "look":
		return policy.Look
	case "write":
		return policy.Write
	}
	return policy.Read
}

// kindOf says what is at a path now. No verdict rests on that.
func (s *sandbox) kindOf(path string) (folder, link bool) {
	if !strings.HasPrefix(path, "/") {
		return false, false
	}
	var st unix.Stat_t
	if s.look(path, &st) != nil {
		return false, false
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// look looks at an absolute path of the sandbox's.
func (s *sandbox) look(path string, st *unix.Stat_t) error {
	if s.root != unix.AT_FDCWD {
		path = "." + path
	}
	return unix.Fstatat(s.root, path, st, unix.AT_SYMLINK_NOFOLLOW)
}

// bars says whether a call is denied whatever the policies say of it.
func (s *sandbox) bars(call *abi.Call) bool {
	entry, ok := call.Arch.Lookup(call.Nr)
	return ok && s.confined && s.strays(entry, call)
}
