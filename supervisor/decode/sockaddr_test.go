package decode

import (
	"errors"
	"testing"

	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

func TestSockaddr(t *testing.T) {
	in6 := "\x0a\x00\x01\xbb\x00\x00\x00\x00" + "\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	for _, c := range []struct{ raw, want string }{
		{"", `{}`},
		{"\x02", `{}`},
		{"\x00\x00", `{sa_family=AF_UNSPEC}`},
		{"\x02\x00\x01\xbb\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00", `{sa_family=AF_INET, sin_port=443, sin_addr="1.2.3.4"}`},
		{"\x02\x00\x01\xbb\x01\x02\x03", `{sa_family=AF_INET, sa_data="\x01\xbb\x01\x02\x03"}`},
		{in6, `{sa_family=AF_INET6, sin6_port=443, sin6_addr="fe80::1"}`},
		{in6 + "\x03\x00\x00\x00", `{sa_family=AF_INET6, sin6_port=443, sin6_addr="fe80::1%3"}`},
		{in6[:23], `{sa_family=AF_INET6, sa_data="\x01\xbb\x00\x00\x00\x00\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}`},
		{"\x01\x00", `{sa_family=AF_UNIX}`},
		{"\x01\x00/run/x.sock\x00junk", `{sa_family=AF_UNIX, sun_path="/run/x.sock"}`},
		{"\x01\x00/run/x.sock", `{sa_family=AF_UNIX, sun_path="/run/x.sock"}`},
		{"\x01\x00\x00bus\x00\x1b", `{sa_family=AF_UNIX, sun_path=@"bus\x00\x1b"}`},
		{"\x10\x00\x00\x00\x05\x00\x00\x00\x01\x00\x00\x00", `{sa_family=AF_NETLINK, nl_pid=5, nl_groups=0x1}`},
		{"\x28\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00", `{sa_family=AF_VSOCK, svm_cid=2, svm_port=5}`},
		{"\x26\x00hash", `{sa_family=AF_ALG, sa_data="hash"}`},
		{"\xff\xff", `{sa_family=65535}`},
	} {
		a, err := Sockaddr(memory{0x1000: []byte(c.raw)}, 0x1000, uint64(len(c.raw)))
		if got := a.String(); got != c.want || err != nil {
			t.Errorf("%q: got %s, %v; want %s", c.raw, got, err, c.want)
		}
	}
}

func TestSockaddrErrors(t *testing.T) {
	for _, c := range []struct {
		n    uint64
		want error
	}{{129, unix.EINVAL}, {0xffffffff, unix.EINVAL}, {^uint64(0), unix.EINVAL}, {4, unix.EFAULT}, {128, unix.EFAULT}, {1<<32 | 3, nil}} {
		if _, err := Sockaddr(memory{0x1000: {1, 0, 'x'}}, 0x1000, c.n); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", c.n, err, c.want)
		}
	}
}

func TestSockaddrArgs(t *testing.T) {
	mem := memory{0x1000: []byte("\x02\x00\x01\xbb\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00"), 0x2000: le(4, 16)}
	shows(t, abi.X86_64, "connect", mem, `3, {sa_family=AF_INET, sin_port=443, sin_addr="1.2.3.4"}, 16`, 3, 0x1000, 16)
	shows(t, abi.X86_64, "connect", mem, `3, 0x1000, 17`, 3, 0x1000, 17)
	shows(t, abi.X86_64, "connect", mem, `3, 0x1000, -1`, 3, 0x1000, 0xffffffff)
	shows(t, abi.X86_64, "connect", mem, `3, NULL, 16`, 3, 0, 16)
	shows(t, abi.X86_64, "accept", mem, `3, 0x1000, 0x2000`, 3, 0x1000, 0x2000)
	shows(t, abi.X86_64, "sendto", mem, `3, "\x02\x00", 2, MSG_DONTWAIT, {sa_family=AF_INET, sin_port=443, sin_addr="1.2.3.4"}, 16`, 3, 0x1000, 2, 0x40, 0x1000, 16)
}
