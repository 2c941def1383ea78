package supervisor

import (
	"time"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// stopCounts are stops by call.
type stopCounts struct {
	native [nativeNumbers]uint64 // of this machine's own ABI, by number
	others map[stopKey]uint64
}

type stopKey struct {
	audit uint32
	nr    uint64
}

const (
	nativeNumbers = 512 // above those of all calls that there are
	// stopKinds bounds what a program that makes numbers up can have counted one by one.
	stopKinds = 1024
)

var nativeAudit = abi.Native().Audit()

func (c *stopCounts) add(i *ptrace.SyscallInfo) {
	if i.Audit == nativeAudit && i.Nr < nativeNumbers {
		c.native[i.Nr]++
		return
	}
	k := stopKey{i.Audit, i.Nr}
	if c.others == nil {
		c.others = map[stopKey]uint64{}
	}
	if len(c.others) >= stopKinds && c.others[k] == 0 {
		k = stopKey{}
	}
	c.others[k]++
}

// byCall are the counts by name, those of foreign ABIs with theirs: "i386:open".
func (c *stopCounts) byCall() map[string]uint64 {
	named := map[string]uint64{}
	for nr, n := range c.native {
		if n > 0 {
			named[syscallName(stopKey{nativeAudit, uint64(nr)})] += n
		}
	}
	for k, n := range c.others {
		named[syscallName(k)] += n
	}
	return named
}

func syscallName(k stopKey) string {
	arch, known := abi.Of(k.audit, k.nr)
	if !known {
		return "unknown"
	}
	entry, known := arch.Lookup(uint32(k.nr))
	switch {
	case !known:
		return "unknown"
	case arch != abi.Native():
		return arch.String() + ":" + entry.Name
	}
	return entry.Name
}

// count adds what a process has used with the children that it waited for: the
// command, and then what it left behind.
func (s *sandbox) count(u *unix.Rusage) {
	const block = 512 // bytes (getrusage(2) counts blocks of the file system's own, Linux these)
	s.totals.UserSeconds += seconds(u.Utime)
	s.totals.SystemSeconds += seconds(u.Stime)
	s.totals.MaxRSSBytes = max(s.totals.MaxRSSBytes, u.Maxrss<<10)
	s.totals.ReadBytes += u.Inblock * block
	s.totals.WrittenBytes += u.Oublock * block
}

func seconds(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// total fills in the figures of the end. Processes that nobody waited for are in the
// sum of clocks only, which does not tell user and system time apart.
func (s *sandbox) total(wall time.Duration) {
	t := &s.totals
	t.WallSeconds = wall.Seconds()
	if sum, cpu := t.UserSeconds+t.SystemSeconds, s.bounds.usage.dead.Seconds(); sum > 0 && cpu > 0 {
		t.UserSeconds, t.SystemSeconds = cpu*t.UserSeconds/sum, cpu*t.SystemSeconds/sum
	} else if cpu > 0 {
		t.UserSeconds = cpu
	}
	t.StopsBy = s.stops.byCall()
	t.OutputBytes = s.output.passed.Load()
	if s.bounds.limits.Has(policy.Memory) {
		t.PeakMemoryBytes, t.MemoryMeasure = s.bounds.memory()
	}
	s.result.Totals = *t
}

// memory is the most that the sandbox held, and how that is known.
func (b *bounds) memory() (peak int64, measure string) {
	if b.group != nil {
		return b.usage.memory, b.group.String()
	}
	return b.usage.memory, "sampled"
}
