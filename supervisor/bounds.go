package supervisor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"callgate/policy"
	"callgate/supervisor/audit"
	"callgate/supervisor/cgroup"

	"golang.org/x/sys/unix"
)

// Reached is a limit that ended a sandbox.
type Reached struct {
	Resource policy.Resource
	Limit    policy.Limit
	Used     int64 // nanoseconds of a time, bytes of a size
}

// TimedOut says whether it was one on time.
func (r *Reached) TimedOut() bool { return r != nil && r.Resource <= policy.CPUTime }

// String is "wall-time 10s, used 10.02s".
func (r *Reached) String() string {
	return r.Resource.String() + " " + r.Resource.Text(r.Limit.Most) + ", used " + r.Resource.Rounded(r.Used)
}

// bounds end a sandbox from outside of its trace loop, which sleeps in a wait: for a
// limit, or for who called Run. It is enough to kill the command: at its death the
// loop kills the rest. Timers and the tracer's thread meet here.
type bounds struct {
	limits policy.Limits
	grace  time.Duration
	put    func(*audit.Event)
	event  audit.Event // what all of its events have in common
	linger bool

	mu      sync.Mutex
	command int         // a pidfd of its process, -1 where there is none
	others  map[int]int // under linger: pidfds by process
	over    bool        // the sandbox is gone
	killed  bool        // SIGKILL was sent
	reached *Reached
	began   time.Time
	timers  [alarms]*time.Timer
	group   *cgroup.Group
	given   bool // the group is the caller's
	usage   usage
	folders folders
}

// alarm is what a timer is for.
type alarm int

const (
	wallAlarm alarm = iota
	cpuAlarm
	memoryAlarm
	folderAlarm
	graceAlarm
	alarms
)

// begin starts to hold the sandbox to its limits; its command is about to start.
func (b *bounds) begin(pid int, watched bool) error {
	b.began = time.Now()
	if !watched && !b.linger && !b.limits.Any() {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.command, b.event.PID, b.event.TID = fd, pid, pid
	if b.linger {
		b.others = map[int]int{}
	}
	if wall := time.Duration(b.limits[policy.WallTime].Most); wall > 0 {
		b.after(wallAlarm, wall, func() { b.reach(policy.WallTime, int64(time.Since(b.began))) })
	}
	b.watch()
	return nil
}

// enclose puts the first stage where its memory, and that of all that comes of it, is
// limited. A kernel that asks who adds it, and not who opened the group (see package
// cgroup), leaves the memory of a given one to be sampled.
func (b *bounds) enclose(pid int) error {
	if b.group == nil {
		return nil
	}
	err := b.group.Add(pid)
	if b.given && errors.Is(err, os.ErrPermission) {
		b.group = nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("the cgroup of the limit on memory: %w", err)
	}
	return nil
}

// after has f called, always the same for one alarm. Precondition: mu is held.
func (b *bounds) after(a alarm, d time.Duration, f func()) {
	switch {
	case b.over || b.reached != nil && a != graceAlarm:
	case b.timers[a] == nil:
		b.timers[a] = time.AfterFunc(d, f)
	default:
		b.timers[a].Reset(d)
	}
}

// end gives everything back.
func (b *bounds) end() error {
	defer b.folders.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	for _, t := range b.timers {
		if t != nil {
			t.Stop()
		}
	}
	if b.command >= 0 {
		unix.Close(b.command)
		b.command = -1
	}
	for _, fd := range b.others {
		unix.Close(fd)
	}
	b.others = nil
	if b.group == nil {
		return nil
	}
	b.usage.memory = b.group.Peak()
	if b.given {
		return nil
	}
	return b.group.Remove()
}

// reach ends the sandbox for a limit, the first one only. What a command has written
// before it ended may be passed on after that.
func (b *bounds) reach(r policy.Resource, used int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over && r != policy.Output || b.killed || b.reached != nil {
		return
	}
	reached := &Reached{r, b.limits[r], used}
	if !reached.TimedOut() || b.grace <= 0 {
		b.reached = reached
		b.tell(reached, "SIGKILL")
		b.signal(unix.SIGKILL)
		return
	}
	b.after(graceAlarm, b.grace, b.kill)
	b.reached = reached
	b.tell(reached, "SIGTERM, and SIGKILL after "+b.grace.String())
	b.signal(unix.SIGTERM)
	b.signal(unix.SIGCONT) // a stopped process takes no SIGTERM
}

// cancel ends the sandbox for who called Run.
func (b *bounds) cancel() {
	if !b.linger {
		b.kill()
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.after(graceAlarm, b.grace, b.kill)
		b.signal(unix.SIGTERM)
		b.signal(unix.SIGCONT)
	}
}

// kill ends the sandbox at once.
func (b *bounds) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.signal(unix.SIGKILL)
	}
}

// signal sends a signal to the command, or to what it left behind. Precondition: mu
// is held.
func (b *bounds) signal(sig unix.Signal) {
	b.killed = b.killed || sig == unix.SIGKILL
	if b.command >= 0 && send(b.command, sig) {
		return
	}
	for _, fd := range b.others {
		send(fd, sig)
	}
}

// send says whether the signal was sent. Who may not kill what has become another
// user's, root without CAP_KILL, can still end it by its own end
// (PTRACE_O_EXITKILL): a limit holds whatever the command is.
func send(pidfd int, sig unix.Signal) bool {
	err := unix.PidfdSendSignal(pidfd, sig, nil, 0)
	if sig == unix.SIGKILL && err != nil && err != unix.ESRCH {
		panic("the sandbox cannot be killed but by the end of its tracer: " + err.Error())
	}
	return err == nil
}

// refused tells of a limit at which calls fail, once.
func (b *bounds) refused(r policy.Resource, used int64, end string) {
	b.tell(&Reached{r, b.limits[r], used}, end)
}

func (b *bounds) tell(r *Reached, end string) {
	e := b.event
	e.Time = time.Now()
	e.LimitInfo = &audit.LimitInfo{Limit: r.Resource.String(), Most: figure(r.Resource, r.Limit.Most), Used: figure(r.Resource, r.Used),
		By: source(r.Limit.Pos), End: end}
	b.put(&e)
}

func figure(r policy.Resource, amount int64) float64 {
	if r <= policy.CPUTime {
		return time.Duration(amount).Seconds()
	}
	return float64(amount)
}

func source(pos policy.Position) string {
	pos.Col = 0
	return pos.String()
}

// born takes in a new process.
func (b *bounds) born(pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.usage.born(pid)
	if b.others == nil || b.over {
		return
	}
	if fd, err := unix.PidfdOpen(pid, 0); err == nil { // else it is dead
		b.others[pid] = fd
	}
}

// died takes note of a process's death, and what it has used.
func (b *bounds) died(pid int, cpu time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.usage.died(pid, cpu)
	if fd, ok := b.others[pid]; ok {
		unix.Close(fd)
		delete(b.others, pid)
	}
}

// starved says whether a process was killed for want of memory.
func (b *bounds) starved() {
	if b.group != nil && b.group.Kills() > 0 {
		b.reach(policy.Memory, b.group.Peak())
	}
}

// ended says whether the whole sandbox is to end with the command.
func (b *bounds) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reached != nil || b.killed
}
