package supervisor

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNameless: a file without a name is found as long as it can be had again: open, only
// mapped, and under way in a socket.
func TestNameless(t *testing.T) {
	dir := t.TempDir()
	var own folders
	if err := own.open([]string{dir}); err != nil {
		t.Fatal(err)
	}
	defer own.close()
	const size = 3 << 20
	look := func(when string, there bool) {
		t.Helper()
		sum, err := own.measure([]int{os.Getpid()})
		if err != nil || (sum.bytes >= size) != there {
			t.Errorf("%s: %d bytes, %v", when, sum.bytes, err)
		}
	}
	look("before", false)
	f, err := os.Create(dir + "/f")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	look("with a name", true)
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	look("open", true)
	page, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	send := unix.Sendmsg(ends[0], []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0)
	if send != nil {
		t.Fatal(send)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	look("mapped, and under way", true)
	if err := unix.Munmap(page); err != nil {
		t.Fatal(err)
	}
	look("under way", true)
	look("still under way", true)
	unix.Close(ends[0])
	unix.Close(ends[1])
	look("gone", false)
}

// TestMappingsOfNameless: what is written by a mapping alone counts as far as that goes.
func TestMappingsOfNameless(t *testing.T) {
	f, end, ok := parseMapping([]string{"7f00-8f00", "rw-s", "00001000", "08:11", "42", "/tmp/f", "(deleted)"})
	if f != (file{unix.Mkdev(8, 17), 42}) || end != 0x2000 || !ok {
		t.Error(f, end, ok)
	}
	for _, fields := range [][]string{{}, {"7f00-8f00", "rw-s", "0", "08:11"}, {"7f00", "rw-s", "0", "08:11", "42"}, {"7f00-8f00", "rw-s", "0", "0811", "42"}} {
		if _, _, ok := parseMapping(fields); ok {
			t.Error(fields)
		}
	}
}

// TestClosedFolders: what is in folders that are closed counts, and they are as before.
func TestClosedFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/a/b/f", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var own folders
	if err := own.open([]string{dir}); err != nil {
		t.Fatal(err)
	}
	defer own.close()
	for _, name := range []string{dir + "/a/b", dir + "/a", dir} {
		if err := os.Chmod(name, 0); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := own.measure(nil); err != nil || sum.bytes < 1<<20 || sum.files != 3 {
		t.Errorf("%+v, %v", sum, err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0 {
		t.Errorf("%v, %v", st, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir + "/a"); err != nil || st.Mode().Perm() != 0 {
		t.Errorf("%v, %v", st, err)
	}
	if err := os.Chmod(dir+"/a", 0o700); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir + "/a/b"); err != nil || st.Mode().Perm() != 0 {
		t.Errorf("%v, %v", st, err)
	}
	if err := os.Chmod(dir+"/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
}
