package launch

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Room is what a sandbox has of its own: namespaces(7), and in them mounts.
//
// With a pid namespace the process that Start gives is not the first stage but
// its keeper, process 1 of the namespace, which starts that once Go lets it.
//
// When the room is made, the first stage stops by SIGSTOP. Then its tracer may
// look at what is there, and lets it go on.
type Room struct {
	Namespaces   int     // CLONE_NEW*
	Mounts       []Mount // made in this order
	Capabilities uint64  // those that the command keeps, as far as it has them
}

// Mount is one step towards the sandbox's mounts. Paths are absolute and
// canonical.
type Mount struct {
	Act   Act
	Path  string
	From  int    // Put, FreezeTree: the index of the Take
	Type  string // New: a file system's
	Data  string // New: its options; Link: where it leads
	Flags uint   // New: MS_*
}

// Act is what a Mount does; enum room_act of launch.h says it.
type Act uint32

const (
	Private Act = iota
	Take
	FreezeTree
	Freeze
	FreezeAll
	New
	Put
	Folder
	File
	Link
)

// name is the operation, for errors.
func (m *Mount) name() (op, path string) {
	words := [...]string{
		Private:    "make mounts private",
		Take:       "take along",
		FreezeTree: "make read-only",
		Freeze:     "make read-only",
		FreezeAll:  "make read-only",
		New:        "mount " + m.Type + " on",
		Put:        "mount",
		Folder:     "make the folder",
		File:       "make the file",
		Link:       "make the link",
	}
	return words[m.Act], m.Path
}

// MapIDs gives the user namespace that pid is in this process's own user and
// group, and no others (user_namespaces(7)).
func MapIDs(pid int) error {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	for _, file := range []struct{ name, text string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("%[1]d %[1]d 1", os.Geteuid())},
		{"gid_map", fmt.Sprintf("%[1]d %[1]d 1", os.Getegid())},
	} {
		if err := os.WriteFile(dir+file.name, []byte(file.text), 0); err != nil {
			return fmt.Errorf("set up a user namespace: %w", err)
		}
	}
	return nil
}

// HasPrivilege says whether this process may make namespaces without a user
// namespace (CAP_SYS_ADMIN), and drop capabilities (CAP_SETPCAP).
func HasPrivilege() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETPCAP
	return data[0].Effective&need == need
}
