package decode

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// TestMessageLayout: the native layout is x/sys's struct msghdr.
func TestMessageLayout(t *testing.T) {
	l, msghdr := MessageLayoutOf(abi.Native()), reflect.TypeFor[unix.Msghdr]()
	for name, have := range map[string]int{"Name": 0, "Namelen": l.NameLen,
		"Control": l.Control, "Controllen": l.ControlLen, "Flags": l.Flags} {
		if f, ok := msghdr.FieldByName(name); !ok || int(f.Offset) != have {
			t.Errorf("%s is at %d, want %d", name, have, f.Offset)
		}
	}
	if int(msghdr.Size()) != l.Size || l.Next != l.Size+8 {
		t.Errorf("%d bytes, %d apart; want %d", l.Size, l.Next, msghdr.Size())
	}
}

// header is a struct msghdr of an ABI, written field by field.
func header(arch abi.Arch, name uint64, nameLen int32, iov, iovLen, control, controlLen uint64) []byte {
	if pointerSize(arch) == 4 {
		return le(4, name, uint64(uint32(nameLen)), iov, iovLen, control, controlLen, 0x80)
	}
	b := append(le(8, name), le(4, uint64(uint32(nameLen)), 0xdddddddd)...) // what lies between is nothing
	return append(append(b, le(8, iov, iovLen, control, controlLen)...), le(4, 0x80, 0xdddddddd)...)
}

func TestReadMessage(t *testing.T) {
	for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32, abi.AArch64} {
		for _, c := range []struct {
			name    uint64
			nameLen int32
			want    int // -1: EINVAL
		}{{0x5000, 16, 16}, {0x5000, 0, 0}, {0, 16, 0}, {0, -1, 0}, {0x5000, -1, -1}, {0x5000, 128, 128}, {0x5000, 4096, 128}} {
			mem := memory{0x2000: header(arch, c.name, c.nameLen, 0x3000, 2, 0x4000, 24)}
			m, err := ReadMessage(mem, 0x2000, arch)
			if c.want < 0 {
				if !errors.Is(err, unix.EINVAL) {
					t.Errorf("%v, a name of %d bytes: %v", arch, c.nameLen, err)
				}
				continue
			}
			if err != nil || m.NameLen != c.want || m.NameLen > 0 && m.Name != c.name || m.Flags != 0x80 || m.Control != 0x4000 || m.ControlLen != 24 {
				t.Errorf("%v, a name of %d bytes at %#x: %+v, %v", arch, c.nameLen, c.name, m, err)
			}
			m.SetNameLen(77)
			if again, _ := ReadMessage(memory{0x2000: m.Raw}, 0x2000, arch); again.NameLen != 77 && c.name != 0 {
				t.Errorf("%v: a length of %d", arch, again.NameLen)
			}
		}
		short := header(arch, 0, 0, 0, 0, 0, 0)
		if _, err := ReadMessage(memory{0x2000: short[:MessageLayoutOf(arch).Size-1]}, 0x2000, arch); !errors.Is(err, unix.EFAULT) {
			t.Errorf("%v: a header that runs into a hole: %v", arch, err)
		}
	}
}

// control is control data of an ABI: one header, and n bytes behind it.
func control(arch abi.Arch, level, kind uint64, n int) []byte {
	w := pointerSize(arch)
	b := append(append(le(w, uint64(w+8+n)), le(4, level, kind)...), make([]byte, n)...)
	for len(b)%w != 0 {
		b = append(b, 0)
	}
	return b
}

func TestSourceRouted(t *testing.T) {
	for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
		w := pointerSize(arch)
		rights, route := control(arch, unix.SOL_SOCKET, unix.SCM_RIGHTS, 5), control(arch, unix.SOL_IP, unix.IP_RETOPTS, 11)
		for _, c := range []struct {
			name string
			data []byte
			want bool
		}{
			{"nothing", nil, false},
			{"descriptors", rights, false},
			{"IP_TTL", control(arch, unix.SOL_IP, unix.IP_TTL, 4), false},
			{"options", route, true},
			{"options behind descriptors", slices.Concat(rights, route), true},
			{"IPV6_RTHDR", slices.Concat(rights, rights, control(arch, unix.SOL_IPV6, 57, 24)), true},
			{"IPV6_2292RTHDR", control(arch, unix.SOL_IPV6, 5, 24), true},
			{"behind what the kernel refuses", slices.Concat(le(w, uint64(w+7)), le(4, 1, 1), route), false},
			{"longer than all", le(4, 1<<31-1, 0, 0, 7), false},
			{"cut off", route[:w+7], false},
		} {
			m := Message{layout: MessageLayoutOf(arch)}
			if got := m.SourceRouted(c.data); got != c.want {
				t.Errorf("%v, %s: %v", arch, c.name, got)
			}
		}
	}
}

func TestReadControl(t *testing.T) {
	m := Message{Control: 0x4000, ControlLen: 8}
	if p, err := m.ReadControl(memory{0x4000: le(8, 5)}); err != nil || len(p) != 8 {
		t.Errorf("%d bytes, %v", len(p), err)
	}
	if _, err := m.ReadControl(memory{}); !errors.Is(err, unix.EFAULT) {
		t.Errorf("in a hole: %v", err)
	}
	m.ControlLen = 1 << 40
	if _, err := m.ReadControl(memory{}); err != unix.ENOBUFS {
		t.Errorf("too much: %v", err)
	}
}

func FuzzSourceRouted(f *testing.F) {
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, arch := range []abi.Arch{abi.X86_64, abi.I386} {
			m := Message{layout: MessageLayoutOf(arch)}
			m.SourceRouted(data)
		}
	})
}
