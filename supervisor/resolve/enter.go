package resolve

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Enter has names begin at the folder root from now on, the root of another mount
// namespace, whose paths are those that are decided on then. root is the
// Resolver's. inner says that its /proc counts the processes of another pid
// namespace, one within this process's.
//
// Precondition: nothing has been resolved yet.
func (r *Resolver) Enter(root int, inner bool) error {
	r.top, r.how.Resolve = root, unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_IN_ROOT
	clear(r.known)
	if !inner {
		return nil
	}
	fd, err := r.openPath("/proc")
	if err != nil {
		return fmt.Errorf("the sandbox's /proc: %w", err)
	}
	defer shut(fd)
	var st unix.Stat_t
	if errno := status(fd, &st); errno != 0 {
		return fmt.Errorf("the sandbox's /proc: %w", errno)
	}
	r.inner, r.innerProc = true, st.Dev
	return nil
}

// openSlash opens the root that names begin at.
func (r *Resolver) openSlash() (int, error) {
	if r.top == unix.AT_FDCWD {
		return openAt(unix.AT_FDCWD, "/", pathOnly)
	}
	return openAt(r.top, ".", pathOnly)
}

// isInner says whether proc, the root of a proc(5), is the sandbox's own.
func (r *Resolver) isInner(proc int) bool {
	var st unix.Stat_t
	return r.inner && status(proc, &st) == 0 && st.Dev == r.innerProc
}

// Number is what a task is called in the proc(5) that the names lead to: its
// number in the innermost pid namespace that it is in (NSpid in proc_pid_status(5)).
// It is "" for a task that is gone.
func (r *Resolver) Number(tid int) string {
	if !r.inner {
		return strconv.Itoa(tid)
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers)
			return fields[len(fields)-1]
		}
	}
	return ""
}
