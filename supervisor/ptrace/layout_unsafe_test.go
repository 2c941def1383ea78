package ptrace

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// TestLayout holds the Go twins of the kernel's structures and constants
// against the C compiler's.
func TestLayout(t *testing.T) {
	program := filepath.Join(t.TempDir(), "layout")
	if out, err := exec.Command("gcc", "-o", program, "testdata/layout.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	want, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, row := range []struct {
		name  string
		value uintptr
	}{
		{"op", unsafe.Offsetof(syscallInfo{}.op)},
		{"arch", unsafe.Offsetof(syscallInfo{}.arch)},
		{"instruction_pointer", unsafe.Offsetof(syscallInfo{}.ip)},
		{"seccomp.nr", unsafe.Offsetof(syscallInfo{}.nr)},
		{"seccomp.args", unsafe.Offsetof(syscallInfo{}.args)},
		{"seccomp.ret_data", unsafe.Offsetof(syscallInfo{}.retData)},
		{"exit.rval", unsafe.Offsetof(syscallInfo{}.nr)},
		{"PTRACE_SYSCALL_INFO_NONE", uintptr(OpNone)},
		{"PTRACE_SYSCALL_INFO_ENTRY", uintptr(OpEntry)},
		{"PTRACE_SYSCALL_INFO_EXIT", uintptr(OpExit)},
		{"PTRACE_SYSCALL_INFO_SECCOMP", uintptr(OpSeccomp)},
	} {
		fmt.Fprintln(&got, row.name, row.value)
	}
	if got.String() != string(want) {
		t.Errorf("in Go:\n%s\nin C:\n%s", &got, want)
	}
	if end := unsafe.Offsetof(syscallInfo{}.retData) + unsafe.Sizeof(syscallInfo{}.retData); end != seccompSize {
		t.Errorf("ret_data ends at %d, not at %d", end, seccompSize)
	}
}
