package decode

import (
	"encoding/binary"
	"errors"
	"strconv"
	"testing"
	"unicode/utf8"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// arena is fuzzed memory: 16 KiB at address 0x1000 with data in it, at the
// start, across each page's end and before the last hole, and page 3 unmapped.
func arena(data []byte) memory {
	m := memory{0x1000: make([]byte, 0x2000), 0x4000: make([]byte, 0x1000)}
	copy(m[0x1000], data)
	copy(m[0x1000][0x1000-len(data)%64:], data)
	copy(m[0x4000], data)
	copy(m[0x4000][0x1000-min(len(data), 0x800):], data)
	return m
}

// fuzzCall is a call of any ABI whose registers are, as often as not,
// addresses in the arena.
func fuzzCall(arch uint8, nr uint32, regs []byte) abi.Call {
	arches := abi.Arches()
	c := abi.Call{Arch: arches[int(arch)%len(arches)], Nr: nr}
	for i := range c.Args {
		var word [8]byte
		copy(word[:], regs[min(len(regs), 8*i):])
		c.Args[i] = binary.LittleEndian.Uint64(word[:])
	}
	return c
}

func FuzzArgs(f *testing.F) {
	for _, arch := range []uint8{0, 1, 2, 3} {
		for nr := range uint32(470) {
			f.Add(arch, nr, le(8, 0x1000, 0x1000, 0x1000, 0x4ff0, 0x2ff8, 16), le(8, 0x4000, 0x1008, 0))
		}
	}
	f.Fuzz(func(t *testing.T, arch uint8, nr uint32, regs, data []byte) {
		c := fuzzCall(arch, nr, regs)
		s, ok := c.Arch.Lookup(nr)
		if !ok {
			s = nil
		}
		want := 6
		if s != nil {
			want = len(s.Params)
		}
		list := Args(c, s, arena(data))
		if len(list) > want || len(list) < want-1 {
			t.Fatalf("%d arguments for %d parameters", len(list), want)
		}
		for _, arg := range list {
			printable(t, arg)
		}
	})
}

func printable(t *testing.T, s string) {
	t.Helper()
	if s == "" || !utf8.ValidString(s) {
		t.Fatalf("%q", s)
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			t.Fatalf("%q holds %U", s, r)
		}
	}
}

func FuzzUnfold(f *testing.F) {
	for i, nr := range []uint32{102, 117, 90, 82, 435} {
		for op := range uint64(26) {
			f.Add(uint8(1), nr, le(8, op, 0x1000, 1, 0, 0x1000, 0), le(4, 1, 2, 3, 4, 5, 6))
		}
		f.Add(uint8(i), uint32(435), le(8, 0x1000, 88), le(8, threadFlags, 0, 0, 0, 0, 0x1000, 0x1000, 0, 0, 0, 0))
	}
	f.Fuzz(func(t *testing.T, arch uint8, nr uint32, regs, data []byte) {
		c := fuzzCall(arch, nr, regs)
		d, err := Unfold(c, arena(data))
		var unfit *Unfit
		switch {
		case err != nil && (!errors.As(err, &unfit) || unfit.Errno == 0):
			t.Fatalf("%v: %v", c, err)
		case err == nil && d.Carrier == "" && d.Call != c:
			t.Fatalf("%v became %v", c, d)
		case err == nil && d.Call.Arch != c.Arch:
			t.Fatalf("%v became one of another ABI: %v", c, d)
		case err == nil && d.Carrier != "":
			if again, err := Unfold(d.Call, nil); err != nil || again.Carrier != "" {
				t.Fatalf("%v is not direct", d)
			}
			if c.Arch == abi.I386 {
				narrow(t, d)
			}
		}
	})
}

// narrow checks that nothing was put in a register that i386 does not have.
func narrow(t *testing.T, d Direct) {
	for _, a := range d.Call.Args {
		if a>>32 != 0 {
			t.Fatalf("%v: a register of more than 32 bits", d)
		}
	}
}

func FuzzSockaddr(f *testing.F) {
	for family := range byte(46) {
		f.Add(append([]byte{family, 0}, "\x01\xbb\x00\x00\x00\x00abcdefghijklmnopqrstuvwxyz"...), uint64(28))
	}
	f.Fuzz(func(t *testing.T, raw []byte, n uint64) {
		a, err := Sockaddr(arena(raw), 0x1000, n)
		if err == nil {
			printable(t, a.String())
		} else if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EFAULT) {
			t.Fatal(err)
		}
	})
}

func FuzzStrings(f *testing.F) {
	f.Add(le(8, 0x1010, 0x1018, 0), uint64(0x1000), uint8(0), 5)
	f.Add(le(4, 0x1010, 0x1018, 0), uint64(0x1000), uint8(1), 1)
	f.Fuzz(func(t *testing.T, data []byte, addr uint64, arch uint8, most int) {
		list, _, _ := stringsOf(arena(data), addr, abi.Arches()[arch%4], most, pathMax-1)
		total := 0
		for _, s := range list {
			total += len(s)
		}
		if len(list) > max(most, 0) || total > stringsMax+pathMax {
			t.Fatalf("%d strings of %d bytes", len(list), total)
		}
		if s, err := path(arena(data), addr); len(s) >= pathMax || err != nil && s != "" {
			t.Fatal(len(s), err)
		}
	})
}
