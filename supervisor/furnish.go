package supervisor

import (
	"os"
	"path"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// furnisher says what is to be mounted in an isolated sandbox, in which order.
type furnisher struct {
	isolation  policy.Isolation
	privileged bool // root, without a user namespace
	metadata   bool // its changes are for the mounts to hold
	writable   []string
	readable   []string // what is to be there, if only to be read
	terminal   string   // of the command, "" for none

	list []launch.Mount
	take []taken
}

// taken is a tree that is taken along, to where it was.
type taken struct {
	path string
	tree int // its index in list
}

func (f *furnisher) add(m launch.Mount) { f.list = append(f.list, m) }

// mounts are in the order in which they must be made: trees are taken before
// anything hides them, and put back on top.
func (f *furnisher) mounts() []launch.Mount {
	f.add(launch.Mount{Act: launch.Private, Path: "/"})
	if f.isolation&policy.IsolateMount != 0 {
		f.takeAlong()
		if !slices.Contains(f.writable, "/") {
			f.add(launch.Mount{Act: launch.FreezeAll, Path: "/"})
		}
		if fileExists("/tmp") {
			f.fresh("/tmp", "mode=1777")
		}
		f.devices()
	}
	if f.isolation&policy.IsolatePid != 0 {
		f.proc()
	}
	slices.SortFunc(f.take, func(a, b taken) int { return strings.Compare(a.path, b.path) }) // a folder before what is in it
	for _, t := range f.take {
		f.put(t)
	}
	if f.metadata {
		f.holdMetadata()
	}
	if f.isolation&policy.IsolateMount != 0 && f.privileged {
		f.add(launch.Mount{Act: launch.Freeze, Path: "/dev"})
	}
	return f.list
}

// takeAlong takes what the command may write, and what it is to find beneath
// /tmp and /dev/shm.
func (f *furnisher) takeAlong() {
	for _, p := range topmost(f.others(f.writable)) {
		if p != "/" && fileExists(p) {
			f.takeTree(p, false)
		}
	}
	for _, p := range topmost(f.others(f.readable)) {
		if (beneath(p, "/tmp") || beneath(p, "/dev/shm")) && !f.has(p) && fileExists(p) {
			f.takeTree(p, !f.mayWrite(p))
		}
	}
}

// others are those of the places that are not the sandbox's own.
func (f *furnisher) others(places []string) []string {
	return slices.DeleteFunc(slices.Clone(places), f.own)
}

// mayWrite says whether the policy lets the command write to a place.
func (f *furnisher) mayWrite(p string) bool {
	return slices.ContainsFunc(f.writable, func(w string) bool { return w == p || beneath(p, w) })
}

// own says whether the sandbox has something else at a place.
func (f *furnisher) own(p string) bool {
	switch {
	case p == "/tmp", p == "/dev", p == "/dev/shm", beneath(p, "/dev/pts"), p == "/dev/pts":
		return true
	case beneath(p, "/dev/shm"):
		return false
	case beneath(p, "/dev"):
		return !f.privileged || slices.Contains(nodes, strings.TrimPrefix(p, "/dev/"))
	}
	return p == "/proc" || beneath(p, "/proc")
}

func (f *furnisher) takeTree(p string, frozen bool) {
	f.add(launch.Mount{Act: launch.Take, Path: p})
	tree := len(f.list) - 1
	if frozen {
		f.add(launch.Mount{Act: launch.FreezeTree, Path: p, From: tree})
	}
	f.take = append(f.take, taken{p, tree})
}

// has says whether a tree that is taken along has a place in it.
func (f *furnisher) has(p string) bool {
	return slices.ContainsFunc(f.take, func(t taken) bool { return p == t.path || beneath(p, t.path) })
}

// put mounts a tree where it was, and makes that place in a new file system.
func (f *furnisher) put(t taken) {
	if top := newAbove(t.path); top != "" {
		f.folders(top, path.Dir(t.path))
		if st, err := os.Lstat(t.path); err == nil && st.IsDir() {
			f.add(launch.Mount{Act: launch.Folder, Path: t.path})
		} else {
			f.add(launch.Mount{Act: launch.File, Path: t.path})
		}
	}
	f.add(launch.Mount{Act: launch.Put, Path: t.path, From: t.tree})
}

// newAbove is the place above a path that the sandbox has a new file system at.
func newAbove(p string) string {
	for _, top := range []string{"/tmp", "/dev/shm", "/dev"} {
		if beneath(p, top) {
			return top
		}
	}
	return ""
}

// folders makes all the folders from beneath top to dir.
func (f *furnisher) folders(top, dir string) {
	if dir == top || !beneath(dir, top) {
		return
	}
	f.folders(top, path.Dir(dir))
	f.add(launch.Mount{Act: launch.Folder, Path: dir})
}

func (f *furnisher) fresh(at, options string) {
	f.add(launch.Mount{Act: launch.New, Path: at, Type: "tmpfs", Data: options, Flags: unix.MS_NOSUID | unix.MS_NODEV})
}

// nodes are the devices that programs expect.
var nodes = []string{"null", "zero", "full", "random", "urandom", "tty"}

// devices makes a /dev. Ordinary users cannot mount the terminals of one, and
// can open no more of the host's than they could: they have that, and memory to
// share of their own.
func (f *furnisher) devices() {
	if !f.privileged {
		if fileExists("/dev/shm") {
			f.fresh("/dev/shm", "mode=1777")
		}
		return
	}
	first := len(f.list)
	names := slices.DeleteFunc(slices.Clone(nodes), func(node string) bool { return !fileExists("/dev/" + node) })
	for _, node := range names {
		f.add(launch.Mount{Act: launch.Take, Path: "/dev/" + node})
	}
	if f.terminal != "" {
		f.add(launch.Mount{Act: launch.Take, Path: f.terminal})
	}
	f.add(launch.Mount{Act: launch.New, Path: "/dev", Type: "tmpfs", Data: "mode=755", Flags: unix.MS_NOSUID | unix.MS_NOEXEC})
	if f.terminal != "" {
		names = append(names, "console") // by which ttyname(3) finds it
	}
	for i, node := range names {
		f.add(launch.Mount{Act: launch.File, Path: "/dev/" + node})
		f.add(launch.Mount{Act: launch.Put, Path: "/dev/" + node, From: first + i})
	}
	for _, dir := range []string{"/dev/shm", "/dev/pts"} {
		f.add(launch.Mount{Act: launch.Folder, Path: dir})
	}
	f.fresh("/dev/shm", "mode=1777")
	f.add(launch.Mount{Act: launch.New, Path: "/dev/pts", Type: "devpts", Data: "newinstance,ptmxmode=0666,mode=0620", Flags: unix.MS_NOSUID | unix.MS_NOEXEC})
	f.takeTree("/dev/pts/ptmx", false)
	f.take[len(f.take)-1].path = "/dev/ptmx"
	for _, link := range []struct{ name, to string }{{"fd", ""}, {"stdin", "/0"}, {"stdout", "/1"}, {"stderr", "/2"}} {
		f.add(launch.Mount{Act: launch.Link, Path: "/dev/" + link.name, Data: "/proc/self/fd" + link.to})
	}
}

// settings are the parts of proc(5) by which root changes the whole system.
var settings = []string{"sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"}

// proc makes a /proc of the sandbox's own processes.
func (f *furnisher) proc() {
	f.add(launch.Mount{Act: launch.New, Path: "/proc", Type: "proc", Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC})
	for _, name := range settings {
		if p := "/proc/" + name; fileExists(p) {
			f.add(launch.Mount{Act: launch.Take, Path: p})
			tree := len(f.list) - 1
			f.add(launch.Mount{Act: launch.FreezeTree, Path: p, From: tree})
			f.add(launch.Mount{Act: launch.Put, Path: p, From: tree})
		}
	}
}

// beneath says whether p is in the folder top, or in one of its.
func beneath(p, top string) bool {
	return top == "/" && p != "/" || strings.HasPrefix(p, top+"/")
}

// topmost are the paths without those that are beneath another.
func topmost(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	var out []string
	for _, p := range slices.Compact(list) {
		if !slices.ContainsFunc(out, func(above string) bool { return above != "/" && beneath(p, above) }) {
			out = append(out, p)
		}
	}
	return out
}
