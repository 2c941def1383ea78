package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/launch"
)

// Changes of metadata (chmod, utimensat) are what Landlock does not hold. In a
// sandbox with mounts of its own, where all that may not be written is mounted
// read-only, the kernel holds them too: mnt_want_write of fs/namespace.c stands
// before each, whatever its descriptor was opened for.

// HoldMetadata has opts, which are for set, leave them to the mounts if these are
// going to hold them exactly for cmd: where Landlock holds the rest of the section
// files, and the command gets no descriptor that leads to where it may not write.
// It must be called before set is compiled; Run refuses another command with such
// a plan.
func HoldMetadata(set policy.Set, opts *compile.Options, cmd *Command) {
	h := &opts.Holders
	h.Mounts = h.Files == compile.Kernel && !opts.Report && set.Isolation()&policy.IsolateMount != 0 &&
		unmounted(opts.Sections, cmd) == nil
}

// unmounted says what a command gets that it may not write, and that is not behind
// a read-only mount.
func unmounted(b *policy.Sections, cmd *Command) error {
	for _, place := range cmd.Writable {
		if !mayChange(b, place) {
			return fmt.Errorf("%s is the command's, and no rule lets it be written", place)
		}
	}
	for _, fd := range handedDown(cmd) {
		name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
		if !unnamedObject(name) && !mayChange(b, name) {
			return fmt.Errorf("descriptor %d is for %s, which no rule lets be written", fd, name)
		}
	}
	return nil
}

// unnamedObject says that what /proc/PID/fd calls so is no file with a path
// (proc_pid_fd(5)).
func unnamedObject(name string) bool {
	kind, _, _ := strings.Cut(name, ":")
	return kind == "pipe" || kind == "socket" || kind == "anon_inode"
}

func mayChange(b *policy.Sections, path string) bool {
	return b.File(path, policy.Write).Action.Permits()
}

// handedDown are the descriptors that the command gets.
func handedDown(cmd *Command) []int {
	list := slices.Clone(cmd.Keep)
	for _, f := range cmd.Files {
		if f != nil {
			list = append(list, int(f.Fd()))
		}
	}
	return list
}

// holdMetadata makes the sandbox's own file systems read-only where the policy
// does not let them be written. Device nodes are the system's, and were frozen
// with it.
func (f *furnisher) holdMetadata() {
	own := []string{"/tmp", "/dev/shm"}
	if f.privileged {
		own = append(own, "/dev/pts", "/dev/ptmx")
	}
	if f.isolation&policy.IsolatePid != 0 {
		own = append(own, "/proc")
	}
	for _, place := range own {
		if !f.mayWrite(place) && (fileExists(place) || f.privileged && beneath(place, "/dev")) {
			f.add(launch.Mount{Act: launch.Freeze, Path: place})
		}
	}
}
