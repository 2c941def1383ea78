package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// ioClass is where an I/O priority has its class (ioprio_set(2)).
const ioClass = 13

// everywhere has this thread run where it may (sched_setaffinity(2)), and says where.
func everywhere(t *testing.T) (cpus unix.CPUSet) {
	t.Helper()
	all := unix.CPUSet{}
	all.Fill()
	if err := errors.Join(unix.SchedSetaffinity(0, &all), unix.SchedGetaffinity(0, &cpus)); err != nil {
		t.Fatal(err)
	}
	return cpus
}

// first is a CPU of those.
func first(cpus unix.CPUSet) (cpu int) {
	for !cpus.IsSet(cpu) {
		cpu++
	}
	return cpu
}

// favour gives this thread, and what it starts, what a unit can give a daemon: as root
// priority over others, as somebody else less of it; and one CPU.
func favour(t *testing.T) {
	t.Helper()
	nice, io, sched := -5, 2<<ioClass, unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 5}
	if os.Geteuid() != 0 {
		nice, io, sched = 5, 2<<ioClass|7, unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Nice: 5}
	}
	one := unix.CPUSet{}
	one.Set(first(everywhere(t)))
	_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, 1, 0, uintptr(io))
	if err := errors.Join(unix.SchedSetaffinity(0, &one), unix.Setpriority(unix.PRIO_PROCESS, 0, nice)); err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
	if err := unix.SchedSetAttr(0, &sched, 0); err != nil {
		lacking(t, "real-time scheduling (sched(7)): "+err.Error())
	}
}

// priorities are how a task is scheduled.
func priorities(t *testing.T, tid int) string {
	t.Helper()
	var cpus unix.CPUSet
	attr, err := unix.SchedGetAttr(tid, 0)
	if err = errors.Join(err, unix.SchedGetaffinity(tid, &cpus)); err != nil {
		t.Fatal(err)
	}
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(tid), 0)
	if err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
	return fmt.Sprintf("policy %d, nice %d, I/O %d:%d, %d CPUs", attr.Policy, 20-nice, io>>ioClass, io&(1<<ioClass-1), cpus.Count())
}

// TestPriorities: a job and its supervisor come before others no more than a login does,
// or than the daemon where that is less, and run on all CPUs.
func TestPriorities(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // for good: the thread ends with the test
	all := everywhere(t)
	ordinary := priorities(t, unix.Gettid())
	users := []string{"", "65534"}
	h := newHost(t, "spares: 1\n")
	favour(t)
	h.start()
	if os.Geteuid() != 0 {
		users, ordinary = users[:1], fmt.Sprintf("policy %d, nice 5, I/O 2:7, %d CPUs", unix.SCHED_BATCH, all.Count())
	}
	for _, user := range users {
		r := shell("echo $$; sleep 100")
		r.User = user
		id := h.submit(r).ID
		pid := 0
		h.until("echo", func() bool { n, _ := fmt.Sscan(h.output(id, "stdout"), &pid); return n == 1 })
		tasks, err := filepath.Glob("/proc/" + h.pid(id) + "/task/*")
		if err != nil || len(tasks) == 0 {
			t.Error(tasks, err)
		}
		for _, task := range append(tasks, strconv.Itoa(pid)) {
			tid, _ := strconv.Atoi(filepath.Base(task))
			got := ""
			for n := 0; n < 100 && got != ordinary; n++ { // for moments it may be held on one CPU (docs/attacks.md)
				pause()
				got = priorities(t, tid)
			}
			if got != ordinary {
				t.Errorf("%s of %q's job has %s, not %s", task, user, got, ordinary)
			}
		}
	}
}
