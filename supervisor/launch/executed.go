package launch

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// loaders are the ELF interpreters of the ABIs' documents, and musl's.
var loaders = [...]string{
	"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux.so.2", "/libx32/ld-linux-x32.so.2", "/lib/ld-linux-aarch64.so.1",
	"/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-i386.so.1", "/lib/ld-musl-aarch64.so.1",
}

// Loaders are the host's ELF interpreters, by their canonical names.
func Loaders() []string {
	var list []string
	for _, name := range loaders {
		if path, err := filepath.EvalSymlinks(name); err == nil {
			list = append(list, path)
		}
	}
	return list
}

// maxInterpreters is how many scripts may be each other's interpreters
// (fs/exec.c, exec_binprm).
const maxInterpreters = 5

// Executable is a file that the kernel executes for another that was named.
type Executable struct {
	Path string // canonical
	// Relative: it is an interpreter that begins at the working folder, and Path what its
	// program calls it.
	Relative bool
	Loads    bool // it is an ELF program's interpreter, not a script's or what was named
}

// Executed gives the files that the kernel executes for an absolute path, by
// their canonical names.
func Executed(path string) (list []string) {
	for _, e := range ExecutedIn(unix.AT_FDCWD, path) {
		if !e.Relative {
			list = append(list, e.Path)
		}
	}
	return list
}

// Evades says why executing the file goes around any rules on programs by their paths, "" if
// it does not. loaders are the host's (Loaders).
func (e Executable) Evades(loaders []string) string {
	switch {
	case e.Relative:
		return "its interpreter, " + strconv.Quote(e.Path) + ", is another file in each working folder"
	case !e.Loads && slices.Contains(loaders, e.Path):
		return "the dynamic loader would run any file that can be read"
	}
	return ""
}

// ExecutedIn gives what the kernel executes for an absolute path that begins at the folder
// root: itself, a script's interpreter in turn, and an ELF program's. What cannot be read
// ends the list: then execve itself tells what is wrong.
func ExecutedIn(root int, path string) (list []Executable) {
	loads := false
	for len(list) <= maxInterpreters && path != "" {
		if !filepath.IsAbs(path) {
			return append(list, Executable{Path: path, Relative: true, Loads: loads})
		}
		place, canonical, err := openIn(root, path)
		if err != nil {
			break
		}
		list = append(list, Executable{Path: canonical, Loads: loads})
		path, loads = interpreter(place)
		unix.Close(place)
	}
	return list
}

// openIn opens a file for its place alone, and gives its canonical name.
func openIn(root int, path string) (place int, canonical string, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC}
	if root != unix.AT_FDCWD {
		how.Resolve = unix.RESOLVE_IN_ROOT
	}
	place, err = unix.Openat2(root, path, &how)
	if err != nil {
		return -1, "", err
	}
	canonical, err = os.Readlink(opened(place))
	if err != nil {
		unix.Close(place)
	}
	return place, canonical, err
}

func opened(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// file reads from a descriptor. An os.File would be made known to the runtime's
// poller first.
type file int

func (f file) ReadAt(p []byte, at int64) (n int, err error) {
	n, err = unix.Pread(int(f), p, at)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return max(n, 0), err
}

// interpreter is the file that the kernel executes for another, "" for none; elf says that
// the other is an ELF program. Only a file is opened: of a device that could do something.
func interpreter(place int) (path string, elf bool) {
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", false
	}
	fd, err := unix.Open(opened(place), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0) // it could be leased (fcntl(2))
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	return interpreterOf(file(fd))
}

func interpreterOf(f io.ReaderAt) (path string, elf bool) {
	var start [1024]byte // as a rule all of an ELF program that is asked for
	n, _ := f.ReadAt(start[:], 0)
	if line, script := bytes.CutPrefix(start[:min(n, scriptSize)], []byte("#!")); script {
		return scriptInterpreter(line), false
	}
	if bytes.HasPrefix(start[:n], []byte("\x7fELF")) && n >= elfHeaderSize {
		return elfInterpreter(&begun{f, start[:n]}), true
	}
	return "", false
}

// scriptSize is how much of a script the kernel looks at, BINPRM_BUF_SIZE.
const scriptSize = 256

// begun is a file whose beginning is read.
type begun struct {
	rest  io.ReaderAt
	start []byte
}

func (b *begun) ReadAt(p []byte, at int64) (n int, err error) {
	if at >= 0 && at <= int64(len(b.start)-len(p)) {
		return copy(p, b.start[at:]), nil
	}
	return b.rest.ReadAt(p, at)
}

func scriptInterpreter(line []byte) string {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t\x00"); end >= 0 {
		line = line[:end]
	}
	return string(line)
}

// elfHeaderSize is sizeof(Elf64_Ehdr); a 32-bit program of that size has no
// interpreter either.
const elfHeaderSize = 64

// phdrsMost is how many program headers the kernel takes: 64 KiB of them
// (load_elf_phdrs).
const phdrsMost = 65536 / 32

// Of elf.h. Package debug/elf, which has them too, brings readers of other formats
// along, each of which every start would set up.
const (
	ptInterp = 3
	phdrSize = 56 // sizeof(Elf64_Phdr)
)

// elfInterpreter reads PT_INTERP as load_elf_binary does (fs/binfmt_elf.c), which goes by
// the size of program headers, not by the class that the file says it is of. The
// file is whoever's: package debug/elf does not claim to stand that.
func elfInterpreter(f *begun) string {
	le, header := binary.LittleEndian, f.start
	var at, size, count int64
	wide := le.Uint16(header[54:]) == phdrSize
	if wide {
		at, size, count = int64(le.Uint64(header[32:])), int64(le.Uint16(header[54:])), int64(le.Uint16(header[56:]))
	} else {
		at, size, count = int64(le.Uint32(header[28:])), int64(le.Uint16(header[42:])), int64(le.Uint16(header[44:]))
	}
	var p [phdrSize]byte
	for count = min(count, phdrsMost); count > 0; count-- {
		if at < 0 {
			return ""
		}
		if n, _ := f.ReadAt(p[:], at); n < 32 { // sizeof(Elf32_Phdr)
			return ""
		}
		at += size
		if le.Uint32(p[:]) != ptInterp {
			continue
		}
		if wide {
			return textAt(f, int64(le.Uint64(p[8:])), le.Uint64(p[32:]))
		}
		return textAt(f, int64(le.Uint32(p[4:])), uint64(le.Uint32(p[16:])))
	}
	return ""
}

// textAt reads a path that ends in NUL.
func textAt(f io.ReaderAt, at int64, size uint64) string {
	if at < 0 || size > unix.PathMax {
		return ""
	}
	text := make([]byte, size)
	if _, err := f.ReadAt(text, at); err != nil {
		return ""
	}
	path, _, _ := bytes.Cut(text, []byte{0})
	return string(path)
}
