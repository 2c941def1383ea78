// Package launch starts a sandbox's command: a first stage, written in C and
// run in a process that shares callgate's memory until it executes the command,
// waits to be traced, puts descriptors, signals and folder in order, gives up
// privileges, enters its Landlock domain, installs the filters and calls
// execve.
//
// The command gets the signal mask, the ignored signals and the descriptor
// limit that callgate's own caller left, not what Go's runtime made of them.
//
// # Limits
//
// A command that uses Landlock itself, for rights on files, cannot move files
// between folders where callgate's own ruleset has no right on files: the
// kernel denies LANDLOCK_ACCESS_FS_REFER for every ruleset of a domain that
// does not grant it, as soon as one of them is on files.
package launch

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Command is what the first stage executes, and with what.
type Command struct {
	Path  string
	Args  []string
	Env   []string
	Dir   string // "" is the caller's
	Files []int  // Files[i] becomes descriptor i; -1 closes it
	Keep  []int  // stay open under their number; all others are closed
	// Terminal: descriptor 0 is to be the controlling terminal of a new session.
	Terminal bool
	Session  bool    // the command leads a session
	Umask    *int    // nil is the caller's
	Nice     int     // added to the caller's niceness
	Room     *Room   // nil: the caller's namespaces
	Limits   []Limit // beside those that the caller has
	GivenUp  uint64  // capabilities that the command loses for good, as bits; with Limits also that to raise them
	Domain   *Domain
	Filters  [][]unix.SockFilter

	apart bool // the tracer is not dumpable, and the first stage shall be
}

// gives are the capabilities that are given up.
func (c *Command) gives() uint64 {
	if len(c.Limits) > 0 {
		return c.GivenUp | 1<<unix.CAP_SYS_RESOURCE
	}
	return c.GivenUp
}

// needs are the descriptors that the first stage uses, ascending.
func (c *Command) needs() []int {
	need := slices.DeleteFunc(slices.Concat(c.Files, c.Keep), func(fd int) bool { return fd < 0 })
	if c.Domain != nil {
		need = append(need, c.Domain.fd)
	}
	slices.Sort(need)
	return slices.Compact(need)
}

// hidden says whether this process has cleared its dumpable flag. A first stage
// that shares its memory could then not be seized without privilege.
func hidden() (bool, error) {
	state, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return false, &Error{Op: "prctl PR_GET_DUMPABLE", Errno: err.(unix.Errno)}
	}
	return state != 1, nil
}

// Limit is the most of a resource that the command may have, and cannot raise.
type Limit struct {
	Resource int // unix.RLIMIT_FSIZE, ...
	Most     uint64
}

// Error is a step of the first stage that failed.
type Error struct {
	Op    string // the system call, or what it was for: "make the folder"
	Path  string // for chdir, execve and mounts
	Errno unix.Errno
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Op + ": " + e.Errno.Error()
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Errno)
}

func (e *Error) Unwrap() error { return e.Errno }
