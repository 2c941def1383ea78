package attack

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A step is one raw system call.
type step struct {
	name  string
	nr    uintptr
	args  [6]uintptr
	taken bool // args[0] is what the step before it gave
	maybe bool // if it fails, the next is made all the same
}

// result is what a step gave.
type result struct {
	value uintptr
	errno unix.Errno
}

// An entry is a way into the kernel.
type entry func(nr uintptr, args *[6]uintptr) result

func bySyscall(nr uintptr, a *[6]uintptr) result {
	value, _, errno := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	return result{value, errno}
}

const (
	cwd       = ^uintptr(99) // AT_FDCWD
	textBytes = 64           // of what is read
)

// take makes what is wanted of a file: steps that reach the goal by this name of the
// decoy, or of the folder that it is in where folder is true.
func (a *attacker) take(name string, folder bool) []step { return a.takeAt(cwd, name, folder) }

func (a *attacker) takeAt(dir uintptr, name string, folder bool) []step {
	file := name
	if folder {
		file = strings.TrimSuffix(name, "/") + "/" + secretName
	}
	switch a.Goal {
	case Read:
		return append([]step{{name: "openat", nr: unix.SYS_OPENAT, args: [6]uintptr{dir, a.mem.text(file), unix.O_RDONLY}}}, a.readIt())
	case Write:
		return append([]step{{name: "openat", nr: unix.SYS_OPENAT, args: [6]uintptr{dir, a.mem.text(file), unix.O_WRONLY}}}, a.writeIt())
	}
	return []step{{name: "mkdirat", nr: unix.SYS_MKDIRAT, args: [6]uintptr{dir, a.mem.text(strings.TrimSuffix(name, "/") + "/" + madeName), 0o700}}}
}

// goal are the steps that reach the goal by the decoy's own name.
func (a *attacker) goal() []step { return a.take(a.Folder, true) }

// readIt reads what the step before it opened to where told looks.
func (a *attacker) readIt() step {
	return step{name: "read", nr: unix.SYS_READ, args: [6]uintptr{0, a.found, textBytes}, taken: true}
}

func (a *attacker) writeIt() step {
	return step{name: "write", nr: unix.SYS_WRITE, args: [6]uintptr{0, a.mem.text(changedText), uintptr(len(changedText))}, taken: true}
}

// run makes the steps in turn, the first by that entry, and tells what came of it.
func (a *attacker) run(first entry, steps []step) bool {
	var last result
	for i := range steps {
		s := &steps[i]
		if s.taken {
			s.args[0] = last.value
		}
		by := bySyscall
		if i == 0 {
			by = first
		}
		if last = by(s.nr, &s.args); last.errno != 0 && !s.maybe {
			a.failed(s.name, last.errno)
			return false
		}
	}
	a.tell()
	return true
}

// tell says what was read, if anything was.
func (a *attacker) tell() {
	text := a.mem.at(a.found, textBytes)
	if text[0] != 0 {
		a.say("found " + strings.TrimRight(string(text), "\x00"))
		clear(text)
	}
}

// passed is the exit status of a child that came to its last step.
const passed = 42

// inChild makes a child by that call, a clone or clone3, and has it make the steps. It
// says whether there was one that came to the end of them.
func (a *attacker) inChild(birth step, steps []step) bool {
	errors := a.mem.room(8 * len(steps))
	seen := a.mem.at(errors, 8*len(steps))
	pid, errno := a.born(&birth, steps, seen)
	if errno != 0 {
		a.failed(birth.name, errno)
		return false
	}
	status, errno := a.wait(pid)
	if errno != 0 {
		a.failed("wait4", errno)
		return false
	}
	for i := range steps {
		if errno := unix.Errno(seen[8*i]) | unix.Errno(seen[8*i+1])<<8; errno != 0 && !steps[i].maybe {
			a.failed(steps[i].name, errno)
		}
	}
	a.tell()
	if status.Signaled() {
		a.say("killed " + unix.SignalName(status.Signal()))
	}
	return status.ExitStatus() == passed
}

// born makes a child without Go's signal handlers, which are not for it.
func (a *attacker) born(birth *step, steps []step, seen []byte) (uintptr, unix.Errno) {
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, a.allSignals, a.oldSignals, 8, 0, 0)
	pid, errno := child(birth.nr, &birth.args, steps, seen)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, a.oldSignals, 0, 8, 0, 0)
	return pid, errno
}

func (a *attacker) wait(pid uintptr) (status unix.WaitStatus, errno unix.Errno) {
	for {
		_, err := unix.Wait4(int(pid), &status, unix.WALL, nil)
		if err == nil {
			return status, 0
		}
		if err != unix.EINTR {
			return status, err.(unix.Errno) // Wait4 gives no other
		}
	}
}

// child is a birth, and what is born: it makes the steps, notes the errno of each, and
// ends. All but one thread is missing there, and with them what Go's runtime needs to
// allocate or to grow a stack.
//
//go:norace
//go:noinline
func child(nr uintptr, birth *[6]uintptr, steps []step, seen []byte) (uintptr, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(nr, birth[0], birth[1], birth[2], birth[3], birth[4], birth[5])
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	var last, status uintptr = 0, passed
	for i := range steps {
		s := &steps[i]
		if s.taken {
			s.args[0] = last
		}
		last, _, errno = unix.RawSyscall6(s.nr, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5])
		seen[8*i], seen[8*i+1] = byte(errno), byte(errno>>8)
		if errno != 0 && !s.maybe {
			status = 1
			break
		}
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
	}
}

// open opens a file, and tells why it cannot.
func (a *attacker) open(name string, flags int) (int, bool) {
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		a.failed("openat", err)
	}
	return fd, err == nil
}

// say writes a line of the report, by one call.
func (a *attacker) say(line string) {
	if _, err := unix.Write(1, []byte(line+"\n")); err != nil {
		os.Exit(3) // nobody would hear of what comes
	}
}
