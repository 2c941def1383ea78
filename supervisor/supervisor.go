// Package supervisor runs a command under a plan: it starts it behind the
// plan's filters, traces every task that descends from it, decides the calls
// that the filters send to it, and returns when the last task is gone.
//
// # Files
//
//   - starting: run.go (the loop itself too), find.go, files.go
//   - the loop: sandbox.go (what a stop asks for), births.go, turn.go, placement.go;
//     kernel.go, proc.go (what the kernel is asked)
//   - judging a call: call.go; named.go, opened.go, found.go, program.go (files);
//     address.go, unixname.go, message.go, listen.go (network)
//   - having it made as judged: order.go, held.go, rewrite.go, pin.go, arm.go
//   - limits: limits.go, bounds.go, usage.go, population.go, folders.go, unlinked.go,
//     output.go
//   - isolation: room.go, furnish.go, metadata.go
//   - asking: question.go
//   - telling: tell.go, totals.go, finding.go
//
// # Limits
//
// A Run takes its caller's operating-system thread while it lasts, which is the tracer of all the
// sandbox's tasks, and waits for all children of that thread: it must have no others (os/exec
// starts a process as a child of whatever thread it is on). Runs do not share anything and may go
// on side by side. A
// sandbox cannot be traced by anyone else meanwhile (ptrace(2): one tracer a
// task). Calls 335 and 336 (uretprobe, uprobe) never reach a filter on kernels
// that have them (Linux commit cf6eb547a24a).
package supervisor

import (
	"context"
	"os"
	"runtime"
	"time"

	"callgate/policy/compile"
	"callgate/supervisor/audit"
	"callgate/supervisor/cgroup"

	"golang.org/x/sys/unix"
)

// Command is the program to run.
type Command struct {
	Path string   // the file to execute, as Find returns it
	Args []string // argv, Args[0] the name it is called by
	Env  []string // KEY=VALUE; all of its environment
	Dir  string   // its working folder; "" is the caller's
	// Files become descriptors 0, 1, 2 and so on; a nil entry is closed. Every
	// other descriptor of the caller's is closed but for Keep's.
	Files []*os.File
	Keep  []int // descriptors of the caller's that stay open under their number
	// Terminal: Files[0] is a terminal, and becomes the controlling one of a session
	// of the command's own.
	Terminal bool
	// Session: the command leads a session of its own, without a terminal. Without it, or
	// Terminal, it is in the caller's session and process group, and a signal to that
	// reaches both.
	Session bool
	// Writable are paths that an isolated command (policy.Set.Isolation)
	// can write to in its view of the system, beside those of the plan's section
	// files and a /tmp of its own.
	Writable []string
	// Own are folders of the command's own: what they hold is what limits on disk and inodes
	// are about.
	Own   []string
	Umask *int // its file mode creation mask (umask(2)); nil is the caller's
	Nice  int  // what is added to the caller's niceness (nice(2))
}

// Options are what a run needs beside its plan.
type Options struct {
	Sandbox    string     // the sandbox's name in events
	Audit      audit.Sink // every event; nil: nowhere
	Terminal   audit.Sink // what a person is told: denials and the end; nil: nowhere
	Permissive bool       // enforce nothing but limits, report everything
	// Found is told of all that policies say log to or do not permit, on the tracer's thread;
	// nil: nobody. What is logged and no rule could permit is denied then.
	Found func(Finding)
	// Grace is how long the command may take to end after SIGTERM, for a limit on
	// time, before all is killed.
	Grace time.Duration
	// Linger lets go on what the command leaves behind: Run supervises it, and
	// returns when the last process is gone. When Run's context ends, all get SIGTERM,
	// and SIGKILL after Grace; the result is the command's even so.
	Linger bool
	// Memory is a cgroup for a limit on memory, which the caller made while it had
	// more privileges than now. Run does not remove it. nil: Run makes one where it can.
	Memory *cgroup.Group

	// Ask starts a process that puts the question of a call to somebody, and gives its
	// pid. Its exit status is the answer (AnswerYes). It runs on the tracer's thread,
	// whose child the process must be, and should not take long; it must not keep the
	// event. The process is killed when nobody needs the answer any more. nil: nobody can
	// be asked, and what policies ask about is denied.
	Ask func(*audit.Event) (pid int, err error)

	// Started is called once, with the command's process, when that is about
	// to run its first instruction. Stopped is called when a signal has stopped
	// the command's process as job control does (SIGSTOP, SIGTSTP, SIGTTIN,
	// SIGTTOU). Both run on the tracer's thread, so that nothing of the
	// sandbox's goes on before they return; both may be nil.
	Started func(pid int)
	Stopped func(sig unix.Signal)
	// Left is called once, likewise, when the command has ended and others go on (Linger).
	Left func()
}

// Result is how a command ended.
type Result struct {
	Status int         // its exit status, 128+N where signal N ended it, 124 where a limit on time did
	Signal unix.Signal // that signal, 0 if it exited
	Limit  *Reached    // the limit that ended it, nil if none did
	Totals audit.Totals
	Wall   time.Duration
}

// StartError says that the command could not be started, and at what.
// errors.Is(err, fs.ErrNotExist) tells a command that is not there from one that
// cannot be executed.
type StartError struct {
	Op   string // the system call, or what it was for: "execve", "make the folder"
	Path string // for execve, chdir and mounts
	Err  error  // the errno
}

func (e *StartError) Error() string {
	if e.Path == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Path + ": " + e.Err.Error()
}

func (e *StartError) Unwrap() error { return e.Err }

// Run starts cmd under plan and returns when every task of the sandbox is
// gone. When the command itself ends, what is left of its tree is killed, but for
// Linger. The limits are those of the plan's policies. When
// ctx ends, the whole sandbox is killed and Run returns ctx's error.
//
// The caller's environment and descriptors reach the command only as cmd says. The
// command has the credentials of the thread that calls this, its session keyring too.
func Run(ctx context.Context, plan *compile.Plan, cmd Command, opt Options) (*Result, error) {
	runtime.LockOSThread() // ptrace(2) takes requests from the tracer's thread alone
	defer runtime.UnlockOSThread()
	return newSandbox(plan, cmd, opt).run(ctx, cmd)
}
