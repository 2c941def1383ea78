// Package handover is what the daemon and the supervisor of a job, a process of its
// own (`callgate supervise`), have between them: the job's description, the
// descriptors that come with it, and the supervisor's last word on it.
//
// The supervisor of root's daemon starts as root and becomes the job's user, without an
// execve after that: other processes of the user's can then neither trace it nor
// take its descriptors (PR_SET_DUMPABLE in prctl(2)). It gets open descriptors rather than
// names: the folder that they lie in is the daemon's, and the job's user
// may not change what is there.
//
// A supervisor can be started before there is a job for it: it waits for one, and ends
// where none comes. It has one job at a time: when one is over it closes what came with
// that, AliveFile last, and waits for the next, unless something went wrong. The next is of
// the same user.
package handover

import (
	"slices"

	"callgate/supervisor/client"
)

// Version is that of this package's forms. A supervisor that is of another
// version than its daemon refuses the job.
const Version = 4

// NoHome is the home folder of a user whom the host's list of users does not have: one
// that is not there. `/` would have a policy's read: ~ open the whole file system.
const NoHome = "/nonexistent"

// HandFD is the descriptor of a supervisor by which its jobs come, a socket: see Give.
// Beside it there are 0 and 1, which are /dev/null, and 2, for its complaints before its first
// job.
const HandFD = 3

// Descriptors that come with a job that is to be run, in this order.
const (
	LogFile       = iota // the supervisor's complaints
	JournalFile          // package journal, at its end
	ResultFile           // Result as JSON and a newline, once
	ControlFile          // a FIFO: the daemon's orders, one a line
	AliveFile            // a FIFO, to write: a byte whenever the journal has grown, its end when the job is over
	BegunFile            // gets a byte before the command's first instruction
	CollectedFile        // a tar of the files that were collected; /dev/null where none are to be
	StdinFile            // the command's standard input
	InputFile            // what keeps that open, with Spec.InputOpen
	mostFiles
)

// Orders on ControlFile. OrderSignal and OrderGroup take a signal's number after a space.
const (
	OrderKill   = "kill"
	OrderEnd    = "end" // of the command's open input
	OrderSignal = "signal"
	OrderGroup  = "group" // a signal to the command's process group
)

// Spec is what a supervisor is to do.
type Spec struct {
	ID       string
	Argv     []string
	Env      []string // NAME=VALUE, all of it
	Work     string   // the working folder, absolute
	CopyOf   string   // a folder to copy into Work first; "": none
	Own      bool     // Work is the job's own: files are put there
	Files    []client.File
	Collect  []string
	Policies []string // names, of Texts' keys and builtin:NAME
	Ceiling  int      // how many of them, the last ones, are the host's ceiling
	// Texts are all policies that are not built in, by name: nothing is read from
	// the file system.
	Texts     map[string]string
	Empty     string    // a folder to empty, and nothing else is to be done; "": none
	Sweep     bool      // likewise: remove what dead runs left in TempDir
	As        *Identity // whom the supervisor becomes; nil: who it is, which is not root
	State     string    // the daemon's folder, which no job reaches but for its own
	InputOpen bool

	Limits      client.Limits // the job's and the host's, the tightest of each
	OutputBytes int64         // what the journal takes of output
	AuditBytes  int64
	FilesBytes  int64 // of collected files
	Reserve     int64 // bytes to leave free on the daemon's disk
}

// Tidies says that there is no command, only something to be removed.
func (s *Spec) Tidies() bool { return s.Empty != "" || s.Sweep }

// TempDir is where private temporary folders of jobs are made.
const TempDir = "/tmp"

// Identity is whom a job is as.
type Identity struct {
	UID, GID uint32
	Groups   []uint32
}

// Is says whether both are the same user, in the same groups, or nil.
func (i *Identity) Is(other *Identity) bool {
	if i == nil || other == nil {
		return i == other
	}
	return i.UID == other.UID && i.GID == other.GID && slices.Equal(i.Groups, other.Groups)
}
