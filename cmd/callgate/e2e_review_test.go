package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRegisters: clone3 runs as clone, and neither parent nor child can see it in
// a register, however often signals interrupt it.
func TestRegisters(t *testing.T) {
	sameAsBare(t, traceeCommand("registers"))
}

// TestFailedExec: a thread whose execve fails too late to return dies of SIGSEGV
// under its leader's number, and no exec is reported (bprm_execve in fs/exec.c).
// Whatever the leader was about to ask of callgate is void then.
func TestFailedExec(t *testing.T) {
	for _, policy := range []string{denyMkdir, traceAll} {
		file := filepath.Join(openFolder(t), "unloadable")
		if err := os.WriteFile(file, unloadable(t), 0o755); err != nil {
			t.Fatal(err)
		}
		tr := trial{policy: policy, flags: []string{"--quiet"}}
		tr.run(t, tracee(t), "bad-exec", file, "150").want(t, 0, "150 of 150 died of it\n")
		// Several at once, so that stops wait in the tracer's hand meanwhile.
		tr.run(t, "sh", "-c", `for i in 1 2 3 4 5 6 7 8; do "$0" bad-exec "$1" 100 & done; wait`, tracee(t), file).
			want(t, 0, strings.Repeat("100 of 100 died of it\n", 8))
	}
}

// unloadable is a program whose second segment lies in the kernel's half of the
// address space: it is found out when the old program is gone already (elf(5)).
func unloadable(t *testing.T) []byte {
	t.Helper()
	type header struct {
		Ident                                [16]byte
		Type, Machine                        uint16
		Version                              uint32
		Entry, Segments, Sections            uint64
		Flags                                uint32
		Size, SegmentSize, SegmentCount      uint16
		SectionSize, SectionCount, NameIndex uint16
	}
	type segment struct {
		Type, Flags                                      uint32
		Offset, Address, Physical, FileSize, Size, Align uint64
	}
	const load, readExecute, sizes = 1, 5, 64 + 2*56
	h := header{Type: 2, Machine: 62, Version: 1, Entry: 0x400000, Segments: 64, Size: 64, SegmentSize: 56, SegmentCount: 2}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	for _, part := range []any{h,
		segment{load, readExecute, 0, 0x400000, 0x400000, sizes, sizes, 0x1000},
		segment{load, readExecute, 0, 0xffff800000000000, 0xffff800000000000, sizes, sizes, 0x1000}} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
