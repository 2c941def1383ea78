package supervisor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/audit"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// What a program is named by stays as it is, for a script is told it, and files
// can be exchanged while execve reads them. So a call that the rules permit is
// let go, and what was executed in the end is asked about once more, before its
// first instruction.

// judgeProgram asks the rules about a program that was found, and about those
// that run it if it is a script.
func (s *sandbox) judgeProgram(t *task, n *named, j *judged) {
	if s.plan.Sections().Has(policy.Exec) {
		object := n.found.Path
		if object == "" {
			object = n.found.Object // memfd:x, which no pattern matches
		}
		j.take(s.plan.Sections().Program(own(t, n.found.Path)), object, "allow")
	}
	if n.found.Path == "" || !n.found.Exists || !j.verdict.Action.Permits() {
		return
	}
	executed := []launch.Executable{{Path: n.found.Path}}
	if !n.runs {
		executed = launch.ExecutedIn(s.root, n.found.Path)
	}
	for i, e := range executed {
		if why := s.unexecutable(e); why != "" {
			j.deny(unix.EACCES, why)
			return
		}
		if i > 0 {
			s.judgeInterpreter(e, j)
		}
	}
}

// unexecutable says why a file is not to be executed whatever the rules say of it, "" if
// that is for them to say.
func (s *sandbox) unexecutable(e launch.Executable) string {
	if !s.plan.Sections().Has(policy.Exec) {
		return ""
	}
	return e.Evades(s.loaders())
}

// judgeInterpreter asks the rules about what is executed for another file: it is read, and
// executed unless it is one of the host's loaders.
func (s *sandbox) judgeInterpreter(e launch.Executable, j *judged) {
	if e.Relative {
		return // it is looked at when it is mapped
	}
	j.take(s.plan.Sections().File(e.Path, policy.Read), e.Path, "read")
	if s.plan.Sections().Has(policy.Exec) && !slices.Contains(s.loaders(), e.Path) {
		j.take(s.plan.Sections().Program(e.Path), e.Path, "allow")
	}
}

func (s *sandbox) loaders() []string {
	if s.loader == nil {
		s.loader = append(launch.Loaders(), "")
	}
	return s.loader
}

// DeniedError says that the policy does not permit the command itself.
type DeniedError struct {
	Path    string // canonical
	Verdict policy.Verdict
	Reason  string // why no rule can permit it; or ""
	Permit  string // the least rule that would permit it, if there is one
}

func (e *DeniedError) Error() string {
	if e.Reason != "" {
		return e.Path + ": denied where the policy has a section exec: " + e.Reason
	}
	by := e.Verdict.Policy.Name + " (default)"
	if r := e.Verdict.Rule; r != nil {
		by = r.Pos.String() + ": " + r.Text()
	}
	return e.Path + ": denied by the policy's section " + e.Verdict.Section.String() + ", " + by
}

// judgeCommand asks the rules about the command's file, and what runs it.
func (s *sandbox) judgeCommand(cmd *Command) error {
	if s.opt.Permissive || s.resolver == nil {
		return nil
	}
	path := cmd.Path
	if !filepath.IsAbs(path) {
		dir, err := filepath.Abs(cmd.Dir)
		if err != nil {
			return err
		}
		path = filepath.Join(dir, path)
	}
	for _, e := range launch.ExecutedIn(unix.AT_FDCWD, path) {
		if why := s.unexecutable(e); why != "" {
			return &DeniedError{Path: path, Reason: why}
		}
		j := judged{verdict: policy.Verdict{Action: policy.Allow}, answers: respondent{named: true}, findings: s.beginFindings()}
		if s.judgeInterpreter(e, &j); j.verdict.Action.Restricts() {
			asked := &policy.Object{Section: j.verdict.Section, Access: policy.Read, Path: e.Path}
			return &DeniedError{Path: e.Path, Verdict: j.verdict, Permit: audit.PermitObject(s.plan.Sections(), asked, j.verdict)}
		}
		s.foundBefore(path, &j)
	}
	return nil
}

// judgeProgramAgain asks the rules about the program that t's process has become: about
// its file, and what else the kernel has mapped for it.
func (s *sandbox) judgeProgramAgain(t *task) error {
	if !pinning || s.opt.Permissive || !s.holders.Exec && s.holders.Files != compile.Supervisor {
		return nil
	}
	n := named{use: &policy.Use{Verb: policy.Runs}, name: "/proc/self/exe", dir: unix.AT_FDCWD, runs: true}
	j := judged{verdict: policy.Verdict{Action: policy.Allow}, answers: respondent{s, t, t.process.starting}, findings: s.beginFindings()}
	if s.walk(t, &n, true, &j) {
		s.judgeFound(t, &n, policy.Read, &j)
	}
	if j.answer == 0 && j.verdict.Action.Permits() {
		s.judgeMapped(t, &j)
	}
	if j.answer == 0 && !j.verdict.Action.Restricts() || s.unreadableCommand(t, &j) {
		s.found(t, &j)
		return nil
	}
	s.tellKilled(t, &j)
	s.kill(t.tid)
	return unix.ESRCH
}

// unreadableCommand says that the program is the command itself, which may be executed and
// not read: proc(5) does not say then what it has become. Its name was judged.
func (s *sandbox) unreadableCommand(t *task, j *judged) bool {
	return t.process.starting && j.answer == unix.EACCES && !j.verdict.Action.Restricts() && !s.plan.Sections().Has(policy.Exec)
}

// judgeMapped asks the rules about the ELF interpreter that the kernel has mapped, as
// proc(5) has its path. What its program says of it may have been another file then, or
// another program.
func (s *sandbox) judgeMapped(t *task, j *judged) {
	paths, err := interpretersOf(t.tid)
	if err != nil {
		j.answer = errnoOf(err)
		return
	}
	for _, path := range paths {
		var st unix.Stat_t
		if was, deleted := strings.CutSuffix(path, " (deleted)"); deleted && s.look(path, &st) != nil {
			path = was // it is still what it was
		}
		s.judgeInterpreter(launch.Executable{Path: path, Loads: true}, j)
	}
}

// interpretersOf are the files that are mapped for a program before its first instruction,
// but for its own: execve maps no others (fs/binfmt_elf.c).
func interpretersOf(tid int) (paths []string, err error) {
	proc := "/proc/" + strconv.Itoa(tid)
	exe, err := os.Readlink(proc + "/exe")
	if err != nil {
		return nil, err
	}
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil {
		return nil, err
	}
	seen := ""
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line) // address perms offset dev inode pathname
		if len(fields) < 6 || fields[4] == "0" || fields[3]+" "+fields[4] == seen {
			continue
		}
		seen = fields[3] + " " + fields[4]
		from, to, _ := strings.Cut(fields[0], "-")
		path, err := os.Readlink(proc + "/map_files/" + address(from) + "-" + address(to)) // where nothing is escaped
		if err != nil {
			return nil, err
		}
		if path != exe {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// address is one of maps as map_files has it, without leading zeros.
func address(text string) string { return cmp.Or(strings.TrimLeft(text, "0"), "0") }
