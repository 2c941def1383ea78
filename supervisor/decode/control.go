package decode

import (
	"encoding/binary"
	"io"

	"golang.org/x/sys/unix"
)

// controlMost bounds a message's control data: the kernel has ENOBUFS for more
// than net.core.optmem_max, which is this by default.
const controlMost = 128 << 10

// ReadControl reads the message's control data (cmsg(3)): errors are a *Fault, or
// ENOBUFS where there is too much.
func (m *Message) ReadControl(mem io.ReaderAt) ([]byte, error) {
	if m.ControlLen > controlMost {
		return nil, unix.ENOBUFS
	}
	return full(mem, m.Control, int(m.ControlLen))
}

// SourceRouted says whether control data has the packet go to other hosts before
// the one that it is addressed to, by an option of ip_cmsg_send in
// net/ipv4/ip_sockglue.c or ip6_datagram_send_ctl in net/ipv6/datagram.c. It ends
// where the kernel refuses the data (CMSG_OK in linux/socket.h).
func (m *Message) SourceRouted(control []byte) bool {
	w := m.layout.Word
	head := w + 8 // cmsg_len, which is a size, cmsg_level, cmsg_type
	for len(control) >= head {
		n := word(control, w)
		if n < uint64(head) || n > uint64(len(control)) {
			return false
		}
		level, kind := binary.NativeEndian.Uint32(control[w:]), binary.NativeEndian.Uint32(control[w+4:])
		if level == unix.SOL_IP && kind == unix.IP_RETOPTS || level == unix.SOL_IPV6 && (kind == unix.IPV6_2292RTHDR || kind == unix.IPV6_RTHDR) {
			return true
		}
		next := (int(n) + w - 1) &^ (w - 1) // CMSG_ALIGN
		control = control[min(next, len(control)):]
	}
	return false
}
