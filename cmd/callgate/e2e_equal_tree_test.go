package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A shape is a folder's content, which every case of a batch finds anew.
type shape struct {
	nodes []node // a folder before what is in it
}

// node is one name of a shape.
type node struct {
	path string // from the shape's root on, which is ""
	kind byte
	to   string // of a link: its text, in which a leading @ is the root; of a second name: the first
}

const (
	aFolder  = 'd'
	aFile    = 'f'
	aProgram = 'x'
	aLink    = 'l'
	aSecond  = 'h' // hard link
	aFifo    = 'p'
	aSocket  = 's'
)

// nodeNames are what files are called; a number behind makes each a new one.
var nodeNames = []string{"f", "sp ace", ".hid", "...", "-n", "x\xff\xfe", "ü", "a(b)", "tab\t"}

func newShape(r *rand.Rand) *shape {
	s := &shape{nodes: []node{{"", aFolder, ""}}}
	add := func(kind byte, to string) { s.nodes = append(s.nodes, node{s.fresh(r), kind, to}) }
	for range 4 + r.IntN(3) {
		add(aFolder, "")
	}
	for range 4 + r.IntN(3) {
		add(aFile, "")
	}
	for _, kind := range []byte{aProgram, aFifo, aSocket} {
		add(kind, "")
	}
	add(aSecond, s.pick(r, aFile).path)
	for range 5 + r.IntN(4) {
		add(aLink, s.target(r))
	}
	return s
}

// fresh is a new name in some folder.
func (s *shape) fresh(r *rand.Rand) string {
	name := fmt.Sprintf("%s%d", nodeNames[r.IntN(len(nodeNames))], len(s.nodes))
	return filepath.Join(s.pick(r, aFolder).path, name)
}

func (s *shape) pick(r *rand.Rand, kind byte) node {
	for {
		if n := s.nodes[r.IntN(len(s.nodes))]; n.kind == kind {
			return n
		}
	}
}

// target is what a link says: it may lead to a link, to nothing, to itself, or
// up.
func (s *shape) target(r *rand.Rand) string {
	n := s.nodes[r.IntN(len(s.nodes))].path
	switch r.IntN(8) {
	case 0:
		return "@/" + n
	case 1:
		return "@/" + n + "/missing"
	case 2:
		return "missing/" + filepath.Base(n)
	case 3:
		return "."
	case 4:
		return strings.TrimPrefix(s.lastLink(), "/")
	}
	return "up:" + n
}

func (s *shape) lastLink() string {
	if last := s.nodes[len(s.nodes)-1]; last.kind == aLink {
		return "@/" + last.path
	}
	return "@"
}

// textOf is a link's text in the tree at root.
func (n *node) textOf(root string) string {
	if to, ok := strings.CutPrefix(n.to, "up:"); ok {
		rel, err := filepath.Rel(filepath.Dir("/"+n.path), "/"+to)
		if err != nil {
			panic(err)
		}
		return rel
	}
	if to, ok := strings.CutPrefix(n.to, "@"); ok {
		return root + to
	}
	return n.to
}

// grow makes the shape a tree at root. Times tell its files apart.
func (s *shape) grow(t *testing.T, root string) {
	t.Helper()
	for i := range s.nodes {
		if err := s.nodes[i].grow(root, i); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range slices.Backward(s.nodes) {
		then := unix.NsecToTimespec((time.Duration(nodeTime(i)) * time.Second).Nanoseconds())
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(root, n.path), []unix.Timespec{then, then}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
}

func nodeTime(i int) int { return 1000 + 10*i }

func (n *node) grow(root string, i int) error {
	path := filepath.Join(root, n.path)
	switch n.kind {
	case aFolder:
		return os.Mkdir(path, 0o755)
	case aFile:
		return os.WriteFile(path, []byte(strings.Repeat("x", i)), 0o644)
	case aProgram:
		return os.WriteFile(path, exits42, 0o755)
	case aLink:
		return os.Symlink(n.textOf(root), path)
	case aSecond:
		return os.Link(filepath.Join(root, n.to), path)
	case aFifo:
		return unix.Mknod(path, unix.S_IFIFO|0o644, 0)
	}
	return unix.Mknod(path, unix.S_IFSOCK|0o644, 0)
}

// exits42 is the smallest program for x86-64: it exits with 42.
var exits42 = []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + // 64-bit, little-endian
	"\x02\x00\x3e\x00\x01\x00\x00\x00\x78\x00\x40\x00\x00\x00\x00\x00" + // an executable, begins at 0x400078
	"\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x40\x00\x38\x00\x01\x00\x00\x00\x00\x00\x00\x00" +
	"\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + // one segment, to read and execute
	"\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00" +
	"\x84\x00\x00\x00\x00\x00\x00\x00\x84\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x10\x00\x00\x00\x00\x00\x00" +
	"\xbf\x2a\x00\x00\x00" + // mov $42, %edi
	"\xb8\x3c\x00\x00\x00" + // mov $60, %eax
	"\x0f\x05") // syscall

// snapshot tells all of a tree but its place.
func snapshot(root string) string {
	var b strings.Builder
	filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			b.WriteString(lookAt(root, path))
		}
		return nil
	})
	return b.String()
}

// lookAt is one line on a file.
func lookAt(root, path string) string {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	line := fmt.Sprintf("%q %o %d:%d links %d", strings.TrimPrefix(path, root), st.Mode, st.Uid, st.Gid, st.Nlink)
	if st.Mtim.Sec < 1e9 {
		line += fmt.Sprintf(" of %d", st.Mtim.Sec)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		line += fmt.Sprintf(" size %d", st.Size)
	}
	if text, err := os.Readlink(path); err == nil {
		line += " to " + strings.ReplaceAll(text, root, "@")
	}
	var names [256]byte
	if n, err := unix.Llistxattr(path, names[:]); err == nil && n > 0 {
		line += fmt.Sprintf(" attributes %q", names[:n])
	}
	return line + "\n"
}
