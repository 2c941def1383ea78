package compile

import (
	"fmt"
	"slices"
	"strings"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

// files computes what the section files permits, and for each policy that
// limits it which paths can be written.
func (h Host) files(t Tried) (all domain, writable [][]string, hold Hold) {
	hold.Exact = true
	for i, rules := range t.Rules {
		hold.worsen(unheldDefault(t.Defaults[i], rules))
		if t.Defaults[i].Permits() {
			continue
		}
		hold.worsen(h.uncovered())
		d := domain{handled: h.covered(accessWrite)}
		hold.worsen(h.grantAll(&d, rules, func(r *policy.BoundRule) uint64 { return h.covered(fileAccess(r)) }))
		writable = append(writable, d.with(unix.LANDLOCK_ACCESS_FS_WRITE_FILE))
		all = all.and(d)
	}
	return all, writable, hold
}

// fileAccess are the rights that a permitting rule of files stands for.
func fileAccess(r *policy.BoundRule) uint64 {
	switch {
	case r.Rule.Action == policy.Log || r.Access >= policy.Write:
		return accessWrite
	case r.Access == policy.Read:
		return accessRead
	}
	return 0
}

// exec computes what the section exec permits. An interpreter, of a script or
// an ELF program, is a program that is executed: it needs a rule of its own, or
// to be one of the host's loaders.
func (h Host) exec(t Tried, writable [][]string) (all domain, hold Hold) {
	hold.Exact = true
	for i, rules := range t.Rules {
		hold.worsen(unheldDefault(t.Defaults[i], rules))
		if t.Defaults[i].Permits() {
			continue
		}
		d := domain{handled: unix.LANDLOCK_ACCESS_FS_EXECUTE}
		hold.worsen(h.grantAll(&d, rules, func(*policy.BoundRule) uint64 { return d.handled }))
		changing, why := changeable(named(rules), writable)
		hold.worsen(why)
		if slices.Contains(changing, "/") {
			continue
		}
		for _, path := range changing {
			d.add(path, d.handled)
		}
		hold.worsen(h.loaders(&d))
		all = all.and(d)
	}
	return all, hold
}

// changeable gives the paths that must be executable beside those of exec's
// rules where any of those can be written: a program that is made there during
// the run has the rights of its folder, and Landlock lets no file be moved or
// linked to where it would get a right that it has not (EXDEV). No more can be
// executed for it than could be copied there first.
func changeable(programs []string, writable [][]string) (paths []string, why string) {
	if len(programs) == 0 {
		return nil, ""
	}
	if len(writable) == 0 {
		return []string{"/"}, "no files section keeps programs from being changed"
	}
	for _, w := range writable {
		if !overlap(w, programs) && !overlap(programs, w) {
			return nil, ""
		}
	}
	return writable[0], "what can be written can become what can be executed"
}

// overlap says whether any of paths is one of tops or beneath it.
func overlap(paths, tops []string) bool {
	set := map[string]bool{}
	for _, top := range tops {
		set[top] = true
	}
	for _, path := range paths {
		if anyAbove(set, path) {
			return true
		}
	}
	return false
}

func anyAbove(set map[string]bool, path string) bool {
	for above := range upward(path) {
		if set[above] {
			return true
		}
	}
	return false
}

// loaders grants what the kernel executes for a program that needs it.
func (h Host) loaders(d *domain) (why string) {
	for _, path := range h.Loaders {
		if d.of(path) == 0 && h.Look(path) == File {
			d.add(path, d.handled)
			why = "programs could not start if " + path + " could not be executed"
		}
	}
	return why
}

// unheldDefault is why Landlock does not give a section's default.
func unheldDefault(byDefault policy.Action, rules []policy.BoundRule) string {
	switch byDefault {
	case policy.Deny:
		return ""
	case policy.Allow:
		for i := range rules {
			if why := unheldRule(rules[i].Rule); why != "" {
				return why
			}
		}
		return "" // nothing is forbidden
	}
	return lacks(byDefault) + " what no rule names"
}

// unheldRule is why Landlock does not give a rule's verdict.
func unheldRule(r *policy.Rule) string {
	switch r.Action {
	case policy.Allow:
		return ""
	case policy.Deny:
		return fmt.Sprintf("%s: Landlock cannot hide a file, nor take back what is granted", r.Pos)
	}
	return fmt.Sprintf("%s: %s it", r.Pos, lacks(r.Action))
}

// lacks says that Landlock does not do what an action is.
func lacks(a policy.Action) string {
	if a == policy.Ask {
		return "Landlock asks nobody about"
	}
	return "Landlock cannot " + a.String()
}

// named gives the paths of all permitting rules, there or missing.
func named(rules []policy.BoundRule) (paths []string) {
	for i := range rules {
		if !rules[i].Rule.Action.Permits() {
			continue
		}
		for _, p := range rules[i].Paths {
			paths = append(paths, p.Path)
		}
	}
	return paths
}

// grantAll grants what rules permit, but where earlier ones forbid all of it.
// It says why the grants are not what the rules say.
func (h Host) grantAll(d *domain, rules []policy.BoundRule, access func(*policy.BoundRule) uint64) string {
	hold := Hold{Exact: true}
	forbidden := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		if hold.Exact {
			hold.worsen(unheldRule(r.Rule))
		}
		for _, p := range r.Paths {
			switch {
			case !r.Rule.Action.Permits() && !p.Glob:
				forbidden[p.Path] = true
			case r.Rule.Action.Permits() && !anyAbove(forbidden, p.Path):
				if why := h.grant(d, p, access(r)); why != "" {
					hold.worsen(r.Rule.Pos.String() + ": " + why)
				}
			}
		}
	}
	return hold.Why
}

// grant grants the least that permits access to all that a pattern matches, and
// says why that is more.
//
// What is missing cannot be granted. A file that may be written may be made if
// its folder is there; then the folder needs the rights that the file will
// need. If the folder is missing too, nobody in the sandbox can make it but by
// another rule's leave, and that rule's grant covers all of it.
func (h Host) grant(d *domain, p policy.BoundPath, access uint64) (why string) {
	path := p.Path
	if ofProcess(path) {
		path, why = "/proc", "Landlock cannot tell a task's own folder in /proc from others'"
	}
	if p.Glob {
		why = "Landlock knows no globs: it grants all of " + path
	}
	switch h.Look(path) {
	case Folder:
		d.add(path, access)
	case File:
		d.add(path, access&accessFile)
	case Missing:
		if folder := folderOf(path); access&accessMake != 0 && h.Look(folder) == Folder {
			d.add(folder, access)
			return path + " is missing, and to make it takes all rights on its folder"
		}
	}
	return why
}

// ofProcess says whether a path is one process's: /proc/self,
// /proc/thread-self, /proc/NUMBER or beneath.
func ofProcess(path string) bool {
	rest, ok := strings.CutPrefix(path, "/proc/")
	if !ok {
		return false
	}
	name, _, _ := strings.Cut(rest, "/")
	return name == "self" || name == "thread-self" || strings.Trim(name, "0123456789") == ""
}
