package launch

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzInterpreter: any file may be started, and none may make callgate panic.
func FuzzInterpreter(f *testing.F) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(program[:4096])
	wide := bytes.Clone(program[:64])
	f.Add(append(wide, bytes.Repeat([]byte{3, 0, 0, 0, 0, 0, 0, 0xff}, 40)...))
	narrow := bytes.Clone(program[:4096])
	narrow[54] = 32 // sizeof(Elf32_Phdr)
	f.Add(narrow)
	f.Add([]byte("#!/bin/sh\n"))
	f.Fuzz(func(t *testing.T, text []byte) { interpreterOf(bytes.NewReader(text)) })
}

func TestExecuted(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"one":  "#! \t" + dir + "/two\targument\n",
		"two":  "#!" + dir + "/link -x\n",
		"none": "text",
		"bare": "#!\n",
		"near": "#!one\n",
		"self": "#!" + dir + "/self",
		"gone": "#!" + dir + "/nothing",
		"elf":  "\x7fELF",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("none", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/fifo", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"one":     {"one", "two", "none"},
		"link":    {"none"},
		"bare":    {"bare"},
		"near":    {"near"},
		"self":    {"self", "self", "self", "self", "self", "self"},
		"gone":    {"gone"},
		"elf":     {"elf"},
		"fifo":    {"fifo"},
		"nothing": nil,
	} {
		got := Executed(filepath.Join(dir, name))
		same := len(got) == len(want)
		for i := 0; same && i < len(got); i++ {
			same = got[i] == filepath.Join(dir, want[i])
		}
		if !same {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := Executed("relative"); got != nil {
		t.Errorf("a relative path: %v", got)
	}
}

// TestLoaders: this very test is linked dynamically.
func TestLoaders(t *testing.T) {
	own := Executed("/proc/self/exe")
	if len(own) != 2 {
		t.Fatalf("the kernel executes %v for these tests", own)
	}
	for _, path := range Loaders() {
		if path == own[1] {
			return
		}
	}
	t.Errorf("%s is not among %v", own[1], Loaders())
}
