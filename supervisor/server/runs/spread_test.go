package runs

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpread: the folders of jobs are kept apart where the file system does that.
func TestSpread(t *testing.T) {
	h, err := New(t.TempDir(), "/bin/false")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(h.folder, &st); err != nil {
		t.Fatal(err)
	}
	fd, err := openIn("", h.folder, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if ext := st.Type == unix.EXT4_SUPER_MAGIC; ext && (err != nil || flags&topdir == 0) {
		t.Errorf("flags %#x, %v", flags, err)
	}
}
