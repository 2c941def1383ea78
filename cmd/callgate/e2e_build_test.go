package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// The programs that the tests trace are C, compiled once a run into the folder
// where TestMain put callgate, which is on PATH and which it removes.

// tracee is the path of the program of testdata/tracee.
func tracee(t testing.TB) string { return compiled(t, "tracee") }

// elf32 is the path of the 32-bit program of testdata/elf32.
func elf32(t testing.TB) string { return compiled(t, "elf32") }

func compiled(t testing.TB, name string) string {
	t.Helper()
	dir, err := buildTestPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

var buildTestPrograms = sync.OnceValues(func() (string, error) {
	callgate, err := exec.LookPath("callgate")
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(callgate)
	// An ordinary user runs what is here too.
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			return "", err
		}
	}
	if err := gcc(dir, "tracee", "-pthread"); err != nil {
		return "", err
	}
	if err := gcc(dir, "equal", "-pthread"); err != nil {
		return "", err
	}
	if err := gcc(dir, "where", "-nostdlib", "-ffreestanding", "-fno-stack-protector"); err != nil {
		return "", err
	}
	return dir, gcc(dir, "elf32", "-m32", "-nostdlib", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector")
})

// gcc builds testdata/NAME/*.c as dir/NAME.
func gcc(dir, name string, flags ...string) error {
	sources, err := filepath.Glob("testdata/" + name + "/*.c")
	if err != nil {
		return err
	}
	args := append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", filepath.Join(dir, name)}, flags...)
	if out, err := exec.Command("gcc", append(args, sources...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("gcc cannot build %s: %w\n%s", name, err, out)
	}
	return nil
}

// lacking ends a test that this machine cannot run, and says what it lacks. On
// CI nothing may be lacking.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this machine lacks %s, and on CI nothing may be skipped", what)
	}
	skip(t, "this machine lacks "+what)
}

// skip ends a test and says why, also where go test would keep it to itself: a
// test binary that is run by hand, as .ci/test-user does, shows it.
func skip(t *testing.T, why string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "%s is skipped: %s\n", t.Name(), why)
	t.SkipNow()
}
