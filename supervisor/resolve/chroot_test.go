package resolve

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A task with a root of its own is asked what it sees.
func TestChroot(t *testing.T) {
	top := tree(t, "out", "jail/", "jail/d/", "jail/d/e/", "jail/f", "jail/up -> ../../../f", "jail/absolute -> /d", "jail/d/back -> ../..//f",
		"jail/far -> /../../d/e", "jail/out -> /out", "jail/escape -> ../out", "jail/d/dots -> ../../../../d")
	root := top + "/jail"
	p := newTracee(t, root)
	task := Task{PID: p.pid, TID: p.pid, Chrooted: true}
	names := []string{"/", "/..", "/../..", "/f", "/../f", "/d/../../f", "f", "../f", "d/../../../f", "/up", "/absolute", "/absolute/e", "/absolute/../f",
		"/d/back", "/far", "/out", "/escape", "/d/dots", "/d/dots/e/", "up/", "/missing", "/missing/..", "/proc", root + "/f", "..", ".", "/d/e/../../.."}
	for _, folder := range []string{"/", "/d", "/d/e"} {
		if got := p.ask(t, "cd", folder); got != "<nil>" {
			t.Fatal(got)
		}
		for how, r := range resolvers(t) {
			noLeak(t, func() {
				for _, name := range names {
					for _, follow := range []bool{true, false} {
						res, err := r.Name(task, unix.AT_FDCWD, name, follow)
						if got, want := given(res, err), p.stat(t, name, follow); got != want {
							t.Errorf("%s: in %s: %s: %v, the kernel says %v", how, folder, name, got, want)
						}
						sound(t, name, res, err)
						if err == nil && res.Path != root+res.Inside && (res.Path != root || res.Inside != "/") {
							t.Errorf("%s: %s: path %s, inside %s", how, name, res.Path, res.Inside)
						}
						if err == nil && res.Exists && p.stat(t, res.Inside, false) != given(res, err) {
							t.Errorf("%s: %s: the kernel says %v of %s", how, name, p.stat(t, res.Inside, false), res.Inside)
						}
					}
				}
			})
		}
	}
	r := newResolver(t)
	res, err := r.Descriptor(task, 0)
	if err != nil || res.Object == "" {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err := r.Name(task, unix.AT_FDCWD, "/d", true); err != nil || res.Path != root+"/d" || res.Inside != "/d" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestInside(t *testing.T) {
	for _, c := range [][3]string{
		{"/a/jail", "/a/jail", "/"}, {"/a/jail", "/a/jail/x", "/x"}, {"/a/jail", "/a/jail2/x", ""}, {"/a/jail", "/a", ""},
		{"/a/jail", "", ""}, {"/", "/x", "/x"}, {"/", "/", "/"}, {"", "/x", ""},
	} {
		w := walk{t: Task{Chrooted: true}, root: &rootInfo{path: c[0]}}
		if got, err := w.inside(c[1]); got != c[2] || err != nil {
			t.Errorf("%q inside %q: %q, %v, want %q", c[1], c[0], got, err, c[2])
		}
	}
}
