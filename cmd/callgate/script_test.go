package main

import (
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestMain makes the test binary stand in for callgate: scripts and tests that
// start the program "callgate" run Main in a process of its own.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "callgate" {
		shedRunner()
	}
	testscript.Main(m, map[string]func(){
		"callgate": func() { os.Exit(Main()) },
	})
}

// shedRunner keeps what the runner of the tests left from their programs:
// descriptors, which bare ones would have, and those under callgate not; and
// ignored signals, which nohup and background jobs have, and which programs
// inherit (execve(2)).
func shedRunner() {
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		panic(err)
	}
	for sig := unix.Signal(1); sig < 65; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig) // a caught one is reset by execve
		}
	}
}

// TestScript runs testdata/script/*.txtar: each is a session at the command
// line with its files, and what came of it.
func TestScript(t *testing.T) {
	tracee(t) // on PATH, as elf32 is
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("LC_ALL", "C")
			return nil
		},
	})
}
