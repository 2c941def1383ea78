package resolve

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSlashOfLink: a link whose text ends in a slash asks for a folder as a name
// does, also where nothing is there: open(2) with O_CREAT makes no file then.
func TestSlashOfLink(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"plain": "missing", "slash": "missing/", "chain": "slash", "over": "plain/"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := newResolver(t)
	self := Task{PID: os.Getpid(), TID: unix.Gettid()}
	for link, slash := range map[string]bool{"plain": false, "slash": true, "chain": true, "over": true} {
		res, err := r.Name(self, unix.AT_FDCWD, filepath.Join(dir, link), true)
		if err != nil || res.TrailingSlash != slash || res.Path != filepath.Join(dir, "missing") {
			t.Errorf("%s: %+v, %v; want a slash: %v", link, res, err, slash)
		}
	}
}
