package ptrace

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"callgate/policy/abi"
)

// TestErrand: errands are what the assembler's own reading of them says, and no longer than
// there is room.
func TestErrand(t *testing.T) {
	first, second, last := abi.Call{Nr: 9, Args: [6]uint64{0x10000}}, abi.Call{Nr: 462}, abi.Call{Nr: 9, Args: [6]uint64{0x11000}}
	for _, c := range []struct {
		arch    abi.Arch
		machine string
		second  bool
		want    string
	}{
		{abi.X86_64, "i386:x86-64", true, "mov $0x9,%eax; syscall; mov %rax,%r10; xor %edx,%edx; mov $0x1ce,%eax; syscall; mov %rax,%r8; mov $0x11000,%edi; mov $0x9,%eax; syscall"},
		{abi.X86_64, "i386:x86-64", false, "mov $0x9,%eax; syscall; mov %rax,%r10; mov $0x11000,%edi; mov $0x9,%eax; syscall"},
		{abi.I386, "i386", true, "mov $0x9,%eax; int $0x80; mov %eax,%esi; xor %edx,%edx; mov $0x1ce,%eax; int $0x80; mov %eax,%edi; mov $0x11000,%ebx; mov $0x9,%eax; int $0x80"},
		{abi.I386, "i386", false, "mov $0x9,%eax; int $0x80; mov %eax,%esi; mov $0x11000,%ebx; mov $0x9,%eax; int $0x80"},
	} {
		first.Arch, last.Arch, second.Arch = c.arch, c.arch, 0
		if c.second {
			second.Arch = c.arch
		}
		code := Errand(first, second, last)
		if len(code) > MostErrand {
			t.Errorf("%s: %d bytes", c.arch, len(code))
		}
		name := filepath.Join(t.TempDir(), "code")
		if err := os.WriteFile(name, code, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("objdump", "-D", "-b", "binary", "-m", c.machine, "--no-show-raw-insn", name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var got []string
		for _, line := range regexp.MustCompile(`(?m)^ +[0-9a-f]+:\t(.*?) *$`).FindAllStringSubmatch(string(out), -1) {
			got = append(got, strings.Join(strings.Fields(line[1]), " "))
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("%s: %s, want %s", c.arch, got, c.want)
		}
	}
}
