package supervisor

import (
	"bytes"
	"os"
	"strconv"

	"callgate/policy"
)

// population counts a sandbox's tasks for its limit on processes. A birth is
// counted before it happens: between the stop at the call and the event of the new
// task others may come. Zombies count too, as in the kernel's own limits.
type population struct {
	most       int64
	cloning    int              // calls that were let go, and whose task is not known yet
	earlyStops int              // new tasks that have stopped before their parent's event
	zombies    map[int]struct{} // processes that may not have been waited for by their parents
}

// births says whether j makes a task.
func (j *judged) births() bool {
	entry, ok := j.direct.Arch.Lookup(j.direct.Nr)
	return ok && entry.Births()
}

// mayClone says whether t may make one task more.
func (s *sandbox) mayClone(t *task) bool {
	p := &s.population
	if p.most == 0 {
		return true
	}
	if s.alive()+int64(len(p.zombies)) >= p.most {
		p.dropReaped()
	}
	if n := s.alive() + int64(len(p.zombies)); n >= p.most {
		if s.totals.Refused == 0 {
			s.bounds.refused(policy.Processes, n, "EAGAIN")
		}
		s.totals.Refused++
		return false
	}
	t.cloning = true
	p.cloning++
	return true
}

func (s *sandbox) alive() int64 {
	p := &s.population
	return int64(len(s.tasks) + max(p.cloning-p.earlyStops, 0))
}

// cloneDone is for a stop or the death of t: its birth has happened, or will not.
func (s *sandbox) cloneDone(t *task) {
	if t.cloning {
		t.cloning = false
		s.population.cloning--
		s.population.earlyStops = min(s.population.earlyStops, s.population.cloning)
	}
}

// abandoned is for the death of t: its new task, if it has one, is an orphan.
func (s *sandbox) abandoned(t *task) {
	if t.cloning {
		s.population.earlyStops = max(s.population.earlyStops-1, 0)
	}
	s.cloneDone(t)
}

// dropReaped forgets zombies that have been waited for.
func (p *population) dropReaped() {
	for pid := range p.zombies {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		i := bytes.LastIndex(text, []byte(") ")) // a program's name may have it too
		if err != nil || i < 0 || !bytes.HasPrefix(text[i+2:], []byte("Z")) {
			delete(p.zombies, pid)
		}
	}
}

// died is for a process's death: until its parent has waited for it, it is a zombie.
func (p *population) died(pid int) {
	if p.most > 0 {
		p.zombies[pid] = struct{}{}
	}
}
