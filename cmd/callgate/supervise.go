package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"callgate/policy"
	"callgate/supervisor"
	"callgate/supervisor/audit"
	"callgate/supervisor/cgroup"
	"callgate/supervisor/client"
	"callgate/supervisor/launch"
	"callgate/supervisor/scratch"
	"callgate/supervisor/server/handover"
	"callgate/supervisor/server/journal"
	"callgate/supervisor/server/work"

	"golang.org/x/sys/unix"
)

// supervise has the jobs of one user's that callgated gives it, one after the other: it is
// `callgate supervise`, which only the daemon starts, and outlives that while it has a
// job. What it returns is for a person who called it by hand, or for the daemon's log.
func supervise() error {
	unix.CloseOnExec(handover.HandFD)
	signal.Ignore(unix.SIGPIPE)
	complaints, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("supervise: %w", os.NewSyscallError("fcntl", err))
	}
	var known known
	var as *handover.Identity
	for fresh := true; ; fresh = false {
		spec, files, err := handover.Await()
		if fresh && err == nil {
			as = spec.As
		}
		switch {
		case errors.Is(err, handover.ErrNone):
			return nil
		case err != nil:
			return fmt.Errorf("supervise is for callgated to start: %w", err)
		case spec.Tidies():
			return tidy(spec)
		case !fresh && !spec.As.Is(as):
			return errors.New("supervise: the job is of another user's than the last")
		}
		s := &supervised{spec: *spec, files: files, known: &known, pidfd: -1}
		s.out = s.file(handover.ResultFile)
		err = s.do(fresh)
		last := err != nil || s.unsound
		if !last { // who has its last job keeps all descriptors: by their end the daemon would take it for free
			s.leave(complaints)
		}
		// The daemon stores the result meanwhile; the file is for the next one, if there is none now.
		if err = errors.Join(err, s.out.Sync(), s.out.Close()); err != nil || last {
			return err
		}
	}
}

// softFiles is the soft limit on descriptors that the kernel gives its first process. That
// on all that a job can have is limits.open-files'.
const softFiles = 1024

// supervised is one job of callgated's.
type supervised struct {
	spec    handover.Spec
	files   []int // package handover's, -1 where one is closed
	known   *known
	set     policy.Set
	tmp     *scratch.Folder // its private temporary one; or nil
	memory  *cgroup.Group   // made as root, for a user who could make none; or nil
	journal *journal.Writer
	disk    int      // the journal's, while that is open
	out     *os.File // for the result
	control *os.File
	unsound bool // something of the sandbox may be left: this process is to have no other

	mu      sync.Mutex
	pid     int   // of the command, 0 before it started
	pidfd   int   // likewise, -1: its number may be another's by and by
	waiting []int // signals for it, as OrderSignal has them; negative ones for the group
}

// errKilled is why a job's sandbox was ended from outside.
var errKilled = errors.New("killed")

// do does the whole job; fresh says that this process has had none, and is root if the
// daemon is. With an error this is its last.
func (s *supervised) do(fresh bool) error {
	if err := unix.Dup3(s.files[handover.LogFile], 2, 0); err != nil {
		return fmt.Errorf("supervise: %w", os.NewSyscallError("dup3", err))
	}
	unloadable := s.load()
	if fresh {
		launch.FewFiles(softFiles)
		if err := become(s.spec.As); err != nil {
			return fmt.Errorf("supervise: %w", err)
		}
	}
	s.control = s.file(handover.ControlFile)
	s.disk = s.files[handover.JournalFile]
	written := s.file(handover.JournalFile)
	s.journal = journal.NewWriter(&grower{written, s.files[handover.AliveFile]}, journal.Quota{Output: s.spec.OutputBytes, Audit: s.spec.AuditBytes}, s.room)
	result := s.result(unloadable)
	told := make(chan error, 1)
	go func() { told <- s.tell(result, written) }()
	if s.tmp != nil {
		_ = s.tmp.Remove() // what is left, the daemon or the next run sweeps up
	}
	var err error
	if s.spec.Own {
		err = scratch.Empty(s.spec.Work) // the daemon tries again, and tells of it
	}
	return errors.Join(<-told, err)
}

// tell writes the result, once what it speaks of is on the disk.
func (s *supervised) tell(result *handover.Result, written *os.File) (err error) {
	result.StdoutBytes, result.StderrBytes, result.DroppedBytes, err = s.journal.Close()
	err = errors.Join(err, written.Sync(), written.Close())
	if err != nil && result.Message == "" {
		result.Message = "not all could be stored: " + err.Error()
	}
	s.unsound = s.unsound || err != nil
	result.Last = s.unsound
	return handover.WriteResult(s.out, result)
}

// file is one of the job's files; whoever asks closes it.
func (s *supervised) file(which int) *os.File {
	f := os.NewFile(uintptr(s.files[which]), "handed")
	s.files[which] = -1
	return f
}

// shut closes one, if it is there still.
func (s *supervised) shut(which int) {
	if which < len(s.files) && s.files[which] >= 0 {
		unix.Close(s.files[which])
		s.files[which] = -1
	}
}

// leave gives up all that is the job's, 2 for complaints again. With AliveFile the daemon
// takes the job for over.
func (s *supervised) leave(complaints int) {
	_ = unix.Chdir("/")
	_ = unix.Dup3(complaints, 2, 0)
	if s.control != nil {
		_ = s.control.Close() // obey ends
	}
	s.mu.Lock() // of whom obey still heard
	defer s.mu.Unlock()
	if s.pidfd >= 0 {
		unix.Close(s.pidfd)
		s.pidfd = -1
	}
	for which := range s.files {
		if which != handover.AliveFile {
			s.shut(which)
		}
	}
	s.shut(handover.AliveFile)
}

// load loads the job's policies, which are texts, and makes the cgroup for their limit on
// memory while this process may.
func (s *supervised) load() (err error) {
	if s.set, err = s.policies(); err != nil {
		return err
	}
	if most := s.set.Limits()[policy.Memory].Most; most > 0 && s.spec.As != nil && s.spec.As.UID != 0 && unix.Geteuid() == 0 {
		s.memory, _ = cgroup.New(most) // where there is none, memory is sampled
	}
	return nil
}

// tidy removes what runs have left, for the daemon.
func tidy(spec *handover.Spec) error {
	err := become(spec.As)
	if err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	if spec.Empty != "" {
		err = scratch.Empty(spec.Empty)
	}
	if spec.Sweep {
		err = errors.Join(err, scratch.Sweep(handover.TempDir))
	}
	return err
}

// grower tells the daemon, if it is there, of what is written to the journal.
type grower struct {
	f     *os.File
	alive int
}

func (g *grower) Write(p []byte) (int, error) {
	n, err := g.f.Write(p)
	if err != nil {
		return n, err
	}
	_, _ = unix.Write(g.alive, []byte{1}) // EPIPE: no daemon now; EAGAIN: it has enough to wake it
	return n, err
}

// room says whether the daemon's disk has more than its reserve.
func (s *supervised) room() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(s.disk, &st) != nil || int64(st.Bavail)*st.Bsize > s.spec.Reserve
}

// result runs the job and says how it ended. unloadable is what is wrong with its
// policies.
func (s *supervised) result(unloadable error) *handover.Result {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go s.obey(cancel)
	err := unloadable
	if err == nil {
		err = s.fillInTime(ctx)
	}
	if err != nil {
		return s.verdict(ctx, nil, err)
	}
	result, err := s.run(ctx)
	r := s.verdict(ctx, result, err)
	if len(s.spec.Collect) > 0 {
		if err := s.collect(ctx); err != nil && r.Message == "" {
			r.Message = "not all files could be collected: " + err.Error()
		}
	}
	return r
}

// fillInTime fills the working folder, which counts as time of its own that the
// limit on time bounds.
func (s *supervised) fillInTime(ctx context.Context) error {
	if most := s.spec.Limits.WallSeconds; most > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(most*float64(time.Second)))
		defer stop()
	}
	return s.fill(ctx)
}

func failedJob(err error) *handover.Result {
	f := &failure{status: exitCallgate, err: err}
	errors.As(err, &f)
	var lines []string
	if f.err != nil {
		lines = linesOf(f.err)
	}
	if f.hint != "" {
		lines = append(lines, "hint: "+printable(f.hint))
	}
	text := strings.Join(lines, "\n")
	return &handover.Result{Result: client.Result{Cause: client.ByFailure, Status: f.status, Message: text}}
}

// verdict says how the job ended.
func (s *supervised) verdict(ctx context.Context, result *supervisor.Result, err error) *handover.Result {
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errKilled):
		return &handover.Result{Ran: true, Result: client.Result{Cause: client.ByKill, Status: 128 + int(unix.SIGKILL), Signal: "SIGKILL"}}
	case errors.Is(err, work.ErrDisk):
		return &handover.Result{Result: client.Result{Cause: client.ByLimit, Status: 128 + int(unix.SIGKILL), Limit: "disk_bytes", Message: work.ErrDisk.Error()}}
	case errors.Is(err, work.ErrInodes):
		return &handover.Result{Result: client.Result{Cause: client.ByLimit, Status: 128 + int(unix.SIGKILL), Limit: "inodes", Message: work.ErrInodes.Error()}}
	case errors.Is(err, context.DeadlineExceeded):
		return &handover.Result{Result: client.Result{Cause: client.ByLimit, Status: 124, Limit: "wall_seconds", Message: "the limit on wall-time was reached before the command began"}}
	case err != nil:
		return failedJob(commandFailure(s.spec.Argv[0], err))
	}
	r := &handover.Result{Ran: true, Result: client.Result{Cause: client.ByExit, Status: result.Status}, Usage: usage(&result.Totals)}
	if result.Signal != 0 {
		r.Cause, r.Signal = client.BySignal, unix.SignalName(result.Signal)
	}
	if result.Limit != nil {
		r.Cause, r.Limit = client.ByLimit, apiLimits[result.Limit.Resource.String()]
		r.Message = "the limit on " + result.Limit.Resource.String() + " was reached"
	}
	return r
}

// apiLimits are the API's, by a policy's.
var apiLimits = map[string]string{
	"wall-time": "wall_seconds", "cpu-time": "cpu_seconds", "memory": "memory_bytes", "processes": "processes",
	"open-files": "open_files", "file-size": "file_bytes", "output": "output_bytes",
	"disk": "disk_bytes", "inodes": "inodes",
}

func usage(t *audit.Totals) client.Usage {
	return client.Usage{
		WallSeconds: t.WallSeconds, UserSeconds: t.UserSeconds, SystemSeconds: t.SystemSeconds,
		MaxRSSBytes: t.MaxRSSBytes, Processes: t.Processes, Threads: t.Threads,
		Stops: t.Stops, Denied: t.Denied, Logged: t.Logged, Killed: t.Killed,
	}
}

// obey takes the daemon's orders.
func (s *supervised) obey(cancel context.CancelCauseFunc) {
	orders := bufio.NewScanner(s.control)
	for orders.Scan() {
		verb, rest, _ := strings.Cut(orders.Text(), " ")
		number, _ := strconv.Atoi(rest)
		switch verb {
		case handover.OrderKill:
			cancel(errKilled)
		case handover.OrderEnd:
			s.endInput()
		case handover.OrderSignal:
			s.signal(number)
		case handover.OrderGroup:
			s.signal(-number)
		}
	}
}

func (s *supervised) endInput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut(handover.InputFile) // a FIFO, to which nothing was written through this
}

// signal sends a signal, a negative one to the group. Before the command has
// started it waits.
func (s *supervised) signal(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.pid == 0:
		s.waiting = append(s.waiting, number)
	case number >= 0:
		_ = unix.PidfdSendSignal(s.pidfd, unix.Signal(number), nil, 0) // ESRCH: it has ended
	case unix.PidfdSendSignal(s.pidfd, 0, nil, 0) == nil: // its group is still that
		_ = unix.Kill(-s.pid, unix.Signal(-number))
	}
}

// started is called when the command is about to run.
func (s *supervised) started(pid int) {
	s.mu.Lock()
	s.pid = pid
	s.pidfd, _ = unix.PidfdOpen(pid, 0) // it is being traced, and has not been waited for
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, number := range waiting {
		s.signal(number)
	}
}

// texts is the policies that the daemon sent along; there are no others.
func (s *supervised) texts() *policy.Loader {
	l := loader()
	l.ReadFile = func(name string) ([]byte, error) {
		if text, ok := s.spec.Texts[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	return l
}
