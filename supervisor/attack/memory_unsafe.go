package attack

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is where arguments of raw calls are: Go's own memory has no place for what
// another process or a 32-bit pointer reaches. It is shared with children.
type memory struct {
	bytes []byte
	base  uintptr
	used  int
}

const memorySize = 1 << 18

// mapMemory maps it below 4 GiB where the machine can have 32-bit pointers.
func mapMemory() (*memory, error) {
	b, err := unix.Mmap(-1, 0, memorySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON|mapLow)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	return &memory{bytes: b, base: uintptr(unsafe.Pointer(&b[0]))}, nil
}

// room gives n bytes of zeros, at an address that 16 divides.
func (m *memory) room(n int) uintptr {
	m.used = (m.used + 15) &^ 15
	if m.used+n > len(m.bytes) {
		panic("BUG: an attack needs more memory")
	}
	m.used += n
	return m.base + uintptr(m.used-n)
}

func (m *memory) put(b []byte) uintptr {
	at := m.room(len(b))
	copy(m.at(at, len(b)), b)
	return at
}

// text puts a NUL-terminated string.
func (m *memory) text(s string) uintptr { return m.put(append([]byte(s), 0)) }

// words puts 64-bit words.
func (m *memory) words(list ...uintptr) uintptr {
	var b []byte
	for _, w := range list {
		b = binary.NativeEndian.AppendUint64(b, uint64(w))
	}
	return m.put(b)
}

// at is what n bytes at an address hold.
func (m *memory) at(address uintptr, n int) []byte {
	from := int(address - m.base)
	return m.bytes[from : from+n]
}

// hole puts a text, of which flip has one byte be NUL, and then again what it was.
func (m *memory) hole(text string, at int) (address uintptr, flip func()) {
	pad := (4 - at%4) % 4 // so that the byte begins a word
	address = m.text(strings.Repeat("/", pad)+text+"\000\000\000") + uintptr(pad)
	word := [4]byte(m.at(address+uintptr(at), 4))
	cut := word
	cut[0] = 0
	return address, m.flip(address+uintptr(at), cut, word)
}

// flip gives what puts two values, one after the other, at an address that 4
// divides.
func (m *memory) flip(at uintptr, a, b [4]byte) func() {
	word := (*uint32)(unsafe.Pointer(&m.at(at, 4)[0]))
	one, other := binary.NativeEndian.Uint32(a[:]), binary.NativeEndian.Uint32(b[:])
	return func() {
		for range 64 {
			atomic.StoreUint32(word, one)
			atomic.StoreUint32(word, other)
		}
	}
}

// addressOf is where a byte is in this process's memory, for a process that is not
// to look there.
func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }
