package attack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"callgate/supervisor/scratch"
	"callgate/supervisor/terminal"

	"golang.org/x/sys/unix"
)

// Program is the name that an attacker and a decoy are called by.
const Program = "callgate"

// Ground is where attacks are tried: all the decoys. Close takes them away; what a
// process that was killed leaves of its folders, the next one removes (package
// scratch), and the rest ends with it.
type Ground struct {
	Targets
	Terminal *terminal.Terminal // nil where there can be none

	secret  string
	folders []*scratch.Folder
	process *process
	closers []func() error
	// Those for a sandbox, and those for none: what arrives late from an attempt that may
	// succeed is not to be taken for one that must not.
	sockets [2]*sockets
	alone   bool
}

// places are where folders for decoys can be: the system's temporary folder, and others
// for where a policy permits that.
func places() []string { return []string{os.TempDir(), "/var/tmp", "/dev/shm"} }

// lastPlace is for a yard where none of the places will do: the command's own folder.
const lastPlace = "."

// NewGround makes the decoys. own is a folder that the command is given to write to, ""
// if there is none; program is this one. Judge is asked where a folder is denied, and
// where one can be written.
func NewGround(program, own string, judge *Judge) (*Ground, error) {
	g := &Ground{secret: newSecret()}
	err := g.furnish(program, own, judge)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make decoys: %w", err), g.Close())
	}
	return g, nil
}

func (g *Ground) furnish(program, own string, judge *Judge) error {
	if err := g.chooseFolders(own, judge); err != nil {
		return err
	}
	if g.Permitted = g.Yard; g.Yard == "" || !judge.Shows(g.Yard) {
		g.Permitted = first(judge.Shows, "/usr", "/lib", "/etc", "/")
	}
	g.Programs = first(judge.Runs, "/usr/bin", "/bin", "/usr", "/")
	for i := range g.sockets {
		g.sockets[i] = listen()
		g.closers = append(g.closers, g.sockets[i].close)
	}
	if term, err := terminal.Open(nil, nil); err == nil {
		g.Terminal, g.Types = term, true
		g.closers = append(g.closers, term.Close)
	}
	if _, err := g.Prepare(false); err != nil {
		return err
	}
	file, err := os.Open(g.path(secretName))
	if err != nil {
		return err
	}
	defer file.Close()
	if g.process, err = startProcess(program, g.Folder, g.secret, file); err != nil {
		return err
	}
	g.closers = append(g.closers, g.process.end)
	g.PID, g.FD, g.Address = g.process.pid, decoyFD, g.process.address
	return nil
}

// first is the first folder that will do, by its canonical name; "" if none does.
func first(does func(string) bool, folders ...string) string {
	for _, folder := range folders {
		if real, err := filepath.EvalSymlinks(folder); err == nil && does(real) {
			return real
		}
	}
	return ""
}

// chooseFolders makes the decoy's folder, where the most is denied, and the yard.
func (g *Ground) chooseFolders(own string, judge *Judge) error {
	if own != "" {
		real, err := filepath.EvalSymlinks(own)
		if err != nil {
			return err
		}
		if judge.Yields(real) {
			g.Yard = filepath.Join(real, "yard")
		}
	}
	rank := map[Goal]int{Read: 3, Write: 2, Make: 1, None: 0}
	var failed error
	for _, place := range places() {
		real, err := g.folder(place)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		folder := filepath.Join(real, "decoys")
		if goal := judge.Wants(folder); g.Folder == "" || rank[goal] > rank[g.Goal] {
			g.Folder, g.Goal = folder, goal
		}
		if yard := filepath.Join(real, "yard"); g.Yard == "" && judge.Yields(yard) {
			g.Yard = yard
		}
	}
	if g.Folder == "" {
		return failed
	}
	here, err := os.Getwd()
	if err == nil && g.Yard == "" && judge.Yields(here+"/x") {
		if real, err := g.folder(lastPlace); err == nil { // without it there is no yard
			g.Yard = filepath.Join(real, "yard")
		}
	}
	return nil
}

// folder makes a folder that goes with the ground, and gives its canonical name.
func (g *Ground) folder(place string) (string, error) {
	f, err := scratch.New(place)
	if err != nil {
		return "", err
	}
	g.folders = append(g.folders, f)
	return filepath.EvalSymlinks(f.Path)
}

func (g *Ground) path(name string) string { return filepath.Join(g.Folder, name) }

// what the decoy is before an attack.
const (
	decoyMode    = 0o600
	decoySeconds = 1_000_000_000
)

// Prepare has all be as it was before an attack, which is to be tried without a sandbox or
// in one, and gives its targets.
func (g *Ground) Prepare(alone bool) (Targets, error) {
	g.alone = alone
	g.visited().aim(&g.Targets)
	g.Targets.Alone = alone
	return g.Targets, errors.Join(g.visited().reset(), g.reset())
}

func (g *Ground) visited() *sockets {
	if g.alone {
		return g.sockets[1]
	}
	return g.sockets[0]
}

func (g *Ground) reset() error {
	if err := g.untype(); err != nil {
		return err
	}
	folders := []string{g.Folder}
	if g.Yard != "" {
		folders = append(folders, g.Yard, filepath.Join(g.Yard, racedFolder))
	}
	err := errors.Join(os.RemoveAll(g.path(madeName)), g.clearYard())
	for _, folder := range folders {
		if made := os.Mkdir(folder, 0o700); made != nil && !errors.Is(made, os.ErrExist) {
			err = errors.Join(err, made)
		}
	}
	then := time.Unix(decoySeconds, 0)
	err = errors.Join(err, renew(g.path(secretName), g.secret, decoyMode), renew(g.path(programName), string(proof()), 0o700),
		os.Chtimes(g.path(secretName), then, then))
	if g.Yard != "" {
		err = errors.Join(err, renew(filepath.Join(g.Yard, racedFolder, secretName), harmlessText, 0o600), os.Symlink(g.Folder, filepath.Join(g.Yard, racedLink)))
	}
	return err
}

// clearYard takes away what attacks have made there. A decoy that was moved there goes
// back: a process has it open.
func (g *Ground) clearYard() error {
	if g.Yard == "" {
		return nil
	}
	if _, err := os.Lstat(g.path(secretName)); errors.Is(err, os.ErrNotExist) {
		_ = os.Rename(filepath.Join(g.Yard, movedName), g.path(secretName)) // the first time there is none
	}
	return os.RemoveAll(g.Yard)
}

// renew makes a file what it was. It stays the same file where it is there: a process
// has it open.
func renew(path, text string, mode os.FileMode) error {
	if now, err := os.ReadFile(path); err != nil || string(now) != text {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

// Evidence is what the decoys tell of an attack that got through, "" if none did.
// report is what the attacker said, and status how it ended.
func (g *Ground) Evidence(report *Report, status int) (string, error) {
	if what := g.evidence(report, status); what != "" {
		return what, nil
	}
	n, err := g.visited().visitors()
	if n > 0 {
		return "it has reached the decoy's socket", nil
	}
	return "", err
}

func (g *Ground) evidence(report *Report, status int) string {
	switch {
	case strings.Contains(report.Found, g.secret):
		return "it has read the decoy"
	case len(report.Did) > 0:
		return "it has done " + strings.Join(report.Did, ", ")
	case status == passed:
		return "the decoy program has run"
	case g.typed():
		return "it has typed into the terminal"
	}
	if _, err := os.Lstat(g.path(madeName)); err == nil {
		return "it has made a file beside the decoy"
	}
	return g.changed()
}

// changed says what is not as it was of the file.
func (g *Ground) changed() string {
	st, err := os.Lstat(g.path(secretName))
	if err != nil {
		return "the decoy is gone"
	}
	text, err := os.ReadFile(g.path(secretName))
	sys := st.Sys().(*syscall.Stat_t)
	switch {
	case err != nil || string(text) != g.secret:
		return "it has written to the decoy"
	case st.Mode().Perm() != decoyMode || st.ModTime().Unix() != decoySeconds:
		return "it has changed the decoy's mode or times"
	case sys.Nlink != 1:
		return "it has linked the decoy"
	}
	return ""
}

// typed says whether something is there to be read from the terminal.
func (g *Ground) typed() bool {
	if !g.Types {
		return false
	}
	waiting := 0
	conn, err := g.Terminal.Files()[0].SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return err == nil && waiting > 0
}

// untype takes away what was typed.
func (g *Ground) untype() error {
	if !g.Types {
		return nil
	}
	conn, err := g.Terminal.Files()[0].SyscallConn()
	if err != nil {
		return err
	}
	lent := conn.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCIFLUSH) })
	return errors.Join(err, lent)
}

// Close takes all decoys away.
func (g *Ground) Close() (err error) {
	for i := len(g.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, g.closers[i]())
	}
	for _, f := range g.folders {
		err = errors.Join(err, f.Remove())
	}
	return err
}
