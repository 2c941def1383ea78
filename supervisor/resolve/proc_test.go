package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Names in /proc mean the task, not the supervisor.
func TestProcIsTheTasks(t *testing.T) {
	top := tree(t, "d/", "d/f", "to-fd -> /proc/self/fd", "to-me -> /proc/thread-self")
	p := newTracee(t, "")
	if got := p.ask(t, "cd", top+"/d"); got != "<nil>" {
		t.Fatal(got)
	}
	task := Task{PID: p.pid, TID: p.pid}
	own := fmt.Sprintf("/proc/%d", p.pid)
	exe, err := filepath.EvalSymlinks("/proc/self/exe")
	must(t, err)
	for how, r := range resolvers(t) {
		noLeak(t, func() {
			for name, want := range map[string]Result{
				"/proc/self/status":                      {Path: own + "/status"},
				"/proc/mounts":                           {Path: own + "/mounts"},
				"/proc/net/tcp":                          {Path: own + "/net/tcp"},
				"/proc/thread-self/stat":                 {Path: own + "/task/" + strconv.Itoa(p.pid) + "/stat"},
				top + "/to-me/comm":                      {Path: own + "/task/" + strconv.Itoa(p.pid) + "/comm"},
				"/proc/self":                             {Path: own, Folder: true},
				"/proc/self/":                            {Path: own, Folder: true, TrailingSlash: true},
				"/proc/self/.":                           {Path: own, Folder: true, Dots: true},
				"/proc/self/../self/cwd/f":               {Path: top + "/d/f"},
				"/proc/self/cwd":                         {Path: top + "/d", Folder: true},
				"/proc/self/cwd/..":                      {Path: top, Folder: true, Dots: true},
				"/proc/self/root/":                       {Path: "/", Folder: true, TrailingSlash: true},
				"/proc/self/root/proc/self":              {Path: own, Folder: true},
				"/proc/self/exe":                         {Path: exe},
				"/proc/self/task/" + own[6:]:             {Path: own + "/task/" + own[6:], Folder: true},
				own + "/cwd/f":                           {Path: top + "/d/f"},
				"f":                                      {Path: top + "/d/f"},
				"../d/./f":                               {Path: top + "/d/f"},
				"/proc/1/status":                         {Path: "/proc/1/status"},
				fmt.Sprintf("/proc/%d/exe", os.Getpid()): {Path: exe},
			} {
				res, err := r.Name(task, unix.AT_FDCWD, name, true)
				if want.Exists, want.Inside, want.Descriptor = true, want.Path, -1; res.Path != "" {
					want.Dev, want.Ino = res.Dev, res.Ino
				}
				if err != nil || res != want {
					t.Errorf("%s: %s: %+v, %v, want %+v", how, name, res, err, want)
				}
				if !strings.Contains(name, "net") { // a folder is made for each look
					sound(t, name, res, err)
				}
				got := p.stat(t, name, true)
				for tries := 0; got != given(res, err) && tries < 5; tries++ { // proc's numbers are new when memory was short
					res, err = r.Name(task, unix.AT_FDCWD, name, true)
					got = p.stat(t, name, true)
				}
				if !strings.Contains(name, "net") && got != given(res, err) {
					t.Errorf("%s: %s: %v, the kernel says %v", how, name, given(res, err), got)
				}
			}
			for _, name := range []string{"/proc/self", "/proc/thread-self", "/proc/self/exe", "/proc/self/cwd", "/dev/fd", "/proc/self/ns/net"} {
				res, err := r.Name(task, unix.AT_FDCWD, name, false)
				if got := p.stat(t, name, false); !res.Link || got != given(res, err) {
					t.Errorf("%s: %s: %+v, %v, the kernel says %v", how, name, res, err, got)
				}
			}
			for _, name := range []string{"/proc/self/x", "/proc/self/fd/99", "/proc/self/exe/", "/proc/self/fd/0/x", "/proc/self/cwd/f/", "/proc/0", "/proc/self/cwd/x/y", "/proc/self/root/../../x/y"} {
				res, err := r.Name(task, unix.AT_FDCWD, name, true)
				if got := p.stat(t, name, true); got != given(res, err) {
					t.Errorf("%s: %s: %v, the kernel says %v", how, name, given(res, err), got)
				}
			}
		})
	}
}

// What a descriptor holds can have no path.
func TestObjects(t *testing.T) {
	top := tree(t, "f", "gone", "gone-but-linked", "kept (deleted)", "replaced", "gone-folder/", "d/")
	open := func(name string, flags int) int {
		fd, err := unix.Open(top+"/"+name, flags|unix.O_CLOEXEC, 0o600)
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	f, gone, linked, kept, replaced := open("f", 0), open("gone", 0), open("gone-but-linked", 0), open("kept (deleted)", 0), open("replaced", 0)
	folder, d, unnamed := open("gone-folder", unix.O_DIRECTORY), open("d", unix.O_DIRECTORY), open("d", unix.O_TMPFILE|unix.O_RDWR)
	must(t, os.Link(top+"/gone-but-linked", top+"/other"))
	must(t, os.Remove(top+"/gone-but-linked"))
	must(t, os.Remove(top+"/gone"))
	must(t, os.Remove(top+"/gone-folder"))
	must(t, os.Remove(top+"/replaced"))
	must(t, os.WriteFile(top+"/replaced (deleted)", nil, 0o600)) // what its text leads to
	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	memfd, err := unix.MemfdCreate("x y", unix.MFD_CLOEXEC)
	must(t, err)
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	must(t, err)
	for _, fd := range []int{pipe[0], pipe[1], socket, memfd, event} {
		t.Cleanup(func() { unix.Close(fd) })
	}
	wants := map[int]Result{
		f:        {Path: top + "/f"},
		kept:     {Path: top + "/kept (deleted)"},
		d:        {Path: top + "/d", Folder: true},
		gone:     {Object: "deleted", Was: top + "/gone"},
		linked:   {Object: "deleted", Was: top + "/gone-but-linked"},
		replaced: {Object: "deleted", Was: top + "/replaced"},
		folder:   {Object: "deleted", Was: top + "/gone-folder", Folder: true},
		unnamed:  {Object: "deleted"},
		pipe[0]:  {Object: "pipe:["}, pipe[1]: {Object: "pipe:["}, socket: {Object: "socket:["},
		memfd: {Object: "memfd:x y"}, event: {Object: "anon_inode:[eventfd]"},
	}
	for how, r := range resolvers(t) {
		noLeak(t, func() {
			for fd, want := range wants {
				checkObject(t, how, r, fd, want)
			}
		})
		for name, want := range map[string]error{"x": unix.ENOENT, "x/y": unix.ENOENT, "": unix.ENOENT} {
			if res, err := r.Name(me(), folder, name, true); err != want {
				t.Errorf("%s: %q in a deleted folder: %+v, %v", how, name, res, err)
			}
		}
		if res, err := r.Name(me(), folder, ".", true); err != nil || res.Object != "deleted" || !res.Folder {
			t.Errorf("%s: a deleted folder: %+v, %v", how, res, err)
		}
		if res, err := r.Name(me(), folder, "../f", true); err != nil || res.Path != top+"/f" {
			t.Errorf("%s: above a deleted folder: %+v, %v", how, res, err)
		}
	}
}

func checkObject(t *testing.T, how string, r *Resolver, fd int, want Result) {
	t.Helper()
	same := func(name string, res Result, err error) {
		t.Helper()
		var st unix.Stat_t
		must(t, unix.Fstat(fd, &st))
		if err != nil || res.Path != want.Path || res.Inside != want.Path || !strings.HasPrefix(res.Object, want.Object) ||
			want.Was != "" && res.Was != want.Was || res.Folder != want.Folder || !res.Exists || res.Descriptor != fd ||
			res.Dev != st.Dev || res.Ino != st.Ino || (want.Object == "") != (res.Object == "") {
			t.Errorf("%s: %s: %+v, %v, want %+v", how, name, res, err, want)
		}
	}
	res, err := r.Descriptor(me(), fd)
	same("descriptor", res, err)
	for _, folder := range []string{"/proc/self/fd/", "/dev/fd/", fmt.Sprintf("/proc/%d/fd/", os.Getpid()), fmt.Sprintf("/proc/self/task/%d/fd/", os.Getpid())} {
		res, err := r.Name(me(), unix.AT_FDCWD, folder+strconv.Itoa(fd), true)
		same(folder, res, err)
	}
}

func TestDescriptorIsTheTasksOnly(t *testing.T) {
	p := newTracee(t, "")
	r := newResolver(t)
	task := Task{PID: p.pid, TID: p.pid}
	for name, want := range map[string]int{
		"/dev/stdin": 0, "/dev/stdout": 1, "/proc/self/fd/0": 0, "/proc/thread-self/fd/1": 1,
		fmt.Sprintf("/proc/%d/fd/0", os.Getpid()): -1, "/proc/self/exe": -1,
	} {
		if res, err := r.Name(task, unix.AT_FDCWD, name, true); err != nil || res.Descriptor != want {
			t.Errorf("%s: %+v, %v, want descriptor %d", name, res, err, want)
		}
	}
}

func TestMapFilesAndNamespaces(t *testing.T) {
	files, err := os.ReadDir("/proc/self/map_files")
	must(t, err)
	r := newResolver(t)
	for _, f := range files {
		name := "/proc/self/map_files/" + f.Name()
		res, err := r.Name(me(), unix.AT_FDCWD, name, true)
		if want := native(unix.AT_FDCWD, name, true); want != given(res, err) {
			t.Errorf("%s: %+v, %v, the kernel says %v", name, res, err, want)
		}
	}
	res, err := r.Name(me(), unix.AT_FDCWD, "/proc/self/ns/net", true)
	if err != nil || !strings.HasPrefix(res.Object, "net:[") || given(res, err) != native(unix.AT_FDCWD, "/proc/self/ns/net", true) {
		t.Errorf("%+v, %v", res, err)
	}
}

// What comes after the descriptor does not make it forgotten.
func TestThroughDescriptor(t *testing.T) {
	top := tree(t, "d/", "d/l -> f", "d/f")
	fd, err := unix.Open(top+"/d", unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	for how, r := range resolvers(t) {
		for name, want := range map[string]string{"": "", "/f": "/f", "/l": "/f", "/new": "/new", "/../d/l": "/f"} {
			res, err := r.Name(me(), unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd)+name, true)
			if err != nil || res.Path != top+"/d"+want || res.Descriptor != fd {
				t.Errorf("%s: %q: %+v, %v", how, name, res, err)
			}
		}
	}
}

// A file outside of proc that looks like it is none of it.
func TestProcIsKnownByItsKind(t *testing.T) {
	top := tree(t, "proc/", "proc/self -> 1", "proc/1/", "proc/1/fd/", "proc/1/fd/0 -> ../../x", "proc/x")
	r := newResolver(t)
	res, err := r.Name(me(), unix.AT_FDCWD, top+"/proc/self/fd/0", true)
	if err != nil || res.Path != top+"/proc/x" || res.Descriptor != -1 {
		t.Errorf("%+v, %v", res, err)
	}
}
