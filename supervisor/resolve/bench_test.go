package resolve

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func BenchmarkName(b *testing.B) {
	top := tree(b, "a/", "a/b/", "a/b/c/", "a/b/c/f", "to-b -> a/b", "a/b/c/l -> f", "a/b/c/l2 -> l")
	b.Chdir(top)
	dir, err := unix.Open(top+"/a", unix.O_PATH|unix.O_CLOEXEC, 0)
	must(b, err)
	defer unix.Close(dir)
	r := newResolver(b)
	for _, c := range []struct {
		what  string
		dirfd int
		name  string
	}{
		{"absolute", unix.AT_FDCWD, top + "/a/b/c/f"},
		{"short", unix.AT_FDCWD, "/etc/passwd"},
		{"devtmpfs", unix.AT_FDCWD, "/dev/null"},
		{"untidy", unix.AT_FDCWD, top + "/a//b/./c/f"},
		{"missing", unix.AT_FDCWD, top + "/a/b/c/x"},
		{"missing folder", unix.AT_FDCWD, top + "/a/x/c/x"},
		{"relative", unix.AT_FDCWD, "a/b/c/f"},
		{"dirfd", dir, "b/c/f"},
		{"back", unix.AT_FDCWD, "a/b/../b/c/f"},
		{"folder link", unix.AT_FDCWD, top + "/to-b/c/f"},
		{"last link", unix.AT_FDCWD, top + "/a/b/c/l"},
		{"two links", unix.AT_FDCWD, top + "/a/b/c/l2"},
		{"shell", unix.AT_FDCWD, "/bin/sh"},
		{"proc self", unix.AT_FDCWD, "/proc/self/status"},
		{"proc self fd", unix.AT_FDCWD, "/proc/self/fd/0"},
		{"forty links", unix.AT_FDCWD, top + "/" + strings.Repeat("to-b/../../", 40)},
	} {
		b.Run(strings.ReplaceAll(c.what, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Name(me1, c.dirfd, c.name, true); err != nil && c.what != "missing folder" {
					b.Fatal(err)
				}
			}
		})
	}
}

var me1 = Task{PID: os.Getpid(), TID: os.Getpid()}

// BenchmarkKernel is the least that a name can cost.
func BenchmarkKernel(b *testing.B) {
	text := []byte("/etc/passwd\x00")
	r := &Resolver{top: unix.AT_FDCWD, how: linkless}
	b.Run("openat2-fstat-close", func(b *testing.B) {
		for b.Loop() {
			fd, errno := r.openLinkless(text)
			if errno != 0 {
				b.Fatal(errno)
			}
			var st unix.Stat_t
			status(fd, &st)
			shut(fd)
		}
	})
	b.Run("stat", func(b *testing.B) {
		for b.Loop() {
			native(unix.AT_FDCWD, "/etc/passwd", true)
		}
	})
}
