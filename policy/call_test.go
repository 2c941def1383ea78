package policy

import (
	"strings"
	"testing"

	"callgate/policy/abi"
)

func TestParseCall(t *testing.T) {
	for _, c := range []struct {
		text string
		arch abi.Arch
		nr   uint32
		args [6]uint64
	}{
		{"getpid", abi.X86_64, 39, [6]uint64{}},
		{"getpid()", abi.X86_64, 39, [6]uint64{}},
		{" read( 3 , NULL, 0x10 ) ", abi.X86_64, 0, [6]uint64{3, 0, 16}},
		{"i386:getpid", abi.I386, 20, [6]uint64{}},
		{"x32:getpid", abi.X32, abi.X32Bit + 39, [6]uint64{}},
		{"aarch64:getpid", abi.AArch64, 172, [6]uint64{}},
		{"socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, 0)", abi.X86_64, 41, [6]uint64{10, 0x80001, 0}},
		{"39", abi.X86_64, 39, [6]uint64{}},
		{"5000(1, 2)", abi.X86_64, 5000, [6]uint64{1, 2}},
		{`openat(AT_FDCWD, "/etc/shadow, or not")`, abi.X86_64, 257, [6]uint64{0xffffff9c, TextAddress}},
		{`open("a\"b)")`, abi.X86_64, 2, [6]uint64{TextAddress}},
		{"getpriority(-1, 1|2)", abi.X86_64, 140, [6]uint64{0xffffffff, 3}},
		{"i386:fadvise64_64(3, 0x100000002, 4, 1)", abi.I386, 272, [6]uint64{3, 2, 1, 4, 0, 1}},
		{"i386:mmap2(0, 4096, 0, 0, -1, 0x3000)", abi.I386, 192, [6]uint64{0, 4096, 0, 0, 0xffffffff, 3}},
	} {
		got, err := ParseCall(c.text, abi.X86_64)
		want := abi.Call{Arch: c.arch, Nr: c.nr, Args: c.args}
		if err != nil || got.Call != want {
			t.Errorf("ParseCall(%s) = %+v, %v\nwant %+v", c.text, got.Call, err, want)
		}
	}
}

func TestParseCallTexts(t *testing.T) {
	c, err := ParseCall(`execve("/bin/\"sh\"", NULL, NULL)`, abi.X86_64)
	if err != nil || c.Texts[0] != `/bin/"sh"` {
		t.Errorf("texts %q, %v", c.Texts, err)
	}
}

func TestParseCallMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "no call named",
		"(1)":                              "no call named",
		"getpid(":                          "closing parenthesis",
		`open("a)`:                         "closing quote",
		"opnat":                            `did you mean "openat"?`,
		"z80:getpid":                       "unknown ABI",
		"fork(1)":                          "takes 0 arguments",
		"getpid(1)":                        "takes 0 arguments",
		"read(three)":                      `"three" is no number`,
		"openat(AT_FDCWD, /etc/passwd)":    `openat, pathname: "/etc/passwd" is no number; a text stands in double quotes`,
		"connect(3, [::1]:80)":             `"[::1]:80" is no number; a text stands in double quotes`,
		"connect(3, [1, 2])":               "what is in memory is not written out",
		"connect(3, 127.0.0.1:80)":         `"127.0.0.1:80" is no number; a text stands in double quotes`,
		"read(0x100000000)":                "does not fit the 32 bits",
		"read(-2147483649)":                "does not fit the 32 bits",
		"socket(AF_INTE)":                  "did you mean AF_INET?",
		"connect(3, {sa_family=AF_INET})":  `write an address as "127.0.0.1:80"`,
		`execve("/x", ["x", "y"])`:         "NULL for all else",
		`open("/a\x00b")`:                  "ends at its first NUL",
		`connect(3, "unix:")`:              "is no address",
		`connect(3, "10.0.0.1")`:           "is no address",
		"socket(FAMILY)":                   "neither a number nor one of the address families",
		"lseek(1, 1e3)":                    "is no number",
		"read(1, 2, 99999999999999999999)": "does not fit 64 bits",
		"i386:socketcall(1, 2)":            "carries other calls",
		"aarch64:open":                     "aarch64 has no system call",
		`open("\q")`:                       "no text",
	} {
		_, err := ParseCall(text, abi.X86_64)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseCall(%s): %v, want %q", text, err, want)
		}
	}
}

func FuzzParseCall(f *testing.F) {
	for _, seed := range []string{"openat(AT_FDCWD, \"/\", 1|2)", "i386:mmap2(0,1,2,3,4,5)", "0x7fffffff(-1)", "read(,,)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCall(text, abi.X86_64)
		if err == nil && c.Entry != nil && c.Entry.Nr != c.Nr {
			t.Errorf("%q: number %d, entry %d", text, c.Nr, c.Entry.Nr)
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"open", "openat", "openat2", "socket"}
	for name, want := range map[string]string{"opnat": "openat", "sokcet": "socket", "opena": "open", "xyzzy": "", "": "", "op": ""} {
		if got := Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
