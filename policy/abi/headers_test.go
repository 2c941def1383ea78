package abi

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// headerFiles are the kernel's uapi headers of x86's three ABIs, as Debian's
// and Fedora's packages install them.
var headerFiles = map[Arch]string{X86_64: "unistd_64.h", I386: "unistd_32.h", X32: "unistd_x32.h"}

var headerFolders = []string{"/usr/include/x86_64-linux-gnu/asm", "/usr/include/asm"}

// The forms `#define __NR_read 0` and `#define __NR_read (__X32_SYSCALL_BIT + 0)`.
var headerLine = regexp.MustCompile(`^#define __NR_(\w+) (\()?(?:__X32_SYSCALL_BIT \+ )?(\d+)`)

// TestNumbersAsHeaders compares the tables with this machine's kernel headers,
// which may be older: each number that they have, the tables have with that
// name.
func TestNumbersAsHeaders(t *testing.T) {
	for arch, name := range headerFiles {
		found := false
		for _, folder := range headerFolders {
			file, err := os.Open(filepath.Join(folder, name))
			if err != nil {
				continue
			}
			found = true
			compareHeader(t, arch, file)
			file.Close()
		}
		if !found {
			t.Logf("no %s here: the tables stand on x/sys alone", name)
		}
	}
}

func compareHeader(t *testing.T, arch Arch, file *os.File) {
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		m := headerLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		count++
		nr, err := strconv.ParseUint(m[3], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if arch == X32 {
			nr |= X32Bit
		}
		if s, ok := arch.Lookup(uint32(nr)); !ok || s.Name != m[1] {
			t.Errorf("%v %#x: %+v, want %s", arch, nr, s, m[1])
		}
	}
	if count < 300 {
		t.Errorf("%s: %d calls", file.Name(), count)
	}
}
