package compile

import (
	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// Holder is who enforces a section.
type Holder uint8

const (
	Nobody     Holder = iota // no policy has the section
	Landlock                 // the kernel, exactly
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
	// to pinned memory: opens for writing stop.
	Memory bool
}

// PinBase and PinEnd bound the part of every address space where the supervisor
// puts what a verdict rests on: below where programs are linked, above
// /proc/sys/vm/mmap_min_addr as it commonly is, and within reach of 32-bit
// pointers. builtin:guard-names keeps the sandbox from mapping anything there.
const (
	PinBase = 0x10000
	PinEnd  = 0x400000
)

// Pins says whether the supervisor may have to pin arguments.
func (h Holders) Pins() bool { return h.Files != Nobody || h.Network != Nobody || h.Exec }

// stop is why a call that the numbers permit must stop all the same, "" if it
// need not: its verdict rests on more than numbers.
func (h Holders) stop(s *abi.Syscall, report bool) string {
	if why := h.socketStop(s); why != "" {
		return why
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
	case h.Files == Landlock && v == policy.Changes && s.Canonical != "truncate":
		return "Landlock does not hold changes of metadata"
	case h.Files == Landlock && report:
		return "what Landlock denies is reported by the supervisor"
	case h.Memory && v == policy.Opens:
		return "opened for writing, it could be a process's memory (/proc/PID/mem)"
	}
	return ""
}

// unless is the arguments with which a call needs no stop though stop says so:
// sendto without an address is send, and who opens for reading writes to nobody's
// memory.
func (h Holders) unless(s *abi.Syscall, report bool) (c cube, some bool) {
	if s.Canonical == "sendto" {
		p, ok := s.Param("dest_addr")
		if !ok {
			return c, false
		}
		return onRegisters(p, bitSet{mask: ^uint64(0) >> (64 - uint(valueWidth(p)))})
	}
	if !h.Memory || h.Files == Supervisor || h.Files == Landlock && report {
		return c, false
	}
	p, ok := s.Param("flags")
	if u := policy.UsesOf(s); !ok || len(u) == 0 || u[0].Verb != policy.Opens {
		return c, false
	}
	return onRegisters(p, bitSet{mask: unix.O_ACCMODE})
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

// pinning is the arguments of calls that the supervisor itself makes in the
// tracee to get its pinned memory. They stop whatever the policies say of them,
// and are refused where the tracee makes them.
func (h Holders) pinning(s *abi.Syscall) (c cube, some bool) {
	if !h.Pins() || s.Block || s.Canonical != "mmap" && s.Canonical != "mseal" {
		return c, false
	}
	p, ok := s.Param("addr")
	if !ok {
		return c, false
	}
	return onRegisters(p, bitSet{mask: ^uint64(0) >> (64 - uint(valueWidth(p))), value: PinBase})
}
