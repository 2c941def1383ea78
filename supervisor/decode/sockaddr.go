package decode

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Address is a struct sockaddr as far as callgate understands it.
type Address struct {
	Family uint16 // AF_UNSPEC also where fewer than two bytes were given
	// AF_INET, AF_INET6: IP is invalid where the structure was too short for
	// it. AF_VSOCK: Port and CID.
	IP   netip.Addr // with a zone of digits where sin6_scope_id is set
	Port uint32
	CID  uint32
	// AF_UNIX: the file's name or, if Abstract, the name without its leading
	// NUL, which may hold any byte. "" if unnamed.
	Path     string
	Abstract bool
	Raw      []byte // all of it, the family included
}

// SockaddrMax is the size in bytes of struct sockaddr_storage (socket(7)).
const SockaddrMax = 128

// Sockaddr reads the n bytes of a struct sockaddr at addr as the kernel's
// move_addr_to_kernel() does: n is an int, EINVAL if it is negative or more
// than a struct sockaddr_storage (128); a *Fault if memory is missing.
func Sockaddr(mem io.ReaderAt, addr, n uint64) (Address, error) {
	if uint32(n) > SockaddrMax {
		return Address{}, unix.EINVAL
	}
	raw, err := full(mem, addr, int(uint32(n)))
	if err != nil {
		return Address{}, err
	}
	return parseSockaddr(raw), nil
}

func parseSockaddr(raw []byte) Address {
	a := Address{Raw: raw}
	if len(raw) < 2 {
		return a
	}
	a.Family = binary.NativeEndian.Uint16(raw)
	switch {
	case a.Family == unix.AF_UNIX:
		a.parseUnix(raw[2:])
	case a.Family == unix.AF_INET && len(raw) >= 8:
		a.Port = uint32(binary.BigEndian.Uint16(raw[2:]))
		a.IP = netip.AddrFrom4([4]byte(raw[4:8]))
	case a.Family == unix.AF_INET6 && len(raw) >= 24:
		a.Port = uint32(binary.BigEndian.Uint16(raw[2:]))
		a.IP = netip.AddrFrom16([16]byte(raw[8:24]))
		if len(raw) >= 28 {
			a.zone(binary.NativeEndian.Uint32(raw[24:]))
		}
	case a.Family == unix.AF_VSOCK && len(raw) >= 12:
		a.Port = binary.NativeEndian.Uint32(raw[4:])
		a.CID = binary.NativeEndian.Uint32(raw[8:])
	}
	return a
}

func (a *Address) zone(scope uint32) {
	if scope != 0 {
		a.IP = a.IP.WithZone(strconv.FormatUint(uint64(scope), 10))
	}
}

// parseUnix follows unix(7): a leading NUL makes the rest, whatever it holds,
// an abstract name; else the name ends at its first NUL.
func (a *Address) parseUnix(path []byte) {
	if len(path) > 0 && path[0] == 0 {
		a.Abstract = true
		a.Path = string(path[1:])
		return
	}
	if i := bytes.IndexByte(path, 0); i >= 0 {
		path = path[:i]
	}
	a.Path = string(path)
}

// String shows the address as strace does.
func (a Address) String() string {
	if len(a.Raw) < 2 {
		return "{}"
	}
	return "{sa_family=" + family(a.Family) + a.fields() + "}"
}

func (a Address) fields() string {
	switch {
	case a.Family == unix.AF_UNIX && a.Abstract:
		return ", sun_path=@" + strconv.Quote(a.Path)
	case a.Family == unix.AF_UNIX && len(a.Raw) > 2:
		return ", sun_path=" + strconv.Quote(a.Path)
	case a.Family == unix.AF_INET && a.IP.IsValid():
		return ", sin_port=" + decimal(a.Port) + `, sin_addr="` + a.IP.String() + `"`
	case a.Family == unix.AF_INET6 && a.IP.IsValid():
		return ", sin6_port=" + decimal(a.Port) + `, sin6_addr="` + a.IP.String() + `"`
	case a.Family == unix.AF_VSOCK && len(a.Raw) >= 12:
		return ", svm_cid=" + decimal(a.CID) + ", svm_port=" + decimal(a.Port)
	case a.Family == unix.AF_NETLINK && len(a.Raw) >= 12:
		return ", nl_pid=" + decimal(binary.NativeEndian.Uint32(a.Raw[4:])) +
			", nl_groups=" + hex(uint64(binary.NativeEndian.Uint32(a.Raw[8:])))
	case len(a.Raw) > 2:
		return ", sa_data=" + quote(a.Raw[2:min(len(a.Raw), 2+bufferShown)], len(a.Raw) > 2+bufferShown)
	}
	return ""
}

func decimal(v uint32) string { return strconv.FormatUint(uint64(v), 10) }

// families are the address families of socket.h that have names worth reading.
const families = "0:AF_UNSPEC 1:AF_UNIX 2:AF_INET 3:AF_AX25 4:AF_IPX 5:AF_APPLETALK 9:AF_X25 10:AF_INET6 15:AF_KEY " +
	"16:AF_NETLINK 17:AF_PACKET 21:AF_RDS 24:AF_PPPOX 29:AF_CAN 30:AF_TIPC 31:AF_BLUETOOTH 38:AF_ALG 39:AF_NFC " +
	"40:AF_VSOCK 41:AF_KCM 42:AF_QIPCRTR 43:AF_SMC 44:AF_XDP 45:AF_MCTP "

func family(f uint16) string {
	n := strconv.Itoa(int(f))
	_, after, ok := strings.Cut(" "+families, " "+n+":")
	if !ok {
		return n
	}
	name, _, _ := strings.Cut(after, " ")
	return name
}

// sockaddr shows parameter i: an address that the caller gives, or where the
// kernel is to write one.
func (sh *shower) sockaddr(i int, addr uint64) (string, error) {
	n, ok := sh.length(i)
	if !ok {
		return hex(addr), nil
	}
	a, err := Sockaddr(sh.mem, addr, n)
	return a.String(), err
}
