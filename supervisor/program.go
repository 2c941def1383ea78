package supervisor

import (
	"path/filepath"
	"slices"

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
	if !s.plan.Sections().Has(policy.Exec) {
		return
	}
	object := n.found.Path
	if object == "" {
		object = n.found.Object // memfd:x, which no pattern matches
	}
	j.take(s.plan.Sections().Program(own(t, n.found.Path)), object, "allow")
	if n.found.Path == "" || !n.found.Exists || !j.verdict.Action.Permits() {
		return
	}
	if slices.Contains(s.loaders(), n.found.Path) {
		j.deny(unix.EACCES, "the dynamic loader would run any file that can be read")
		return
	}
	executed := launch.ExecutedIn(s.root, n.found.Path)
	for _, file := range executed[min(1, len(executed)):] {
		if !slices.Contains(s.loaders(), file) {
			j.take(s.plan.Sections().Program(file), file, "allow")
		}
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
	Permit  string // the least rule that would permit it
}

func (e *DeniedError) Error() string {
	by := e.Verdict.Policy.Name + " (default)"
	if r := e.Verdict.Rule; r != nil {
		by = r.Pos.String() + ": " + r.Text
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
	for _, file := range launch.Executed(path) {
		need := "read"
		v := s.plan.Sections().File(file, policy.Read)
		if p := s.plan.Sections().Program(file); p.Action > v.Action && !slices.Contains(s.loaders(), file) {
			v, need = p, "allow"
		}
		if !v.Action.Permits() {
			return &DeniedError{file, v, audit.PermitObject(v.Section, need, file)}
		}
	}
	return nil
}

// judgeProgramAgain asks the rules about the program that t's process has become.
func (s *sandbox) judgeProgramAgain(t *task) error {
	if !pinning || t.process.starting || s.opt.Permissive || !s.holders.Exec && s.holders.Files != compile.Supervisor {
		return nil
	}
	n := named{use: &policy.Use{Verb: policy.Runs}, name: "/proc/self/exe", dir: unix.AT_FDCWD}
	j := judged{verdict: policy.Verdict{Action: policy.Allow}}
	if s.walk(t, &n, true, &j) {
		s.judgeFound(t, &n, policy.Read, &j)
	}
	if j.answer == 0 && j.verdict.Action.Permits() {
		return nil
	}
	s.tellKilled(t, &j)
	s.kill(t.tid)
	return unix.ESRCH
}
