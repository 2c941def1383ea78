package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Test suites of Python and Go that are about processes, signals and threads
// find what a tracer gets wrong. A test that fails bare too is no fault of ours.

// suite is a command that runs a test suite, and how it names a failing test.
type suite struct {
	argv   []string
	dir    string
	env    []string
	ran    *regexp.Regexp // its output says that it ran to its end
	failed *regexp.Regexp
}

// failures runs the suite and gives the names of the tests that failed, sorted.
func (s suite) failures(t *testing.T, tr trial) []string {
	t.Helper()
	tr.dir, tr.env = s.dir, s.env
	got := tr.run(t, s.argv...)
	text := got.stdout + got.stderr
	if !s.ran.MatchString(text) {
		t.Fatalf("%q did not run to its end: %v", s.argv, got)
	}
	names := s.failed.FindAllString(text, -1)
	slices.Sort(names)
	return slices.Compact(names)
}

// check runs the suite traced and, for what fails, bare.
func (s suite) check(t *testing.T) {
	t.Helper()
	traced := s.failures(t, trial{policy: traceAll, flags: []string{"--quiet"}})
	if len(traced) == 0 {
		return
	}
	bare := s.failures(t, trial{bare: true})
	for _, name := range traced {
		if !slices.Contains(bare, name) {
			t.Errorf("fails under callgate only: %s", name)
		}
	}
}

// TestPythonSuites runs CPython's own tests of subprocess, signal and threading.
func TestPythonSuites(t *testing.T) {
	python := pythonWithTests()
	if python == "" {
		lacking(t, "a Python with its test suite (Debian's libpython3.*-testsuite)")
	}
	for _, name := range []string{"test_signal", "test_threading", "test_subprocess"} {
		t.Run(name, func(t *testing.T) {
			suite{
				argv:   []string{python, "-m", "test", "-v", name},
				ran:    regexp.MustCompile(`(?m)^Ran \d+ tests`),
				failed: regexp.MustCompile(`(?m)^(FAIL|ERROR): .*`),
			}.check(t)
		})
	}
}

// pythonWithTests is the first Python that has its test suite.
func pythonWithTests() string {
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import test.test_subprocess, test.test_signal, test.test_threading").Run() == nil {
			return name
		}
	}
	return ""
}

// TestGoSuites runs Go's own tests of os, os/exec and os/signal, compiled once.
func TestGoSuites(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"os", "os/exec", "os/signal"} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(openFolder(t), "suite.test")
			build := exec.Command("go", "test", "-c", "-o", program, name)
			build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			suite{
				argv:   []string{program, "-test.v", "-test.short"},
				dir:    filepath.Join(strings.TrimSpace(string(root)), "src", name),
				env:    []string{"GOFLAGS="},
				ran:    regexp.MustCompile(`(?m)^(PASS|FAIL)$`),
				failed: regexp.MustCompile(`(?m)^\s*--- FAIL: \S+`),
			}.check(t)
		})
	}
}
