package attack

import (
	"bytes"
	"encoding/binary"
	"runtime"
)

// proof is the program that is not to run: an executable of one page (elf(5)) that
// exits with passed.
func proof() []byte {
	const base, header = 0x400000, 64 + 56
	code := []byte{0xb8, 60, 0, 0, 0, 0xbf, passed, 0, 0, 0, 0x0f, 0x05} // exit(passed)
	machine := uint16(62)                                                // EM_X86_64
	if runtime.GOARCH == "arm64" {
		code = []byte{0xa8, 0x0b, 0x80, 0xd2, 0x40, 0x05, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}
		machine = 183 // EM_AARCH64
	}
	size := uint64(header + len(code))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, field := range []any{
		uint16(2), machine, uint32(1), uint64(base + header), uint64(64), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000), // PT_LOAD, read and execute
	} {
		_ = binary.Write(&b, binary.LittleEndian, field) // a Buffer takes everything
	}
	b.Write(code)
	return b.Bytes()
}
