package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/launch"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// An isolated sandbox is made in this order: the first stage, and with a pid
// namespace before it that one's process 1, is started in new namespaces
// (launch.Room); it mounts what roomOf says and stops; its root is then what names
// and Landlock's grants are looked up in; it gives up its capabilities and goes on
// as any first stage does.

// IsolationError says that what was to be a sandbox's own cannot be had here.
type IsolationError struct {
	Isolation policy.Isolation
	Err       error
}

func (e *IsolationError) Error() string {
	return "cannot isolate " + e.Isolation.String() + ": " + e.Err.Error()
}

func (e *IsolationError) Unwrap() error { return e.Err }

// namespaces are clone(2)'s flags. A new /proc takes new mounts.
func namespaces(n policy.Isolation) int {
	flags := 0
	for is, flag := range map[policy.Isolation]int{
		policy.IsolatePid: unix.CLONE_NEWPID | unix.CLONE_NEWNS, policy.IsolateNet: unix.CLONE_NEWNET, policy.IsolateIPC: unix.CLONE_NEWIPC,
		policy.IsolateMount: unix.CLONE_NEWNS, policy.IsolateUTS: unix.CLONE_NEWUTS, policy.IsolateCgroup: unix.CLONE_NEWCGROUP,
	} {
		if n&is != 0 {
			flags |= flag
		}
	}
	return flags
}

// kept are the capabilities that root's commands keep: over files, users and
// ports, as in common containers. None of them reaches mounts, devices or the
// kernel.
const kept = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_KILL |
	1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETPCAP | 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_SYS_CHROOT |
	1<<unix.CAP_AUDIT_WRITE | 1<<unix.CAP_SETFCAP

// isolation is what the policies ask for. A permissive sandbox has none of it.
func (s *sandbox) isolation() policy.Isolation {
	if s.opt.Permissive {
		return 0
	}
	return s.plan.Set.Isolation()
}

// roomOf is what the sandbox is to have of its own, nil if nothing.
func (s *sandbox) roomOf(cmd *Command) (*launch.Room, error) {
	n := s.isolation()
	if err := s.mountable(n, cmd); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, nil
	}
	if err := handedFolder(cmd); n&policy.IsolateMount != 0 && err != nil {
		return nil, &IsolationError{n, err}
	}
	room := &launch.Room{Namespaces: namespaces(n)}
	privileged := launch.HasPrivilege()
	if !privileged {
		room.Namespaces |= unix.CLONE_NEWUSER
	}
	if os.Geteuid() == 0 {
		room.Capabilities = kept
	}
	if room.Namespaces&unix.CLONE_NEWNS == 0 {
		return room, nil
	}
	f := furnisher{isolation: n, privileged: privileged, metadata: s.holders.Mounts}
	if n&policy.IsolateMount != 0 {
		f.writable = s.writable(cmd)
		if err := f.seen(cmd, s.plan); err != nil {
			return nil, err
		}
	}
	room.Mounts = f.mounts()
	return room, nil
}

// mountable refuses a command that the plan's mounts would not hold.
func (s *sandbox) mountable(n policy.Isolation, cmd *Command) error {
	if !s.holders.Mounts {
		return nil
	}
	if n&policy.IsolateMount == 0 {
		return errors.New("BUG: the plan leaves changes of metadata to mounts that nobody makes")
	}
	if err := unmounted(s.plan.Sections(), cmd); err != nil {
		return fmt.Errorf("the plan leaves changes of metadata to the sandbox's mounts: %w", err)
	}
	return nil
}

// handedFolder refuses folders among the descriptors that the command is to get:
// they lead back out of its mounts.
func handedFolder(cmd *Command) error {
	for _, fd := range handedDown(cmd) {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return fmt.Errorf("descriptor %d is a folder, which leads out of the sandbox's mounts", fd)
		}
	}
	return nil
}

// writes are Landlock's rights to change what there is.
const writes = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
	unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
	unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_TRUNCATE

// writable are the places that the policy lets the command write to, by the
// ruleset that permits all that it permits. Without a section files it names none.
func (s *sandbox) writable(cmd *Command) []string {
	var list []string
	for _, p := range cmd.Writable {
		if canonical, err := filepath.EvalSymlinks(p); err == nil {
			list = append(list, canonical)
		}
	}
	if s.holders.Files == compile.Nobody {
		return list
	}
	rules := s.plan.Landlock().Ruleset
	if rules.AccessFS&unix.LANDLOCK_ACCESS_FS_WRITE_FILE == 0 {
		return append(list, "/")
	}
	for _, g := range rules.Paths {
		if g.Access&writes != 0 {
			list = append(list, g.Path)
		}
	}
	return list
}

// freeze has Landlock hold as well that only writable places are written to,
// where no section files has it do so: also by way of descriptors from outside, and
// against mounts, which no domain with rights on files may change (landlock(7),
// "Filesystem topology modification").
func (s *sandbox) freeze(cmd *Command, rules *compile.Ruleset) {
	if rules.AccessFS&unix.LANDLOCK_ACCESS_FS_WRITE_FILE != 0 || slices.Contains(s.writable(cmd), "/") {
		return
	}
	handled := uint64(writes)
	if abi, err := launch.LandlockABI(); err == nil && abi < landlockTruncate {
		handled &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	rules.AccessFS |= handled
	rules.Paths = slices.Clone(rules.Paths)
	for _, p := range append(s.writable(cmd), "/tmp", "/dev", "/proc") {
		rules.Paths = append(rules.Paths, compile.PathGrant{Path: p, Access: handled})
	}
}

// landlockTruncate is the ABI of Landlock that has LANDLOCK_ACCESS_FS_TRUNCATE.
const landlockTruncate = 3

// seen adds what must be there though it is beneath /tmp: what rules let the
// command read, its program and its folder.
func (f *furnisher) seen(cmd *Command, plan *compile.Plan) error {
	dir, err := filepath.Abs(cmd.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return &StartError{Op: "chdir", Path: cmd.Dir, Err: err}
	}
	f.readable = append(f.readable, dir)
	f.readable = append(f.readable, launch.Executed(absolute(dir, cmd.Path))...)
	if plan.Sections() != nil {
		for _, g := range plan.Landlock().Ruleset.Paths {
			f.readable = append(f.readable, g.Path)
		}
	}
	cmd.Dir = dir
	for _, file := range cmd.Files {
		if file == nil {
			continue
		}
		name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
		if err == nil && strings.HasPrefix(name, "/dev/pts/") {
			f.terminal = name
		}
	}
	return nil
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// enterRoom takes the started process to where the first stage has its room and
// waits to go on, and gives the first stage's pid.
func (s *sandbox) enterRoom(stage *launch.Stage, room *launch.Room, domain *launch.Domain) (int, error) {
	if room.Namespaces&unix.CLONE_NEWUSER != 0 {
		if err := launch.MapIDs(stage.PID); err != nil {
			return 0, err
		}
	}
	stage.Go()
	first := stage.PID
	if room.Namespaces&unix.CLONE_NEWPID != 0 {
		child, err := s.firstOf(stage)
		if err != nil {
			return 0, err
		}
		first, s.inner, s.keeper = child, true, stage.PID
	}
	for {
		stop, err := s.kernel.Wait()
		switch {
		case err != nil:
			return first, fmt.Errorf("wait for the first stage: %w", err)
		case stop.TID != first:
		case stop.Kind == ptrace.SignalStop && stop.Signal == unix.SIGSTOP:
			return first, s.lookRound(first, domain)
		case stop.Gone():
			return 0, stageError(stage)
		default:
			if err := s.kernel.Resume(first, 0); err != nil {
				return first, err
			}
		}
	}
}

func stageError(stage *launch.Stage) error {
	if err := stage.Err(); err != nil {
		return err
	}
	return errors.New("the first stage was killed")
}

// firstOf has the keeper start the first stage, and lets it go: from then on it
// only reaps.
func (s *sandbox) firstOf(stage *launch.Stage) (int, error) {
	for {
		stop, err := s.kernel.Wait()
		switch {
		case err != nil:
			return 0, fmt.Errorf("wait for process 1: %w", err)
		case stop.TID != stage.PID:
			s.kernel.Take(stop.TID) // the first stage's first stop, before it was announced
		case stop.Gone():
			return 0, stageError(stage)
		case stop.Kind != ptrace.Cloned:
			if err := s.kernel.Resume(stage.PID, 0); err != nil {
				return 0, err
			}
		default:
			return s.letGo(stage.PID)
		}
	}
}

// letGo ends the tracing of the keeper and has the child that it has just started
// go on from its first stop.
func (s *sandbox) letGo(keeper int) (int, error) {
	child, err := s.kernel.Message(keeper)
	if err != nil {
		return 0, err
	}
	if err := s.kernel.Detach(keeper); err != nil {
		return 0, err
	}
	for {
		err := s.kernel.Resume(child, 0)
		if err != unix.ESRCH { // it has come to its first stop, or never will
			return child, err
		}
		stop, err := s.kernel.Wait()
		if err != nil {
			return 0, fmt.Errorf("wait for the first stage: %w", err)
		}
		if stop.TID == child && stop.Kind != ptrace.EventStop {
			return 0, fmt.Errorf("not the first stage's first stop: %v", stop)
		}
	}
}

// lookRound takes the first stage's root for that of all names.
func (s *sandbox) lookRound(first int, domain *launch.Domain) error {
	root, err := unix.Open("/proc/"+strconv.Itoa(first)+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the sandbox's root: %w", err)
	}
	if err := domain.Grant(root); err != nil {
		unix.Close(root)
		return err
	}
	if s.resolver == nil {
		return unix.Close(root)
	}
	s.root = root
	return s.resolver.Enter(root, s.inner)
}

// abandon ends what was started of a sandbox that cannot be.
func (s *sandbox) abandon(pids ...int) {
	for _, pid := range pids {
		if pid > 0 && s.kernel.Traced(pid) { // or a child: the number is still its
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	for {
		stop, err := s.kernel.Wait()
		if err != nil {
			return
		}
		if !stop.Gone() {
			s.kernel.Take(stop.TID)
		}
	}
}
