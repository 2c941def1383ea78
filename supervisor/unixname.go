package supervisor

import (
	"encoding/binary"
	"strings"

	"callgate/policy"
	"callgate/supervisor/decode"

	"golang.org/x/sys/unix"
)

// A unix socket's name can be a file's. Then it is followed as every other name
// (named.go), and held still while the call is under way (order.go).

// sunPathMost is the size of sun_path in struct sockaddr_un (unix(7)).
const sunPathMost = 108

var (
	talking = policy.Use{Path: 1, Dir: -1, Flags: -1, Verb: policy.Talks}
	binding = policy.Use{Path: 1, Dir: -1, Flags: -1, Verb: policy.Binds}
)

// judgeUnix decides on an address of AF_UNIX, as judgeAddress. Without a name it
// has a new socket take an abstract one (unix_bind in net/unix/af_unix.c); else
// without a name, or too long, it is no address (unix_validate_addr).
func (s *sandbox) judgeUnix(t *task, a *decode.Address, what purpose, j *judged) ([]byte, bool) {
	switch {
	case len(a.Raw) == familySize && what == binds, a.Abstract && len(a.Raw) <= familySize+sunPathMost:
		to := policy.Address{Family: unix.AF_UNIX, Path: a.Path, Abstract: true}
		s.ask(to, what, addressText(to), j)
	case len(a.Raw) > familySize && len(a.Raw) <= familySize+sunPathMost:
		return s.judgeSocketFile(t, a, what, j)
	}
	return a.Raw, true
}

// judgeSocketFile decides on a socket's file: to talk to it, or to make it, is a
// change of it to the rules of files too.
func (s *sandbox) judgeSocketFile(t *task, a *decode.Address, what purpose, j *judged) ([]byte, bool) {
	n := named{use: &talking, dir: unix.AT_FDCWD, name: a.Path}
	if what == binds {
		n.use = &binding
	}
	if !s.fix(t, &n, j) {
		return nil, false
	}
	if !s.walk(t, &n, true, j) {
		s.findMissing(t, &n, what, j)
		return nil, false
	}
	n.path = n.found.Path
	switch {
	case n.path == "":
		j.deny(unix.EACCES, "it leads to an object without a name: "+n.found.Object)
		return nil, false
	case !n.found.Exists && what != binds:
		s.findMissing(t, &n, what, j)
		s.judgeMissing(t, &n, j)
		return nil, false
	}
	s.decide(t, &n, policy.Write, j)
	to := policy.Address{Family: unix.AF_UNIX, Path: own(t, n.path)}
	s.ask(to, what, "unix:"+n.path, j)
	return s.planSocketFile(t, a, &n, what, j)
}

// planSocketFile gives the address with the name as the kernel is to take it.
// connect(2) and its like wait while the socket's queue is full.
func (s *sandbox) planSocketFile(t *task, a *decode.Address, n *named, what purpose, j *judged) ([]byte, bool) {
	j.part, j.blocks = looks, what != binds
	name := s.kernelName(t, n)
	if name == a.Path {
		return a.Raw, true
	}
	if len(name) > sunPathMost {
		j.deny(unix.ENAMETOOLONG, "the socket's path without links, "+n.path+", does not fit into an address")
		return nil, false
	}
	raw := append(binary.NativeEndian.AppendUint16(nil, unix.AF_UNIX), name...)
	if len(name) < sunPathMost {
		raw = append(raw, 0)
	}
	return raw, true
}

// autobound is a socket for whose name the kernel is asked, as rules speak of it.
var autobound = policy.Address{Family: unix.AF_UNIX, Abstract: true}

// unixNameOf is the name that a socket is bound to, "@" standing for the NUL of an
// abstract one; false if it is of another family.
func unixNameOf(fd int) (string, bool) {
	name, err := unix.Getsockname(fd)
	a, ok := name.(*unix.SockaddrUnix)
	if err != nil || !ok {
		return "", false
	}
	return a.Name, true
}

// mayTakeName says that a unix socket is bound to nothing, or to the empty abstract name:
// then another holder can have it get one before it listens.
func mayTakeName(fd int) bool {
	name, ok := unixNameOf(fd)
	return ok && name == "@"
}

// judgeUnixBound decides for a unix socket that is to listen by its name. One of the
// kernel's choice it has without a bind too: with SO_PASSCRED, by a connect (unix_autobind
// in net/unix/af_unix.c). Without a name the kernel lets none listen.
func (s *sandbox) judgeUnixBound(name string, j *judged) {
	abstract, ok := strings.CutPrefix(name, "@")
	if !ok || !chosen(abstract) {
		return
	}
	named := policy.Address{Family: unix.AF_UNIX, Abstract: true, Path: abstract}
	if !s.plan.Sections().Listen(named).Action.Permits() {
		s.ask(autobound, binds, addressText(autobound), j)
	}
}

// chosen says whether an abstract name is one as the kernel chooses them: five digits.
func chosen(name string) bool {
	return len(name) == 5 && strings.Trim(name, "0123456789abcdef") == ""
}
