package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

const (
	// pathMax is PATH_MAX of linux/limits.h, the terminating NUL included.
	pathMax = 4096
	// pageSize bounds one read of the tracee's memory, so that a hole costs
	// only its own page. Larger real pages are multiples of it.
	pageSize = 4096
	// stringsMax bounds all that stringsOf reads, in bytes.
	stringsMax = 64 << 10
)

// Fault says that memory at Addr could not be read. Err is EFAULT where
// nothing readable is mapped there, as the kernel would answer, and otherwise
// what keeps callgate from reading it (EPERM: the task is not dumpable).
type Fault struct {
	Addr uint64
	Err  error
}

func (e *Fault) Error() string {
	return fmt.Sprintf("memory at %#x: %v", e.Addr, e.Err)
}

func (e *Fault) Unwrap() error { return e.Err }

// read fills p from addr as far as memory is readable, and says how far that
// was. The error is a *Fault at the first byte that is missing, nil if none is.
func read(mem io.ReaderAt, addr uint64, p []byte) (int, error) {
	if mem == nil {
		return 0, &Fault{addr, unix.EPERM}
	}
	done := 0
	for done < len(p) {
		at := addr + uint64(done)
		if at < addr || at > 1<<63-1-pageSize {
			return done, &Fault{at, unix.EFAULT}
		}
		want := min(len(p)-done, int(pageSize-at%pageSize))
		n, err := mem.ReadAt(p[done:done+want], int64(at))
		if n < 0 || n > want {
			n = 0
		}
		done += n
		if n < want {
			return done, fault(addr+uint64(done), err)
		}
	}
	return done, nil
}

// fault takes what /proc/PID/mem and process_vm_readv(2) say of an unmapped
// address (EIO, EFAULT, the end of the file) for the kernel's EFAULT.
func fault(addr uint64, err error) *Fault {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EIO) {
		err = unix.EFAULT
	}
	return &Fault{addr, err}
}

// full reads n bytes at addr, all or nothing.
func full(mem io.ReaderAt, addr uint64, n int) ([]byte, error) {
	p := make([]byte, n)
	if _, err := read(mem, addr, p); err != nil {
		return nil, err
	}
	return p, nil
}

// words reads n little-endian words of size bytes (4 or 8), zero-extended.
func words(mem io.ReaderAt, addr uint64, size, n int) ([]uint64, error) {
	p, err := full(mem, addr, size*n)
	if err != nil {
		return nil, err
	}
	list := make([]uint64, n)
	for i := range list {
		if size == 4 {
			list[i] = uint64(binary.LittleEndian.Uint32(p[4*i:]))
		} else {
			list[i] = binary.LittleEndian.Uint64(p[8*i:])
		}
	}
	return list, nil
}

// text reads the NUL-terminated string at addr, at most limit bytes of it
// without the NUL. ended says whether the NUL was found. On a fault it returns
// what came before it.
func text(mem io.ReaderAt, addr uint64, limit int) (s []byte, ended bool, err error) {
	return textInto(nil, mem, addr, limit)
}

// textInto is text that writes into s, which is empty, as far as that has room.
func textInto(s []byte, mem io.ReaderAt, addr uint64, limit int) (_ []byte, ended bool, err error) {
	chunk := 256
	for len(s) <= limit {
		at := addr + uint64(len(s))
		want := min(chunk, int(pageSize-at%pageSize), limit+1-len(s))
		s = slices.Grow(s, want)
		p := s[len(s) : len(s)+want]
		n, err := read(mem, at, p)
		if i := bytes.IndexByte(p[:n], 0); i >= 0 {
			s = s[:len(s)+i]
			return s[:min(len(s), limit)], len(s) <= limit, nil
		}
		s = s[:len(s)+n]
		if err != nil {
			return s[:min(len(s), limit)], false, err
		}
		chunk = pageSize
	}
	return s[:limit], false, nil
}

// PathInto reads the file name at addr as the kernel's getname() does, into s, which
// is empty, as far as that has room: errors are a *Fault, or ENAMETOOLONG where 4096
// bytes hold no NUL. An empty name is no error here.
func PathInto(s []byte, mem io.ReaderAt, addr uint64) ([]byte, error) {
	s, ended, err := textInto(s, mem, addr, pathMax-1)
	if err != nil {
		return nil, err
	}
	if !ended {
		return nil, unix.ENAMETOOLONG
	}
	return s, nil
}

// stringsOf reads the NULL-terminated array of strings at addr, as execve's argv
// and envp: at most max strings, that many bytes of each and 64 KiB in all. more
// says that something was left out. A NULL array is empty, as Linux's execve
// takes it. The error is a *Fault; what was read before it is returned.
func stringsOf(mem io.ReaderAt, addr uint64, arch abi.Arch, max, each int) (list []string, more bool, err error) {
	if addr == 0 {
		return nil, false, nil
	}
	size := pointerSize(arch)
	for total := 0; ; {
		p, err := words(mem, addr+uint64(len(list)*size), size, 1)
		if err != nil {
			return list, more, err
		}
		if p[0] == 0 {
			return list, more, nil
		}
		if len(list) >= max || total >= stringsMax {
			return list, true, nil
		}
		s, ended, err := text(mem, p[0], min(each, stringsMax-total))
		if err != nil {
			return list, more, err
		}
		more = more || !ended
		total += len(s) + 1
		list = append(list, string(s))
	}
}
