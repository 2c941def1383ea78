package ptrace

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openMost is of how many processes a Tracer keeps the memory open.
const openMost = 32

// memories are the /proc/PID/mem that a tracer has open. Each stands for one
// address space: after execve it is another (proc(5)).
type memories struct {
	files map[int]int // descriptors by process
	order []int       // processes, the one opened first in front
}

// Write writes into pid's memory, whatever its protection, as proc(5) says of
// /proc/PID/mem; a write to a private mapping never reaches its file. It is
// whole or an error: unix.EACCES where the process keeps its memory to itself,
// unix.EIO where nothing is mapped.
func (t *Tracer) Write(pid int, addr uint64, p []byte) error {
	return t.transfer(pid, addr, p, unix.Pwrite)
}

// Peek reads pid's memory, whatever its protection, with Write's errors.
func (t *Tracer) Peek(pid int, addr uint64, p []byte) error {
	return t.transfer(pid, addr, p, unix.Pread)
}

func (t *Tracer) transfer(pid int, addr uint64, p []byte, do func(int, []byte, int64) (int, error)) error {
	fd, err := t.open(pid)
	if err != nil {
		return err
	}
	n, err := do(fd, p, int64(addr))
	if err == nil && n < len(p) {
		err = unix.EIO
	}
	return err
}

// open gives pid's memory, the descriptor opened longest ago closed if need be.
func (t *Tracer) open(pid int) (int, error) {
	if fd, ok := t.mem.files[pid]; ok {
		return fd, nil
	}
	if len(t.mem.order) >= openMost {
		t.Forget(t.mem.order[0])
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/mem", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if t.mem.files == nil {
		t.mem.files = make(map[int]int, openMost)
	}
	t.mem.files[pid] = fd
	t.mem.order = append(t.mem.order, pid)
	return fd, nil
}

// Forget closes what Write and Peek opened of pid, which is dead or has executed
// a program.
func (t *Tracer) Forget(pid int) {
	fd, ok := t.mem.files[pid]
	if !ok {
		return
	}
	unix.Close(fd)
	delete(t.mem.files, pid)
	for i, p := range t.mem.order {
		if p == pid {
			t.mem.order = append(t.mem.order[:i], t.mem.order[i+1:]...)
			return
		}
	}
}
