package supervisor

import (
	"errors"
	"fmt"
	"time"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/audit"
	"callgate/supervisor/cgroup"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// prepareLimits takes the plan's limits and gives those that the kernel holds for
// each process by itself (setrlimit(2)).
func (s *sandbox) prepareLimits(cmd *Command) ([]launch.Limit, error) {
	b := &s.bounds
	b.limits, b.grace = s.plan.Set.Limits(), s.opt.Grace
	b.put = s.emit
	files := cmd.Files
	var err error
	s.output, cmd.Files, err = meter(files, b.limits[policy.Output].Most, func(used int64) { b.reach(policy.Output, used) })
	if err != nil || !b.limits.Any() {
		return nil, err
	}
	if b.limits.Has(policy.Processes) {
		if !s.plan.Births() {
			return nil, errors.New("the plan has a limit on processes, and no stops to count them")
		}
		s.population = population{most: b.limits[policy.Processes].Most, zombies: map[int]struct{}{}}
	}
	if most := b.limits[policy.Memory].Most; most > 0 {
		if err := s.enclosure(most); err != nil {
			return nil, err
		}
	}
	if b.limits.Has(policy.Disk) || b.limits.Has(policy.Inodes) {
		if err := b.folders.open(cmd.Own); err != nil {
			return nil, err
		}
	}
	if b.limits.Has(policy.CPUTime) || b.limits.Has(policy.Memory) || b.folders.fds != nil {
		b.usage.live = map[int]struct{}{}
	}
	return b.rlimits(), nil
}

// enclosure finds the cgroup for the limit on memory. Where there is none, memory is
// sampled.
func (s *sandbox) enclosure(most int64) error {
	b := &s.bounds
	if s.opt.Memory == nil {
		b.group, _ = cgroup.New(most)
		return nil
	}
	b.group, b.given = s.opt.Memory, true
	if err := b.group.Bound(most); err != nil {
		return fmt.Errorf("the cgroup of the limit on memory: %w", err)
	}
	return nil
}

var noCore = launch.Limit{Resource: unix.RLIMIT_CORE, Most: 0}

// rlimits are the limits of each process. The one on data only bounds what can be
// taken between two looks: mapping memory is not holding it.
func (b *bounds) rlimits() []launch.Limit {
	const between = 256 << 20
	list := []launch.Limit{noCore}
	add := func(r policy.Resource, resource int, most int64) {
		if b.limits.Has(r) {
			list = append(list, launch.Limit{Resource: resource, Most: uint64(most)})
		}
	}
	add(policy.OpenFiles, unix.RLIMIT_NOFILE, b.limits[policy.OpenFiles].Most)
	add(policy.FileSize, unix.RLIMIT_FSIZE, b.limits[policy.FileSize].Most)
	if b.group == nil {
		add(policy.Memory, unix.RLIMIT_DATA, 2*b.limits[policy.Memory].Most+between)
	}
	return list
}

// withoutCore keeps the kernel from writing core files: it asks Landlock alone, which may
// permit more than the supervisor's rules on files do (core(5)).
func (s *sandbox) withoutCore(limits []launch.Limit) []launch.Limit {
	if len(limits) > 0 || s.holders.Files != compile.Supervisor || s.opt.Permissive {
		return limits
	}
	return []launch.Limit{noCore}
}

// patience is how long to wait for who does not read the output, at the end of a
// sandbox that a limit has ended; 0 is for ever, as a command waits by itself.
func (s *sandbox) patience() time.Duration {
	if s.bounds.reached != nil || s.err != nil {
		return time.Second
	}
	return 0
}

// exitTimeout is timeout(1)'s.
const exitTimeout = 124

// applyLimit has the result say how a limit that was reached ended the command.
func (s *sandbox) applyLimit() {
	r := s.bounds.reached
	switch {
	case r == nil:
		return
	case r.TimedOut():
		s.result.Status, s.result.Signal = exitTimeout, 0
	default:
		s.result.Status, s.result.Signal = 128+int(unix.SIGKILL), unix.SIGKILL
	}
	s.result.Limit = r
}

// tooLarge tells of a file that outgrew its limit, once.
func (s *sandbox) tooLarge() {
	if most := s.bounds.limits[policy.FileSize].Most; most > 0 && !s.large {
		s.large = true
		s.bounds.refused(policy.FileSize, most, "SIGXFSZ")
	}
}

// limitEvent is what all events about limits have in common.
func limitEvent(sandbox string) audit.Event {
	return audit.Event{Sandbox: sandbox, Kind: audit.Limit}
}
