package supervisor

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What proc(5) says of a task in lines of "NAME: VALUE".

// procField is the value behind a name with its colon, "" where the file cannot be
// read or does not say.
func procField(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func statusField(tid int, name string) string {
	return procField("/proc/"+strconv.Itoa(tid)+"/status", name)
}

// fsuidOf is the user id by which tid's file accesses are judged, (uid_t)-1, which is
// no user's, where nobody says.
func fsuidOf(tid int) uint32 {
	ids := strings.Fields(statusField(tid, "Uid:"))
	if len(ids) == 4 { // real, effective, saved, file system
		if id, err := strconv.ParseUint(ids[3], 10, 32); err == nil {
			return uint32(id)
		}
	}
	return 1<<32 - 1
}

// catches says whether a task has a handler for a signal, or nobody says.
func catches(tid int, sig unix.Signal) bool {
	caught, err := strconv.ParseUint(statusField(tid, "SigCgt:"), 16, 64)
	return err != nil || caught&(1<<(uint(sig)-1)) != 0
}

// leaderOf is the process of a thread, tid itself where nobody says.
func leaderOf(tid int) int {
	pid, err := strconv.Atoi(statusField(tid, "Tgid:"))
	if err != nil {
		return tid
	}
	return pid
}

// descriptorFlags are the flags that tid's descriptor was opened with; those of
// O_PATH, which gives nothing, where nobody says.
func descriptorFlags(tid, fd int) uint64 {
	text := procField("/proc/"+strconv.Itoa(tid)+"/fdinfo/"+strconv.Itoa(fd), "flags:")
	flags, err := strconv.ParseUint(text, 8, 64)
	if err != nil {
		return openPath
	}
	return flags
}
