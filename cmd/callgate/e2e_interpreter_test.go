package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// interpreted is a folder with deny/prog, which exits 42 and may not be executed, and
// programs that name it as what is to run them.
func interpreted(t *testing.T) (dir string) {
	t.Helper()
	dir = openFolder(t)
	for _, folder := range []string{"deny", "bin"} {
		must(t, os.Mkdir(filepath.Join(dir, folder), 0o755))
	}
	writeFile(t, filepath.Join(dir, "prog.c"), `void _start(void) { __asm__ volatile("syscall" : : "a"(231), "D"(42)); }`)
	writeFile(t, filepath.Join(dir, "main.c"), "int main(void) { return 0; }\n")
	gcc := func(args ...string) {
		cmd := exec.Command("gcc", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	gcc("-nostdlib", "-static-pie", "-fPIE", "-o", "deny/prog", "prog.c")
	gcc("-o", "bin/absolute", "-Wl,--dynamic-linker="+dir+"/deny/prog", "main.c")
	gcc("-o", "bin/relative", "-Wl,--dynamic-linker=deny/prog", "main.c")
	narrow, err := os.ReadFile(filepath.Join(dir, "bin/absolute"))
	must(t, err)
	narrow[4] = 1 // EI_CLASS says 32 bits: the kernel does not look
	for name, text := range map[string]string{
		"narrow":          string(narrow),
		"script-absolute": "#!" + dir + "/deny/prog\n",
		"script-relative": "#!deny/prog\n",
		"script-loader":   "#!" + loaderOf(t) + " " + dir + "/deny/prog\n",
		"script-twice":    "#!bin/script-absolute\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, "bin", name), []byte(text), 0o755))
	}
	must(t, os.Chmod(filepath.Join(dir, "deny/prog"), 0o755))
	return dir
}

// loaderOf is the ELF interpreter of sh.
func loaderOf(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("readelf", "-l", "/bin/sh").Output()
	must(t, err)
	_, rest, _ := strings.Cut(string(out), "interpreter: ")
	path, _, found := strings.Cut(rest, "]")
	if !found {
		t.Fatalf("sh has no interpreter: %s", out)
	}
	return path
}

// TestInterpreters: what the kernel executes for a program is asked about, whatever the
// program calls it: as the command and within, by the section exec and by files.
func TestInterpreters(t *testing.T) {
	t.Parallel()
	dir := interpreted(t)
	policies := map[string]string{
		"exec":  "callgate: 1\ndefault: allow\nexec:\n  - deny: " + dir + "/deny\n  - allow: /\n",
		"files": "callgate: 1\ndefault: allow\nfiles:\n  - deny: " + dir + "/deny\n  - read: /\n  - write: [" + dir + "/bin, /dev/null, /dev/tty]\n",
	}
	programs, err := os.ReadDir(filepath.Join(dir, "bin"))
	must(t, err)
	for section, policy := range policies {
		for _, p := range programs {
			file := "./bin/" + p.Name()
			if got := (trial{policy: policy, quiet: true, dir: dir}).run(t, file); got.status == 42 || got.status == 0 {
				t.Errorf("%s: %s as the command: %v", section, p.Name(), got)
			}
			if got := (trial{policy: policy, quiet: true, dir: dir}).run(t, "sh", "-c", file+"; echo $?"); got.status != 0 || got.stdout == "42\n" || got.stdout == "0\n" {
				t.Errorf("%s: %s within: %v", section, p.Name(), got)
			}
		}
	}
	for _, argv := range [][]string{{loaderOf(t), "/bin/true"}, {"./bin/script-loader"}, {"./bin/script-relative"}} {
		tr := trial{policy: policies["exec"], quiet: true, dir: dir}
		if got := tr.run(t, argv...); got.status != 126 {
			t.Errorf("%v as the command: %v", argv, got)
		}
		if got := tr.run(t, "sh", "-c", strings.Join(argv, " ")+"; echo $?"); got.stdout != "126\n" {
			t.Errorf("%v within is not only refused: %v", argv, got)
		}
	}
}

// TestNameless: a program in memory gets the section exec's default, and rules on files do
// not speak of it.
func TestNameless(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		"callgate: 1\ndefault: allow\nexec: [{deny: /nowhere}]\n":         "0\n",
		"callgate: 1\ndefault: allow\nfiles: [{deny: /nowhere}]\n":        "0\n",
		"callgate: 1\nexec: [{allow: [/usr, /bin, " + tracee(t) + "]}]\n": "-EACCES\n",
	} {
		got := trial{policy: policy + "compat: {i386: same}\n", quiet: true}.run(t, tracee(t), "memfd", "/bin/true")
		if got.status != 0 || got.stdout != want {
			t.Errorf("%s: %v", policy, got)
		}
	}
}

// TestNoCore: where the supervisor decides on files the kernel writes none by itself.
func TestNoCore(t *testing.T) {
	t.Parallel()
	const policy = "callgate: 1\ndefault: allow\nfiles:\n  - deny: \"**/core\"\n  - read: /\n  - write: /\n"
	got := trial{policy: policy, quiet: true}.run(t, "sh", "-c", "ulimit -Hc; ulimit -c unlimited 2>/dev/null; ulimit -c")
	if got.stdout != "0\n0\n" {
		t.Error(got)
	}
}
