package attack

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
)

var aroundFiles = []Attack{
	{Name: "hard-link", What: "a hard link to the decoy from a folder that may be written", permitted: wantsYard, attempt: func(a *attacker) {
		to := a.Yard + "/linked"
		if err := unix.Link(a.secret(), to); err != nil {
			a.failed("linkat", err)
			return
		}
		a.run(bySyscall, a.take(to, false))
	}},
	{Name: "symbolic-link", What: "a symbolic link to the decoy's folder", permitted: wantsYard, attempt: func(a *attacker) {
		to := a.Yard + "/link"
		if err := unix.Symlink(a.Folder, to); err != nil {
			a.failed("symlinkat", err)
			return
		}
		a.run(bySyscall, a.take(to, true))
	}},
	{Name: "rename", What: "moving the decoy, or its folder, to where it may be read", permitted: wantsYard, attempt: func(a *attacker) {
		to := a.Yard + "/" + movedName
		move := func(from string) bool {
			err := unix.Rename(from, to)
			if err != nil {
				a.failed("renameat", err)
			}
			return err == nil
		}
		switch {
		case move(a.secret()):
			a.run(bySyscall, a.take(to, false))
		case move(a.Folder):
			a.run(bySyscall, a.take(to, true))
			_ = unix.Rename(to, a.Folder) // a break-out leaves all as it was
		}
	}},
	{Name: "descriptors", What: "O_PATH and /proc/self/fd", permitted: wantsFile, attempt: func(a *attacker) {
		each(func() bool {
			dir, ok := a.open(a.Folder, unix.O_PATH|unix.O_DIRECTORY)
			return ok && (a.run(bySyscall, a.takeAt(uintptr(dir), secretName, false)) ||
				a.run(bySyscall, a.take(descriptor(dir), true)) || a.run(bySyscall, a.take("/proc/thread-self/fd/"+strconv.Itoa(dir), true)))
		}, func() bool {
			file, ok := a.open(a.secret(), unix.O_PATH)
			return ok && a.run(bySyscall, a.take(descriptor(file), false))
		})
	}},
	{Name: "handle", What: "open_by_handle_at", permitted: wantsFile, attempt: byHandle},
	{Name: "tmpfile", What: "a file without a name (O_TMPFILE) linked into the decoy's folder", permitted: func(j *Judge) string {
		if why := wantsYard(j); why != "" {
			return why
		}
		return wantsWrite(j)
	}, attempt: func(a *attacker) {
		if fd, ok := a.open(a.Yard, unix.O_TMPFILE|unix.O_RDWR); ok {
			if err := unix.Linkat(unix.AT_FDCWD, descriptor(fd), unix.AT_FDCWD, a.Folder+"/"+madeName, unix.AT_SYMLINK_FOLLOW); err != nil {
				a.failed("linkat", err)
			}
		}
	}},
	{Name: "metadata", What: "the decoy's mode and times, by name and by descriptor", permitted: wantsWrite, attempt: func(a *attacker) {
		const mode = 0o640
		each(func() bool { return a.did0("fchmodat", unix.Fchmodat(unix.AT_FDCWD, a.secret(), mode, 0)) }, func() bool {
			fd, ok := a.open(a.secret(), unix.O_PATH)
			return ok && a.did0("fchmodat", unix.Fchmodat(unix.AT_FDCWD, descriptor(fd), mode, 0))
		}, func() bool {
			return a.did0("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, a.secret(), make([]unix.Timespec, 2), 0))
		})
	}},
	{Name: "program", What: "running a denied program, by its name and by descriptors", permitted: wantsProgram, attempt: func(a *attacker) {
		path := a.Folder + "/" + programName
		a.become(unix.AT_FDCWD, path, 0)
		if fd, ok := a.open(path, unix.O_PATH); ok {
			a.become(fd, "", unix.AT_EMPTY_PATH)
			a.become(unix.AT_FDCWD, descriptor(fd), 0)
		}
	}},
	{Name: "memfd", What: "running a program from memory", permitted: wantsNameless, attempt: func(a *attacker) {
		fd, err := unix.MemfdCreate(programName, 0)
		if err != nil {
			a.failed("memfd_create", err)
			return
		}
		if _, err := unix.Write(fd, proof()); err != nil {
			a.failed("write", err)
			return
		}
		a.become(fd, "", unix.AT_EMPTY_PATH)
		a.become(unix.AT_FDCWD, descriptor(fd), 0)
	}},
}

func (a *attacker) secret() string { return a.Folder + "/" + secretName }

func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// did0 tells of a call that gives nothing but an error.
func (a *attacker) did0(call string, err error) bool {
	if err != nil {
		a.failed(call, err)
		return false
	}
	a.did(call)
	return true
}

// become executes proof, which ends with a status that tells.
func (a *attacker) become(dir int, name string, flags uintptr) {
	argv := a.mem.words(a.mem.text(programName), 0)
	got := bySyscall(unix.SYS_EXECVEAT, &[6]uintptr{uintptr(dir), a.mem.text(name), argv, argv + 8, flags})
	a.failed("execveat", got.errno)
}

// byHandle opens the decoy by what the file system calls it. Any descriptor of the same
// file system will do for the other.
func byHandle(a *attacker) {
	const size = 128 // MAX_HANDLE_SZ
	handle, mount := a.mem.room(8+size), a.mem.room(4)
	binary.NativeEndian.PutUint32(a.mem.at(handle, 4), size)
	if got := bySyscall(unix.SYS_NAME_TO_HANDLE_AT, &[6]uintptr{cwd, a.mem.text(a.secret()), handle, mount}); got.errno != 0 {
		a.failed("name_to_handle_at", got.errno)
		return
	}
	flags, last := uintptr(unix.O_RDONLY), a.readIt()
	if a.Goal != Read {
		flags, last = unix.O_WRONLY, a.writeIt()
	}
	for _, folder := range []string{a.Yard, a.Folder, "/"} {
		if fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			if a.run(bySyscall, []step{{name: "open_by_handle_at", nr: unix.SYS_OPEN_BY_HANDLE_AT, args: [6]uintptr{uintptr(fd), handle, flags}}, last}) {
				return
			}
		}
	}
	a.run(bySyscall, []step{{name: "open_by_handle_at", nr: unix.SYS_OPEN_BY_HANDLE_AT, args: [6]uintptr{cwd, handle, flags}}, last})
}
