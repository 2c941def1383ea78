package foreign

import (
	"fmt"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// Divider is what policy/compile knows of dividing a call's arguments by their verdict,
// and of what libseccomp makes of the result (compile.Pieces, compile.Clash,
// compile.Misread).
type Divider struct {
	Pieces func(p *policy.Policy, arch abi.Arch, nr uint32, def policy.Verdict) ([]policy.Piece, bool)
	Clash  func(audit uint32, a, b []policy.Piece) bool
	// Misread proves a profile by the libseccomp that there is.
	Misread func(def policy.Verdict, arches []abi.Arch, names []string, pieces []policy.Piece) ([]string, error)
}

// Export gives a policy's rules on system calls in another tool's words, OCI's or
// Systemd's, which mean the same. A policy that restricts anything else is refused unless
// OnlySyscalls is set. The error is policy.Mistakes.
func Export(p *policy.Policy, to Format, opts Options, divide Divider) (*Result, error) {
	e := &exporter{reader: newReader(p.Name, nil, opts), p: p, divide: divide, to: to, whole: policy.Position{File: p.Name}}
	var write func(def policy.Verdict, calls map[string][]policy.Piece) []byte
	switch to {
	case OCI:
		write = e.profile
	case Systemd:
		write = e.unit
	default:
		return nil, fmt.Errorf("no policy is converted from %s to %s", Callgate, to)
	}
	e.beyond()
	e.compat = p.Compat
	e.abis()
	def := policy.Verdict{Action: p.Default}
	switch {
	case p.Open:
		def.Action = policy.Allow
	case def.Action == policy.Deny, def.Action == policy.Ask:
		def.Errno = p.Errno
	}
	var calls map[string][]policy.Piece
	for again := true; again; { // where an ABI is given up on the way
		before := e.compat
		calls = e.calls(def)
		again = e.compat != before
	}
	e.unasked(&def)
	if def.Action.Permits() {
		e.newer(calls)
	}
	text := write(def, calls)
	if len(e.mistakes) > 0 {
		return nil, e.err()
	}
	return &Result{Text: text, Notes: e.notes}, nil
}

type exporter struct {
	*reader
	p      *policy.Policy
	divide Divider
	to     Format
	whole  policy.Position
	compat policy.Compat
	given  []*ociEntry
}

// beyond refuses what a profile has no place for.
func (e *exporter) beyond() {
	var has []string
	for sec := policy.Files; sec <= policy.Network; sec++ {
		if _, ok := e.p.Section(sec); ok {
			has = append(has, sec.String())
		}
	}
	if slices.ContainsFunc(policy.Resources(), e.p.Limits.Has) {
		has = append(has, "limits")
	}
	if env := &e.p.Environment; env.Limited || len(env.Set) > 0 || env.PrivateTmp {
		has = append(has, "environment")
	}
	if e.p.Isolate != 0 {
		has = append(has, "isolate")
	}
	switch list := strings.Join(has, ", "); {
	case len(has) == 0:
	case e.opts.OnlySyscalls:
		e.note(e.whole, "left out of %s, which is looser for it: %s", e.output(), list)
	default:
		e.fail(e.whole, "--only syscalls leaves that open", "%s has no place for %s", e.output(), list)
	}
}

// abis settles which ABIs the profile decides by name; all others die.
func (e *exporter) abis() {
	if e.compat.I386 == policy.CompatDeny && e.opts.Arch == abi.X86_64 {
		e.stricter(e.whole, "compat: {i386: deny} answers ENOSYS, which only callgate can", "i386's calls end the process")
	}
	if e.compat.X32 == policy.CompatDeny && e.opts.Arch == abi.X86_64 {
		e.stricter(e.whole, "compat: {x32: deny} answers ENOSYS, which only callgate can", "x32's calls end the process")
	}
}

// output is what is written.
func (e *exporter) output() string {
	if e.to == Systemd {
		return "a unit's SystemCallFilter="
	}
	return "an OCI profile"
}

func (e *exporter) arches() []abi.Arch {
	return (&filter{compat: e.compat}).arches(e.opts.Arch)
}

// calls are the pieces of every name. Names mean the same in all ABIs of a profile.
func (e *exporter) calls(def policy.Verdict) map[string][]policy.Piece {
	calls := map[string][]policy.Piece{}
	of := map[string]abi.Arch{}
	for _, arch := range e.arches() {
		for s := range arch.All() {
			pieces, ok := e.divide.Pieces(e.p, arch, s.Nr, def)
			for i := range pieces {
				e.unasked(&pieces[i].Verdict)
			}
			switch first, had := of[s.Name]; {
			case !ok:
				pieces = e.tooMany(s)
			case s.Multiplexer && (len(pieces) == 0 || pieces[0].Verdict.Action.Permits()):
				continue // libseccomp gives it rules of its own, by those on what it carries
			case arch == abi.I386 && carried(s.Name) && conditional(pieces):
				e.without(s, "libseccomp does not ask for arguments in what socketcall and ipc carry")
				return nil
			case had && !alike(calls[s.Name], pieces, arch), !had && arch != e.opts.Arch && lossy(pieces):
				if first == 0 {
					first = e.opts.Arch
				}
				e.without(s, fmt.Sprintf("its rules differ from those of %v's", first))
				return nil
			case had:
				continue
			}
			of[s.Name] = arch
			if len(pieces) > 0 {
				calls[s.Name] = pieces
			}
		}
	}
	return calls
}

// unasked makes a denial of a verdict on which somebody is to be asked.
func (e *exporter) unasked(v *policy.Verdict) {
	if v.Action != policy.Ask {
		return
	}
	pos := e.whole
	if v.Rule != nil {
		pos = v.Rule.Pos
	}
	e.stricter(pos, e.output()+" has nobody asked", "the call fails with "+policy.ErrnoName(v.Errno))
	v.Action = policy.Deny
}

// tooMany is for a call that takes more rules than a profile should have.
func (e *exporter) tooMany(s *abi.Syscall) []policy.Piece {
	e.stricter(e.placeOf(s), s.Name+" has conditions that take too many rules", s.Name+" fails with EPERM")
	return []policy.Piece{{Verdict: policy.Verdict{Action: policy.Deny, Errno: 1}}}
}

// newer tells of calls that are refused by names which an older libseccomp lacks: then they
// get the default, which permits them.
func (e *exporter) newer(calls map[string][]policy.Piece) {
	var names []string
	for _, name := range abi.Names() {
		s, ok := e.opts.Arch.ByName(name)
		refuses := func(p policy.Piece) bool { return !p.Verdict.Action.Permits() }
		if ok && s.Since != (abi.Version{}) && slices.ContainsFunc(calls[name], refuses) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		e.note(e.whole, "permitted where libseccomp is too old to know the name: %s", some(names))
	}
}

// placeOf is where a rule on the call stands.
func (e *exporter) placeOf(s *abi.Syscall) policy.Position {
	if clauses := e.p.Clauses(s.Arch, s.Nr); len(clauses) > 0 {
		return clauses[0].Rule.Pos
	}
	return e.whole
}

// without gives an ABI up.
func (e *exporter) without(s *abi.Syscall, why string) {
	e.stricter(e.placeOf(s), fmt.Sprintf("%v's %s cannot be had in one profile: %s", s.Arch, s.Name, why), fmt.Sprintf("%v's calls end the process", s.Arch))
	if s.Arch == abi.I386 {
		e.compat.I386 = policy.CompatKill
	} else {
		e.compat.X32 = policy.CompatKill
	}
}

func conditional(pieces []policy.Piece) bool {
	return slices.ContainsFunc(pieces, func(p policy.Piece) bool { return p.Mask != [6]uint64{} })
}

// lossy says whether a 32-bit ABI's comparisons would be cut.
func lossy(pieces []policy.Piece) bool {
	for _, p := range pieces {
		for _, m := range p.Mask {
			if m > 1<<32-1 {
				return true
			}
		}
	}
	return false
}

// alike says whether the target's pieces say of a 32-bit ABI's calls what its own do:
// libseccomp looks at 32 bits there.
func alike(native, other []policy.Piece, arch abi.Arch) bool {
	return slices.EqualFunc(native, other, func(a, b policy.Piece) bool {
		for i := range a.Mask {
			mask, value := a.Mask[i], a.Value[i]
			if arch == abi.I386 {
				mask &= 1<<32 - 1
			}
			if mask != b.Mask[i] || value != b.Value[i] || b.Mask[i] > 1<<32-1 {
				return false
			}
		}
		return a.Verdict.Action == b.Verdict.Action && a.Verdict.Errno == b.Verdict.Errno && a.Verdict.Value == b.Verdict.Value
	})
}

// carried says whether i386 has the call in socketcall or ipc.
func carried(name string) bool {
	return slices.Contains(strings.Fields(`accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom
		recvmmsg recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socket socketpair
		msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget`), name)
}
