package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// memory is a tracee's: what lies at which address, with holes between. A read
// that runs into a hole is cut short and fails as /proc/PID/mem does.
type memory map[uint64][]byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	for base, b := range m {
		if at := uint64(off); at >= base && at < base+uint64(len(b)) {
			n := copy(p, b[at-base:])
			if n < len(p) {
				return n, unix.EIO
			}
			return n, nil
		}
	}
	return 0, unix.EIO
}

type refusing struct{ err error }

func (r refusing) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// le packs words of size bytes.
func le(size int, words ...uint64) []byte {
	var b []byte
	for _, w := range words {
		if size == 4 {
			b = binary.LittleEndian.AppendUint32(b, uint32(w))
		} else {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	return b
}

func TestPath(t *testing.T) {
	long := strings.Repeat("a", 5000)
	m := memory{
		0x1000: []byte("/etc/passwd\x00rest"),
		0x2ffd: []byte("abcdef\x00"), // over a page's end
		0x4ffd: []byte("abc"),        // up to a hole
		0x6000: []byte(long),         // no NUL in PATH_MAX
		0x9000: []byte(long[:4095] + "\x00"),
		0xb000: []byte(long[:4096] + "\x00"),
		0xd000: {0},
	}
	for _, c := range []struct {
		addr uint64
		want string
		err  error
	}{
		{0x1000, "/etc/passwd", nil},
		{0x1005, "passwd", nil},
		{0x2ffd, "abcdef", nil},
		{0x4ffd, "", unix.EFAULT},
		{0x6000, "", unix.ENAMETOOLONG},
		{0x9000, long[:4095], nil},
		{0xb000, "", unix.ENAMETOOLONG},
		{0xd000, "", nil},
		{0, "", unix.EFAULT},
		{1 << 63, "", unix.EFAULT},
		{^uint64(0), "", unix.EFAULT},
		{1<<63 - 1, "", unix.EFAULT},
	} {
		got, err := path(m, c.addr)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%#x: %.20q (%d bytes), %v; want %.20q, %v", c.addr, got, len(got), err, c.want, c.err)
		}
	}
}

func path(mem io.ReaderAt, addr uint64) (string, error) {
	s, err := PathInto(nil, mem, addr)
	return string(s), err
}

func TestFaultSaysWhose(t *testing.T) {
	for _, c := range []struct {
		mem  io.ReaderAt
		want error
	}{
		{nil, unix.EPERM},
		{refusing{unix.EACCES}, unix.EACCES},
		{refusing{io.EOF}, unix.EFAULT},
		{refusing{nil}, unix.EFAULT},
		{refusing{unix.EFAULT}, unix.EFAULT},
	} {
		_, err := path(c.mem, 0x1234)
		var f *Fault
		if !errors.As(err, &f) || f.Addr != 0x1234 || !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c.want, err)
		}
	}
	if got := (&Fault{0x10, unix.EFAULT}).Error(); got != "memory at 0x10: bad address" {
		t.Error(got)
	}
}

func TestStrings(t *testing.T) {
	m := memory{
		0x1000: []byte("ls\x00-l\x00"),
		0x2000: le(8, 0x1000, 0x1003, 0),
		0x3000: le(4, 0x1000, 0x1003, 0),
		0x4000: le(8, 0x1000, 0xdead0000, 0),
		0x5000: le(8, 0x1000, 0x1003), // no NULL
		0x6000: le(8, 0x7000, 0x7000, 0),
		0x7000: []byte(strings.Repeat("x", 6000)),
	}
	for _, c := range []struct {
		addr uint64
		arch abi.Arch
		max  int
		want string
		more bool
		err  error
	}{
		{0x2000, abi.X86_64, 9, "[ls -l]", false, nil},
		{0x2000, abi.X86_64, 2, "[ls -l]", false, nil},
		{0x2000, abi.X86_64, 1, "[ls]", true, nil},
		{0x3000, abi.I386, 9, "[ls -l]", false, nil},
		{0x3000, abi.X32, 9, "[ls -l]", false, nil},
		{0x4000, abi.AArch64, 9, "[ls]", false, unix.EFAULT},
		{0x5000, abi.X86_64, 9, "[ls -l]", false, unix.EFAULT},
		{0, abi.X86_64, 9, "[]", false, nil},
		{0x9999, abi.X86_64, 9, "[]", false, unix.EFAULT},
	} {
		got, more, err := stringsOf(m, c.addr, c.arch, c.max, pathMax-1)
		if fmt.Sprint(got) != c.want || more != c.more || !errors.Is(err, c.err) {
			t.Errorf("%#x %v: %v, %v, %v", c.addr, c.arch, got, more, err)
		}
	}
	if got, more, err := stringsOf(m, 0x6000, abi.X86_64, 9, pathMax-1); len(got) != 2 || len(got[0]) != 4095 || !more || err != nil {
		t.Errorf("long strings: %d, %v, %v", len(got), more, err)
	}
}

// endless is memory that is readable everywhere and never NUL.
type endless struct{ read *int }

func (e endless) ReadAt(p []byte, off int64) (int, error) {
	*e.read += len(p)
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

func TestReadsAreBounded(t *testing.T) {
	read := 0
	list, more, err := stringsOf(endless{&read}, 0x1000, abi.X86_64, 1<<30, pathMax-1)
	if !more || err != nil || read > 4*stringsMax {
		t.Errorf("%d strings, %v, %v, %d bytes read", len(list), more, err, read)
	}
	read = 0
	s := &abi.Syscall{Params: []abi.Param{
		{Kind: abi.Path, Lo: 0, Hi: -1, Bits: 64}, {Kind: abi.Argv, Lo: 1, Hi: -1, Bits: 64},
		{Kind: abi.Buffer, Lo: 2, Hi: -1, Bits: 64}, {Kind: abi.Size, Lo: 3, Hi: -1, Bits: 64},
		{Kind: abi.String, Lo: 4, Hi: -1, Bits: 64}, {Kind: abi.Sockaddr, Lo: 5, Hi: -1, Bits: 64}, {Kind: abi.Size, Lo: 3, Hi: -1, Bits: 64},
	}}
	Args(abi.Call{Arch: abi.X86_64, Args: [6]uint64{8, 8, 8, ^uint64(0), 8, 8}}, s, endless{&read})
	if read > 32<<10 {
		t.Errorf("%d bytes read", read)
	}
}
