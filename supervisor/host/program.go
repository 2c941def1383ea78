package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// answer is the exit status by which a probe's program says yes.
const answer = 42

// Programs of a few instructions; each exits with answer if its way into the
// kernel is open, with another status or a signal if not.
var (
	// exit(42) by syscall
	exitAMD64 = []byte{0xb8, 60, 0, 0, 0, 0xbf, answer, 0, 0, 0, 0x0f, 0x05}
	// exit(42) by svc 0
	exitARM64 = []byte{0xa8, 0x0b, 0x80, 0xd2, 0x40, 0x05, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}
	// i386's exit(42) by int 0x80, the same bytes in 32-bit and in 64-bit code;
	// then, in case that did nothing, x86_64's exit(1)
	exitInt80 = []byte{0xb8, 1, 0, 0, 0, 0xbb, answer, 0, 0, 0, 0xcd, 0x80,
		0xb8, 60, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05}
	// x32's exit(42), then x86_64's exit(1)
	exitX32 = []byte{0xb8, 60, 0, 0, 0x40, 0xbf, answer, 0, 0, 0, 0x0f, 0x05,
		0xb8, 60, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05}
)

// compat is what an x86-64 kernel offers beside its native calls.
func compat() []Feature {
	if runtime.GOARCH != "amd64" {
		return nil
	}
	return []Feature{
		tried("32-bit programs", "a policy's compat rules say what they may do", elf32(exitInt80)),
		tried("int 0x80 in 64-bit code", "a policy's compat rules say what it may do", elf64(exitInt80)),
		tried("x32", "a policy's compat rules say what they may do", elf64(exitX32)),
	}
}

func userNamespaces() Feature {
	attr := &os.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}}
	code := exitAMD64
	if runtime.GOARCH == "arm64" {
		code = exitARM64
	}
	f := Feature{Name: "user namespaces", Use: "not needed; other sandboxes need them, and --isolate without root", Status: Yes}
	if err := execute(elf64(code), attr); err != nil {
		f.Status, f.Detail = No, err.Error()
	}
	return f
}

func tried(name, use string, program []byte) Feature {
	f := Feature{Name: name, Use: use, Status: Yes}
	if err := execute(program, &os.ProcAttr{}); err != nil {
		f.Status = No
		if errors.Is(err, errMemory) {
			f.Status = Unknown
		}
		f.Detail = err.Error()
	}
	return f
}

var errMemory = errors.New("no program can be made in memory")

// execute runs a program from memory and gives an error unless it exits with
// answer.
func execute(program []byte, attr *os.ProcAttr) error {
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("%w: memfd_create: %w", errMemory, err)
	}
	file := os.NewFile(uintptr(fd), "probe")
	defer file.Close()
	if _, err := file.Write(program); err != nil {
		return fmt.Errorf("%w: %w", errMemory, err)
	}
	process, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"probe"}, attr)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err // the name in it says nothing
		}
		return err
	}
	state, err := process.Wait()
	if err != nil {
		return err
	}
	switch state.ExitCode() {
	case answer:
		return nil
	case 1:
		return errors.New("the kernel does not take such calls")
	}
	return errors.New(state.String())
}

// Both images are one page, loaded whole, readable and executable, at base.
const base = 0x400000

// elf64 is an executable for this machine with code at its entry.
func elf64(code []byte) []byte {
	const header, size = 64, 64 + 56
	machine := uint16(62) // EM_X86_64
	if runtime.GOARCH == "arm64" {
		machine = 183 // EM_AARCH64
	}
	return image(2, code,
		uint16(2), machine, uint32(1), uint64(base+size), uint64(header), uint64(0), uint32(0),
		uint16(header), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		// the one program header: PT_LOAD, R+X
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base),
		uint64(size+len(code)), uint64(size+len(code)), uint64(0x1000))
}

// elf32 is an i386 executable with code at its entry.
func elf32(code []byte) []byte {
	const header, size = 52, 52 + 32
	return image(1, code,
		uint16(2), uint16(3), uint32(1), uint32(base+size), uint32(header), uint32(0), uint32(0),
		uint16(header), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(base), uint32(base),
		uint32(size+len(code)), uint32(size+len(code)), uint32(5), uint32(0x1000))
}

// image puts the ELF identification of a class (1: 32-bit, 2: 64-bit), the
// header's fields and the code together (elf(5)).
func image(class byte, code []byte, fields ...any) []byte {
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, f := range fields {
		_ = binary.Write(&b, binary.LittleEndian, f) // a Buffer takes everything
	}
	b.Write(code)
	return b.Bytes()
}
