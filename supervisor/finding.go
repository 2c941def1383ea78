package supervisor

import (
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// Finding is one thing that a call asked, and that a policy said log to, or did not permit:
// whoever learns a policy needs every one of a call's, not only the verdict that holds.
type Finding struct {
	Program string         // the file that the process executes, "" if that is not known
	Call    abi.Call       // what asked, as rules on system calls see it
	Object  *policy.Object // what it asked of another section; nil where the call itself is meant
	New     bool           // Files: nothing was there by that name yet
	Verdict policy.Verdict
	Reason  string // why it is denied, where it is not by a rule
}

// noted is a finding of the call at hand.
type noted struct {
	verdict      policy.Verdict
	call         abi.Call
	object, need string
	to           policy.Address
	socket       *policy.Socket
}

// findings are those of the call at hand, while it is judged. A nil one notes nothing.
type findings struct {
	list   []noted
	to     policy.Address // the address that network is about to be asked of
	socket *policy.Socket // or the socket
}

// beginFindings is for a call that is about to be judged; nil where nobody wants them.
func (s *sandbox) beginFindings() *findings {
	if s.opt.Found == nil {
		return nil
	}
	s.findings = findings{list: s.findings.list[:0]}
	return &s.findings
}

// about says which address network is asked of next.
func (f *findings) about(to policy.Address) {
	if f != nil {
		f.to = to
	}
}

// ofSocket says which socket network is asked of next, and gives its verdict: one whose
// addresses do not stand where rules look no rule can permit (policy.Object.Reason), so
// that it is denied.
func (f *findings) ofSocket(v policy.Verdict, made *policy.Socket) policy.Verdict {
	f.socket = made
	if o := (policy.Object{Section: policy.Network, Socket: made}); v.Action == policy.Log && o.Reason() != "" {
		v.Action, v.Errno = policy.Deny, uint16(unix.EACCES)
	}
	return v
}

// ofCall notes what rules on system calls say.
func (f *findings) ofCall(c abi.Call, v policy.Verdict) {
	if f != nil && v.Action == policy.Log {
		f.list = append(f.list, noted{verdict: v, call: c})
	}
}

// ofObject notes what another section says.
func (f *findings) ofObject(v policy.Verdict, object, need string) {
	if f != nil && v.Action == policy.Log {
		f.list = append(f.list, noted{verdict: v, object: object, need: need, to: f.to, socket: f.socket})
	}
}

// findMissing notes that network would be asked of a socket's file that is not there: else
// the socket, which is for nothing else, would be denied the next time.
func (s *sandbox) findMissing(t *task, n *named, what purpose, j *judged) {
	path := n.found.Path
	if j.findings == nil || !j.verdict.Action.Permits() {
		return
	}
	if path == "" {
		if !strings.HasPrefix(n.name, "/") && !s.findBase(t, n) {
			return
		}
		path, _, _ = resolve.Lexical(n.base, n.name)
	}
	s.ask(policy.Address{Family: unix.AF_UNIX, Path: own(t, path)}, what, "unix:"+path, j)
}

// unlearnable denies a call that the tables do not know, which no rule can permit and a
// default of log would let pass: the command falls back now as it will later.
func (j *judged) unlearnable() {
	if j.findings != nil && j.verdict.Action == policy.Log && j.verdict.Cause == policy.ByUnknown {
		j.deny(unix.ENOSYS, "the tables do not know it")
	}
}

// found hands on the findings of a call: of one that is made all that it asked, of another
// the denial.
func (s *sandbox) found(t *task, j *judged) {
	if j.findings == nil {
		return
	}
	if !j.verdict.Action.Permits() {
		s.opt.Found(Finding{Program: t.process.program(), Call: j.direct, Object: s.asked(t, j), Verdict: j.verdict, Reason: j.reason})
		return
	}
	for i := range j.findings.list {
		n := &j.findings.list[i]
		f := Finding{Program: t.process.program(), Call: n.call, Verdict: n.verdict}
		if n.verdict.Section != policy.Syscalls {
			f.Object = n.asked()
			f.Call = j.call
			if f.Object.Section == policy.Files || f.Object.Section == policy.Exec {
				f.New = s.describe(f.Object, n.object)
				f.Object.Path = own(t, n.object)
			}
		}
		s.opt.Found(f)
	}
}

// foundBefore is found of the command's own file, before there is a process.
func (s *sandbox) foundBefore(command string, j *judged) {
	if j.findings == nil {
		return
	}
	for i := range j.findings.list {
		n := &j.findings.list[i]
		f := Finding{Program: command, Object: n.asked(), Verdict: n.verdict}
		f.New = s.describe(f.Object, n.object)
		s.opt.Found(f)
	}
}

// asked is what was asked, as rules see it.
func (n *noted) asked() *policy.Object {
	o := &policy.Object{Section: n.verdict.Section, Access: accessOf(n.need), Path: n.object}
	if o.Section == policy.Network {
		o.Path, o.Bind, o.Address, o.Socket = "", n.need == "bind", n.to, n.socket
	}
	return o
}

// describe says in o what is at a path now, and whether nothing is.
func (s *sandbox) describe(o *policy.Object, path string) (missing bool) {
	var st unix.Stat_t
	if path == "" || path[0] != '/' || s.look(path, &st) != nil {
		return true
	}
	o.Folder, o.Link = st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mode&unix.S_IFMT == unix.S_IFLNK
	return false
}
