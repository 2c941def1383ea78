package decode

import (
	"io"
	"strconv"
	"strings"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

const (
	bufferShown = 64  // bytes of a buffer
	argvShown   = 32  // strings of an argv
	argShown    = 256 // bytes of one of them, and of other text
)

// shower shows one call's parameters.
type shower struct {
	call *abi.Call
	sys  *abi.Syscall
	mem  io.ReaderAt
}

// ignored says whether the kernel does not look at parameter i: open's mode,
// unless the flags create a file (open(2)).
func (sh *shower) ignored(i int) bool {
	p := &sh.sys.Params[i]
	if p.Kind != abi.Mode || i == 0 || sh.sys.Params[i-1].Name != "flags" {
		return false
	}
	if sh.sys.Name != "open" && sh.sys.Name != "openat" {
		return false
	}
	const creates = 0o100 | 0o20000000 // O_CREAT and __O_TMPFILE, the same in all four ABIs
	return sh.sys.Params[i-1].Value(&sh.call.Args)&creates == 0
}

func (sh *shower) value(i int) uint64 {
	v := sh.sys.Params[i].Value(&sh.call.Args)
	if sh.sys.Params[i].Hi < 0 && sh.sys.Params[i].Shift == 0 && sh.call.Arch == abi.I386 {
		v = uint64(uint32(v))
	}
	return v
}

// param shows parameter i.
func (sh *shower) param(i int) string {
	p, v := &sh.sys.Params[i], sh.value(i)
	switch p.Kind {
	case abi.FD, abi.PID:
		return strconv.FormatInt(int64(int32(v)), 10)
	case abi.DirFD:
		if int32(v) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.FormatInt(int64(int32(v)), 10)
	case abi.Size:
		if !p.Signed {
			return strconv.FormatUint(v, 10)
		}
		return strconv.FormatInt(signed(v, width(p)), 10)
	case abi.Offset:
		return strconv.FormatInt(signed(v, width(p)), 10)
	case abi.Mode:
		return octal(v)
	case abi.Signal:
		return signal(v)
	case abi.Int:
		return number(p, v)
	}
	return sh.pointed(i, v)
}

// pointed shows what parameter i, the address v, points to.
func (sh *shower) pointed(i int, v uint64) string {
	if v == 0 {
		return "NULL"
	}
	var s string
	var err error
	switch sh.sys.Params[i].Kind {
	case abi.Path:
		s, err = quotedAt(sh.mem, v, pathMax-1)
	case abi.String:
		s, err = quotedAt(sh.mem, v, argShown)
	case abi.Buffer:
		s, err = sh.buffer(i, v)
	case abi.Sockaddr:
		s, err = sh.sockaddr(i, v)
	case abi.Argv:
		if sh.sys.Params[i].Name == "envp" {
			s, err = variables(sh.mem, v, sh.call.Arch)
			break
		}
		s, err = argv(sh.mem, v, sh.call.Arch)
	case abi.OpenHow:
		s, err = sh.openHow(i, v)
	case abi.CloneArgs:
		s, err = sh.cloneArgs(i, v)
	case abi.Timespec:
		s, err = timespec(sh.mem, v, 8)
	case abi.Timespec32:
		s, err = timespec(sh.mem, v, 4)
	default:
		return hex(v)
	}
	if err != nil {
		return hex(v)
	}
	return s
}

// length is the parameter after i as a count of bytes; ok is false where it is
// none, as for accept's addrlen, which is where the kernel writes it.
func (sh *shower) length(i int) (n uint64, ok bool) {
	if i+1 >= len(sh.sys.Params) {
		return 0, false
	}
	switch sh.sys.Params[i+1].Kind {
	case abi.Size, abi.Int:
		return sh.value(i + 1), true
	}
	return 0, false
}

func quotedAt(mem io.ReaderAt, addr uint64, limit int) (string, error) {
	s, ended, err := text(mem, addr, limit)
	if err != nil {
		return "", err
	}
	return quote(s, !ended), nil
}

func (sh *shower) buffer(i int, addr uint64) (string, error) {
	n, ok := sh.length(i)
	if !ok {
		return hex(addr), nil
	}
	p, err := full(sh.mem, addr, int(min(n, bufferShown)))
	return quote(p, n > bufferShown), err
}

func argv(mem io.ReaderAt, addr uint64, arch abi.Arch) (string, error) {
	list, more, err := stringsOf(mem, addr, arch, argvShown, argShown)
	if err != nil && len(list) == 0 {
		return "", err
	}
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(s))
	}
	if more || err != nil {
		b.WriteString(", ...")
	}
	b.WriteByte(']')
	return b.String(), nil
}

// variables says how many there are, and nothing of what is in them: secrets
// often are.
func variables(mem io.ReaderAt, addr uint64, arch abi.Arch) (string, error) {
	size, n := pointerSize(arch), 0
	for ; n < argvMost; n++ {
		p, err := words(mem, addr+uint64(n*size), size, 1)
		if err != nil {
			return "", err
		}
		if p[0] == 0 {
			break
		}
	}
	return "[/* " + strconv.Itoa(n) + " variables */]", nil
}

// argvMost bounds the counting of variables.
const argvMost = 4096

// timespec shows a struct timespec of two words of size bytes: 4 where an i386
// call takes old_timespec32, else 8 (x32's included).
func timespec(mem io.ReaderAt, addr uint64, size int) (string, error) {
	w, err := words(mem, addr, size, 2)
	if err != nil {
		return "", err
	}
	sec, nsec := signed(w[0], uint8(size*8)), signed(w[1], uint8(size*8))
	return "{tv_sec=" + strconv.FormatInt(sec, 10) + ", tv_nsec=" + strconv.FormatInt(nsec, 10) + "}", nil
}

// quote writes bytes of a tracee as a string literal in which nothing can
// control a terminal. cut says that there was more.
func quote(s []byte, cut bool) string {
	q := strconv.Quote(string(s))
	if cut {
		q += "..."
	}
	return q
}

func hex(v uint64) string { return "0x" + strconv.FormatUint(v, 16) }

func octal(v uint64) string {
	if v == 0 {
		return "0"
	}
	return "0" + strconv.FormatUint(v, 8)
}

// signed extends v's sign from bits (16, 32 or 64).
func signed(v uint64, bits uint8) int64 {
	if bits == 0 || bits >= 64 {
		return int64(v)
	}
	return int64(v<<(64-bits)) >> (64 - bits)
}

// width is the number of bits of Param.Value's result.
func width(p *abi.Param) uint8 {
	if p.Hi >= 0 || p.Shift > 0 {
		return 64
	}
	return p.Bits
}

// signal names a signal, as sigaction's and kill's parameters have them.
func signal(v uint64) string {
	n := int32(v)
	if name := unix.SignalName(unix.Signal(n)); n > 0 && name != "" {
		return name
	}
	if n >= 32 && n <= maxSignal {
		return "SIGRT_" + strconv.Itoa(int(n)-32)
	}
	return strconv.Itoa(int(n))
}
