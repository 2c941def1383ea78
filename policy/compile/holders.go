package compile

import (
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Holder is who enforces a section.
type Holder uint8

const (
	Nobody     Holder = iota // no policy has the section
	Kernel                   // Landlock, exactly
	Supervisor               // at a stop; Landlock stays behind it as far as it goes
)

// Holders say who enforces the sections.
type Holders struct {
	Files, Network Holder
	Exec           bool // some policy has the section: programs are looked at as they start
	// Hides says that some rule keeps a file from being looked at, which only a
	// stop can.
	Hides bool
	// Memory says that Landlock would let a process write to /proc/PID/mem, and so
	// to pinned memory: opens for writing stop. Not where the supervisor holds the files: there
	// every open stops.
	Memory bool
	// Mounts says that what may not be written is mounted read-only, which holds
	// the changes that Landlock does not. Without Report only.
	Mounts bool
}

// String is the same for holders that need the same stops, and fit for a file's
// name: "files-kernel network", "files-supervisor hides"; "" if there are no
// sections.
func (h Holders) String() string {
	var words []string
	add := func(word string, is bool) {
		if is {
			words = append(words, word)
		}
	}
	add("files-kernel", h.Files == Kernel)
	add("files-supervisor", h.Files == Supervisor)
	add("hides", h.Hides)
	add("memory", h.Memory)
	add("exec", h.Exec)
	add("mounts", h.Mounts)
	add("network", h.Network != Nobody)
	return strings.Join(words, " ")
}

// Enforce says who enforces a set's sections on a host, and by which ruleset as
// far as that is Landlock. What builtin:guard-names has on files is the part of
// Holders.Memory.
func Enforce(b *policy.Sections, host Host) (Holders, Landlock) {
	bound := Bound{Files: triedOf(b, policy.Files), Exec: triedOf(b, policy.Exec)}
	if b.Has(policy.Network) {
		bound.Network = &Ports{}
		*bound.Network = portsOf(b)
	}
	l := Confine(bound, host)
	h := Holders{Exec: len(bound.Exec.Rules) > 0}
	if len(bound.Files.Rules) > 0 {
		h.Files, h.Hides = Kernel, hides(bound.Files)
		if !l.Files.Exact {
			h.Files = Supervisor
		}
	}
	if bound.Network != nil {
		h.Network = Supervisor
	}
	h.Memory = h.Pins() && h.Files != Supervisor && slices.ContainsFunc(host.Procs(), l.Ruleset.writes)
	return h, l
}

// writes says whether the ruleset lets something in a folder, or all of it, be
// written to.
func (r *Ruleset) writes(folder string) bool {
	const write = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	return r.permits(folder, write) || slices.ContainsFunc(r.Paths, func(g PathGrant) bool {
		return g.Access&write != 0 && strings.HasPrefix(g.Path, folder+"/")
	})
}

// triedOf is a section's rules without those of the guard.
func triedOf(b *policy.Sections, sec policy.Section) Tried {
	var t Tried
	rules, defaults := b.Rules(sec), b.Defaults(sec)
	for i, p := range b.Policies(sec) {
		if p.Name != policy.GuardNamesName {
			t.Rules, t.Defaults = append(t.Rules, rules[i]), append(t.Defaults, defaults[i])
		}
	}
	return t
}

// hides says whether a rule keeps files from being looked at.
func hides(t Tried) bool {
	for _, rules := range t.Rules {
		for i := range rules {
			if !rules[i].Rule.Action.Permits() {
				return true
			}
		}
	}
	return false
}

func portsOf(b *policy.Sections) Ports {
	connect, anyConnect := b.TCPPorts(false)
	bind, anyBind := b.TCPPorts(true)
	return Ports{Connect: connect, AnyConnect: anyConnect, Bind: bind, AnyBind: anyBind, Abstract: b.Abstract()}
}

// permits says whether the ruleset lets some right to a path pass.
func (r *Ruleset) permits(path string, access uint64) bool {
	if r.AccessFS&access != access {
		return true
	}
	for above := range upward(path) {
		for _, g := range r.Paths {
			if g.Path == above && g.Access&access != 0 {
				return true
			}
		}
	}
	return false
}

// PinBase and PinEnd bound the part of every address space where the supervisor
// puts what a verdict rests on: below where programs are linked, above
// /proc/sys/vm/mmap_min_addr as it commonly is, and within reach of 32-bit
// pointers. builtin:guard-names keeps the sandbox from mapping anything there.
const (
	PinBase = 0x10000
	PinEnd  = 0x400000

	// PinTold is an address in it at which the supervisor has a task call mmap for the sake
	// of the stop.
	PinTold = 2 * PinBase
)

// Pins says whether the supervisor may have to pin arguments.
func (h Holders) Pins() bool { return h.Files != Nobody || h.Network != Nobody || h.Exec }

// stop is why a call that the numbers permit must stop all the same, "" if it
// need not: its verdict rests on more than numbers.
func (h Holders) stop(s *abi.Syscall, report bool) string {
	if why := h.socketStop(s); why != "" {
		return why
	}
	if s.Canonical == "seccomp" && h.Pins() {
		return ownFilter
	}
	for _, u := range policy.UsesOf(s) {
		if why := h.useStop(s, u.Verb, report); why != "" {
			return why
		}
	}
	return ""
}

func (h Holders) useStop(s *abi.Syscall, v policy.Verb, report bool) string {
	switch {
	case s.Canonical == "chroot" && h.Files != Nobody:
		return "it changes what names mean"
	case v == policy.Looks:
		if h.Hides {
			return "a rule hides files, which only their names tell"
		}
		return ""
	case h.Files == Supervisor:
		return "the files that it names are in the tracee's memory"
	case h.Orders(v):
		return "names hold still while another call is decided by them"
	case h.Files == Kernel && v == policy.Changes && s.Canonical != "truncate" && !h.Mounted(s, v):
		return "Landlock does not hold changes of metadata"
	case h.Files == Kernel && v == policy.Watches:
		return "Landlock does not hold who watches files"
	case h.Files == Kernel && report:
		return "what Landlock denies is reported by the supervisor"
	case h.Memory && v == policy.Opens:
		return "opened for writing, it could be a process's memory (/proc/PID/mem)"
	}
	return ""
}

// Mounted says whether read-only mounts hold a call, so that nobody else need
// decide it by the files that it names: it changes their metadata.
func (h Holders) Mounted(s *abi.Syscall, v policy.Verb) bool {
	return h.Mounts && v == policy.Changes && slices.Contains(BeyondLandlock, s.Canonical)
}

const ownFilter = "a filter of the program's own judges what is put in its calls' place"

// filtering is the arguments of prctl by which it installs a filter: they stop
// whatever the policies say of them.
func (h Holders) filtering(s *abi.Syscall) (c cube, some bool) {
	if !h.Pins() || s.Canonical != "prctl" {
		return c, false
	}
	return having(s, "option", everyBit, unix.PR_SET_SECCOMP)
}

// Orders says whether calls with this verb stop, whoever decides them, for other
// calls to be decided by names that hold still: they make names that can lead
// elsewhere.
func (h Holders) Orders(v policy.Verb) bool {
	return (h.Files != Nobody || h.Network != Nobody) && v.Names() && v != policy.Removes
}

// unless is the arguments with which a call needs no stop though stop says so:
// sendto without an address is send, and who opens for reading writes to nobody's
// memory.
func (h Holders) unless(s *abi.Syscall, report bool) (c cube, some bool) {
	if s.Canonical == "sendto" {
		return having(s, "dest_addr", everyBit, 0)
	}
	if !h.Memory || h.Files == Kernel && report {
		return c, false
	}
	if u := policy.UsesOf(s); len(u) == 0 || u[0].Verb != policy.Opens {
		return c, false
	}
	return having(s, "flags", unix.O_ACCMODE, 0)
}

const everyBit = ^uint64(0)

// having is the arguments with value in the bits of mask of a parameter, as far as it is
// wide; false if the call has no such parameter.
func having(s *abi.Syscall, param string, mask, value uint64) (c cube, some bool) {
	p, ok := s.Param(param)
	if !ok {
		return c, false
	}
	return onRegisters(p, bitSet{mask & (everyBit >> (64 - uint(valueWidth(p)))), value})
}

// socketStop is stop's part for calls with addresses: a socket's name can be a
// file's.
func (h Holders) socketStop(s *abi.Syscall) string {
	if h.Files == Nobody && h.Network == Nobody {
		return ""
	}
	switch s.Canonical {
	case "connect", "bind", "sendto", "sendmsg", "sendmmsg":
		return "the address is in the tracee's memory"
	case "socket", "listen":
		if h.Network != Nobody {
			return "the rules of network decide it"
		}
	}
	return ""
}

// standIn is why a call stops whatever the policies say of it: the supervisor
// makes it in the place of another that they permit, and the filters run again.
func (h Holders) standIn(s *abi.Syscall) string {
	const why = "the supervisor makes it in the place of others"
	switch s.Canonical {
	case "openat2":
		if h.Files == Supervisor || h.Memory {
			return why
		}
	case "openat":
		if h.Files == Supervisor {
			return why
		}
	case "fchmodat", "fchownat", "setxattr", "removexattr":
		if h.Files != Nobody && !h.Mounts {
			return why
		}
	case "sendmsg":
		if h.Files != Nobody || h.Network != Nobody {
			return why
		}
	}
	return ""
}

// pinning has no filter answer the calls by which a task gets its pinned area, and has the
// one stop by which it tells of that, whatever the policies say of them: what these permit
// passes, and what they refuse stops, where the supervisor lets its own go. The tracee can
// make them too. Where the area is, they change nothing: an mmap that is not to replace what
// is there, and an mseal of it. Where there is none, nothing rests on it. Addresses in the
// area are told from others by the bits that they cannot have, and from each other by one
// that they have.
func (e *exceptions) pinning(s *abi.Syscall, h Holders) {
	if !h.Pins() || s.Block {
		return
	}
	const beyond = everyBit &^ (PinEnd - 1)
	at, addressed := having(s, "addr", beyond|PinBase, PinBase)
	switch {
	case s.Canonical == "mseal" && addressed:
		e.refused = append(e.refused, at)
	case s.Canonical == "mmap" && addressed:
		if loose, flagged := having(s, "flags", unix.MAP_FIXED, 0); flagged {
			c, _ := at.intersect(&loose)
			e.refused = append(e.refused, c)
		}
		told, _ := having(s, "addr", beyond|PinBase|PinTold, PinTold)
		e.traced = append(e.traced, told)
	}
}
