package main

import (
	"cmp"
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
	policy string   // traceAll if ""
	known  []string // what fails by docs/attacks.md, "What a program can notice"
}

// pinAll permits everything, and decides it by its names: each is followed, pinned
// and held still.
const pinAll = `callgate: 1
default: allow
files:
  - deny: /nonexistent-anywhere
compat: { i386: same, x32: same }
`

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
	traced := s.failures(t, trial{policy: cmp.Or(s.policy, traceAll), flags: []string{"--quiet"}})
	traced = slices.DeleteFunc(traced, func(name string) bool { return slices.Contains(s.known, strings.TrimSpace(name)) })
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

// TestPythonSuites runs CPython's own tests of processes, signals, threads and
// files.
func TestPythonSuites(t *testing.T) {
	t.Parallel()
	python := pythonWithTests()
	if python == "" {
		lacking(t, "a Python with its test suite (Debian's libpython3.*-testsuite)")
	}
	policies := map[string]string{"test_signal": traceAll, "test_threading": traceAll, "test_subprocess": traceAll, "test_os": pinAll, "test_shutil": pinAll}
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they sleep most of their time
			pythonSuite(policy, python, "-i", hurried, name).check(t)
		})
	}
}

// hurried is a test that gives another process a fifth of a second to be gone.
const hurried = "test_leak_fast_process_del_killed"

// TestPythonHurried runs that one while no other test of this package runs.
func TestPythonHurried(t *testing.T) {
	python := pythonWithTests()
	if python == "" {
		lacking(t, "a Python with its test suite (Debian's libpython3.*-testsuite)")
	}
	pythonSuite(traceAll, python, "-m", hurried, "test_subprocess").check(t)
}

func pythonSuite(policy, python string, which ...string) suite {
	return suite{
		argv:   append([]string{python, "-m", "test", "-v"}, which...),
		ran:    regexp.MustCompile(`(?m)^Ran [1-9]\d* tests?`),
		failed: regexp.MustCompile(`(?m)^(FAIL|ERROR): .*`),
		policy: policy,
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
	t.Parallel()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, policy := range map[string]string{"os": pinAll, "os/exec": pinAll, "os/signal": traceAll} {
		t.Run(name, func(t *testing.T) {
			argv := []string{goSuite(t, name), "-test.v", "-test.short"}
			if os.Getenv("CALLGATE_SUITES") != "" {
				argv = append(argv, "-test.skip=^TestRootMulti") // five sixths of os: root, who runs this too, has them
			}
			suite{
				argv:   argv,
				dir:    filepath.Join(strings.TrimSpace(string(root)), "src", name),
				env:    []string{"GOFLAGS="},
				ran:    regexp.MustCompile(`(?m)^(PASS|FAIL)$`),
				failed: regexp.MustCompile(`(?m)^\s*--- FAIL: \S+`),
				policy: policy,
				known:  []string{"--- FAIL: TestGetwdDeep", "--- FAIL: TestGetwdDeepWithPWDSet", "--- FAIL: TestRemoveAllLongPath"},
			}.check(t)
		})
	}
}

// goSuite is the test program of a package of Go's: in the folder that CALLGATE_SUITES
// names, or built, with the tags that most of it is compiled with anyway.
func goSuite(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("CALLGATE_SUITES")
	program := filepath.Join(cmp.Or(dir, openFolder(t)), filepath.Base(name)+".test")
	if dir != "" {
		return program
	}
	build := exec.Command("go", "test", "-c", "-tags", "netgo,osusergo", "-o", program, name)
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
