package decode

import (
	"encoding/binary"
	"io"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// MessageLayout says where the fields of a struct msghdr are, in bytes, and how
// far apart those of sendmmsg(2)'s array.
//
//	struct user_msghdr {              struct compat_msghdr {
//		void *msg_name;           	compat_uptr_t msg_name;
//		int msg_namelen;          	compat_int_t msg_namelen;
//		struct iovec *msg_iov;    	compat_uptr_t msg_iov;
//		size_t msg_iovlen;        	compat_size_t msg_iovlen;
//		void *msg_control;        	compat_uptr_t msg_control;
//		size_t msg_controllen;    	compat_size_t msg_controllen;
//		unsigned int msg_flags;   	compat_uint_t msg_flags;
//	};                                };
//
// The first is of linux/socket.h, the other of net/compat.h. struct mmsghdr has
// one of them and, behind it, an unsigned int msg_len.
type MessageLayout struct {
	Word                       int // of a pointer or a size
	NameLen                    int
	Control, ControlLen, Flags int
	Size                       int // of all: where msg_len is in a struct mmsghdr
	Next                       int // from one struct mmsghdr to the next
}

// MessageLayoutOf is the layout that an ABI's sendmsg takes: x32's is the
// compat one, as i386's (arch/x86/entry/syscalls/syscall_64.tbl: 518 and 538 are
// compat_sys_sendmsg and compat_sys_sendmmsg).
func MessageLayoutOf(arch abi.Arch) MessageLayout {
	if pointerSize(arch) == 4 {
		return MessageLayout{Word: 4, NameLen: 4, Control: 16, ControlLen: 20, Flags: 24, Size: 28, Next: 32}
	}
	return MessageLayout{Word: 8, NameLen: 8, Control: 32, ControlLen: 40, Flags: 48, Size: 56, Next: 64}
}

// Message is a struct msghdr.
type Message struct {
	Raw     []byte // all of it
	Name    uint64 // 0 without a NameLen
	NameLen int    // as far as the kernel reads it
	Flags   uint32 // of which only sendmmsg takes any
	// Control and ControlLen are as they stand; without a length there is none.
	Control, ControlLen uint64

	layout MessageLayout
}

// ReadMessage reads the struct msghdr at addr as __copy_msghdr of net/socket.c
// and get_compat_msghdr of net/compat.c do: errors are a *Fault or, where the
// name's length is negative, EINVAL. One that is longer than any address is cut.
func ReadMessage(mem io.ReaderAt, addr uint64, arch abi.Arch) (Message, error) {
	l := MessageLayoutOf(arch)
	raw, err := full(mem, addr, l.Size)
	if err != nil {
		return Message{}, err
	}
	m := Message{Raw: raw, Name: word(raw, l.Word), Flags: binary.NativeEndian.Uint32(raw[l.Flags:]), layout: l,
		Control: word(raw[l.Control:], l.Word), ControlLen: word(raw[l.ControlLen:], l.Word)}
	if m.Name == 0 {
		return m, nil
	}
	n := int32(binary.NativeEndian.Uint32(raw[l.NameLen:]))
	if n < 0 {
		return Message{}, unix.EINVAL
	}
	m.NameLen = min(int(n), SockaddrMax)
	if n == 0 {
		m.Name = 0
	}
	return m, nil
}

// SetNameLen has Raw say that the name has n bytes.
func (m *Message) SetNameLen(n int) {
	binary.NativeEndian.PutUint32(m.Raw[m.layout.NameLen:], uint32(n))
}

// word is the pointer or size of w bytes that p begins with.
func word(p []byte, w int) uint64 {
	if w == 4 {
		return uint64(binary.NativeEndian.Uint32(p))
	}
	return binary.NativeEndian.Uint64(p)
}
