package supervisor

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unlinked are files that are in no folder any more, with the bytes that they hold: as
// long as a process has one open or mapped, or it is on its way from one process to
// another, it is on the disk.
type unlinked map[file]int64

// hidden adds the nameless files of processes, as far as they can be found. last is
// what was found the last time: a file that is only mapped does not tell its size, and one
// that is under way is not to be seen at all.
func (w *folderWalk) hidden(pids []int, last unlinked) {
	extents := unlinked{}
	for _, pid := range pids {
		w.open(pid)
		w.mapped(pid, extents)
	}
	for f, n := range extents {
		w.keep(f, max(n, last[f]))
	}
	underWay := false
	for f, n := range last {
		if !w.seen[f] && (underWay || anyInFlight(pids)) {
			underWay = true
			w.keep(f, n)
		}
	}
}

func (w *folderWalk) keep(f file, bytes int64) {
	if !w.seen[f] {
		w.seen[f], w.nameless[f] = true, bytes
		w.sum.bytes += bytes
		w.sum.files++
	}
}

// open adds those that a process has open.
func (w *folderWalk) open(pid int) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	for _, name := range namesIn(dir) {
		var st unix.Stat_t
		if unix.Stat(dir+name, &st) == nil && st.Nlink == 0 && w.disks[st.Dev] && st.Mode&unix.S_IFMT == unix.S_IFREG {
			w.keep(file{st.Dev, st.Ino}, st.Blocks*512)
		}
	}
}

// mapped finds those that a process has mapped, and how far (proc_pid_maps(5)).
func (w *folderWalk) mapped(pid int, extents unlinked) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		return // it is gone, or undumpable
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte(" (deleted)\n")) {
			continue
		}
		if f, end, ok := parseMapping(strings.Fields(string(line))); ok && w.disks[f.dev] {
			extents[f] = max(extents[f], end)
		}
	}
}

// parseMapping gives the file of "START-END PERMS OFFSET MAJOR:MINOR INODE ...", and
// where in it the mapping ends.
func parseMapping(fields []string) (f file, end int64, ok bool) {
	if len(fields) < 5 {
		return f, 0, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	major, minor, _ := strings.Cut(fields[3], ":")
	var hex [5]uint64
	for i, text := range []string{from, to, fields[2], major, minor} {
		n, err := strconv.ParseUint(text, 16, 64)
		if err != nil {
			return f, 0, false
		}
		hex[i] = n
	}
	ino, err := strconv.ParseUint(fields[4], 10, 64)
	return file{unix.Mkdev(uint32(hex[3]), uint32(hex[4])), ino}, int64(hex[2] + hex[1] - hex[0]), err == nil
}

// anyInFlight says whether descriptors wait in a socket of one of the processes: scm_fds in
// /proc/PID/fdinfo, of Linux 5.11 (commit 3c32da19a858).
func anyInFlight(pids []int) bool {
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid) + "/fdinfo/"
		for _, name := range namesIn(dir) {
			text, err := os.ReadFile(dir + name)
			if _, rest, ok := bytes.Cut(text, []byte("scm_fds:")); err == nil && ok && !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("0")) {
				return true
			}
		}
	}
	return false
}

// namesIn are the names in a folder of /proc; none where the process is gone, or
// undumpable.
func namesIn(dir string) []string {
	list, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer list.Close()
	names, err := list.Readdirnames(-1)
	if err != nil {
		return nil
	}
	return names
}
