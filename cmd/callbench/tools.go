package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

//go:embed testdata
var sources embed.FS

// tools are the programs and files that the comparisons use, in a folder of
// their own.
type tools struct {
	dir      string
	callgate string
	judge    string          // the go-judge to measure; "": to be found
	done     map[string]bool // see once
	daemons  map[string]started
}

// newTools finds the callgate to measure, unpacks testdata and builds the C
// programs in it.
func newTools(callgate string) (*tools, error) {
	path, err := filepath.Abs(callgate)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(path); err != nil {
		return nil, fmt.Errorf("no callgate to measure (make build makes one): %w", err)
	}
	dir, err := os.MkdirTemp(memoryFolder(), "callbench")
	if err != nil {
		return nil, err
	}
	t := &tools{dir: dir, callgate: path, daemons: map[string]started{}}
	// As most homes have a cache, where callgate keeps filters.
	if err := errors.Join(t.unpack(), os.Mkdir(t.file("cache"), 0o700), os.Setenv("XDG_CACHE_HOME", t.file("cache"))); err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

// memoryFolder is a folder in memory from which programs can be executed, where
// there is one, so that no disk's noise is measured; else "".
func memoryFolder() string {
	const dir = "/dev/shm"
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Flags&unix.ST_NOEXEC != 0 || unix.Access(dir, unix.W_OK) != nil {
		return ""
	}
	return dir
}

func (t *tools) unpack() error {
	files, err := fs.ReadDir(sources, "testdata")
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := fs.ReadFile(sources, "testdata/"+file.Name())
		if err != nil {
			return err
		}
		path := t.file(file.Name())
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
		program, isC := strings.CutSuffix(path, ".c")
		if !isC {
			continue
		}
		if said, err := exec.Command("gcc", "-O2", "-o", program, path).CombinedOutput(); err != nil {
			return fmt.Errorf("gcc %s: %w\n%s", file.Name(), err, said)
		}
	}
	return nil
}

func (t *tools) remove() {
	for _, s := range t.daemons {
		if s.daemon != nil {
			s.daemon.stop()
		}
	}
	os.RemoveAll(t.dir)
}

// file is where one of testdata's files is, or the program built of it.
func (t *tools) file(name string) string { return filepath.Join(t.dir, name) }

// prints gives a measure: the number that a command prints, times scale. Its
// first word is looked up in PATH.
func prints(scale float64, words ...string) func() (float64, error) {
	return func() (float64, error) {
		cmd, err := command(words)
		if err != nil {
			return 0, err
		}
		figure, err := parse(cmd.Output())
		return figure * scale, err
	}
}

func command(words []string) (*exec.Cmd, error) {
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, absent("it is not installed")
	}
	return exec.Command(words[0], words[1:]...), nil
}

// parse is the figure that a program has printed, or what it said instead.
func parse(out []byte, err error) (float64, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// peakMemory gives a measure: the peak resident memory, in MiB, of the process
// that words start (VmHWM, proc_pid_status(5)), not of its children. The
// command must print a line when its work is done and then read its input.
func peakMemory(words ...string) func() (float64, error) {
	return func() (float64, error) {
		cmd, err := command(words)
		if err != nil {
			return 0, err
		}
		var said strings.Builder
		cmd.Stderr = &said
		input, err := cmd.StdinPipe()
		if err != nil {
			return 0, err
		}
		output, err := cmd.StdoutPipe()
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		_, err = output.Read(make([]byte, 64)) // blocks until the work is done
		kib, statusErr := highWater(cmd.Process.Pid)
		input.Close()
		if waitErr := cmd.Wait(); waitErr != nil {
			return 0, fmt.Errorf("%w: %s", waitErr, strings.TrimSpace(said.String()))
		}
		return kib / 1024, errors.Join(err, statusErr)
	}
}

// highWater is a process's VmHWM in KiB.
func highWater(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		}
	}
	return 0, errors.New("no VmHWM in its status")
}
