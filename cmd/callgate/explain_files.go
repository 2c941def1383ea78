package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/host"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// askFiles asks about the files that a call names, as the supervisor does.
func askFiles(plan *compile.Plan, c policy.CallText) (list []asked) {
	b := plan.Sections()
	for _, u := range policy.UsesOf(c.Entry) {
		name, held, given := nameOf(c, &u)
		switch {
		case !given, held && u.Verb == policy.Looks:
			continue // to look at what a descriptor holds takes no leave
		case name == "", !filepath.IsAbs(name) && folderOf(c, &u) != unix.AT_FDCWD:
			if concerned(plan, c, &u) {
				list = append(list, unknownFile(c, &u, name))
			}
			continue
		}
		path := canonical(name, follows(c, &u))
		info, missing := os.Lstat(path)
		access := u.Verb.Access()
		if u.Verb == policy.Opens {
			access = policy.OpenAccess(openFlags(c), missing == nil)
		}
		list = append(list, asked{what: access.String() + " " + path, verdict: b.File(path, access)})
		switch {
		case u.Verb == policy.Opens:
			list = append(list, openNotes(c, path, info)...)
		case u.Verb == policy.Runs:
			list = append(list, askProgram(plan, path)...)
		case u.Verb == policy.Removes, u.Verb == policy.Moves, u.Verb == policy.Takes && missing == nil:
			dir := filepath.Dir(path)
			list = append(list, asked{what: "write " + dir + ", whose name it is", verdict: b.File(dir, policy.Write)})
		}
	}
	return list
}

// nameOf is the name that a use was given. held is where a descriptor stands for the
// file: then name is "", or "." for the working folder.
func nameOf(c policy.CallText, u *policy.Use) (name string, held, given bool) {
	if u.Path >= 0 && c.Texts[u.Path] != "" {
		return c.Texts[u.Path], false, true
	}
	if held = u.Path < 0 || u.Empty(c.Entry, &c.Args); held && folderOf(c, u) == unix.AT_FDCWD {
		name = "."
	}
	return name, held, held
}

// folderOf is the descriptor that a relative name begins at.
func folderOf(c policy.CallText, u *policy.Use) int {
	if u.Dir < 0 {
		return unix.AT_FDCWD
	}
	return int(int32(c.Entry.Params[u.Dir].Value(&c.Args)))
}

// unknownFile is a file that only the program knows.
func unknownFile(c policy.CallText, u *policy.Use, name string) asked {
	fd := folderOf(c, u)
	a := asked{section: policy.Files, what: fmt.Sprintf("the file of descriptor %d", fd), unknown: fmt.Sprintf("descriptor %d is the program's", fd)}
	if name != "" {
		a.what = fmt.Sprintf("%s, from the folder of descriptor %d", name, fd)
	}
	return a
}

// concerned says whether the verdict hangs on which file it is. A guard's rules are
// about opening memory for writing.
func concerned(plan *compile.Plan, c policy.CallText, u *policy.Use) bool {
	for _, p := range plan.Set {
		_, files := p.Section(policy.Files)
		_, exec := p.Section(policy.Exec)
		if !policy.IsGuard(p.Name) && (files || exec && u.Verb == policy.Runs) {
			return true
		}
	}
	return u.Verb == policy.Opens && policy.OpenAccess(openFlags(c), true) == policy.Write
}

// follows says whether a last symbolic link is followed: of an open, as its flags
// say.
func follows(c policy.CallText, u *policy.Use) bool {
	if u.Verb != policy.Opens {
		return u.Follows(c.Entry, &c.Args)
	}
	const makes = unix.O_CREAT | unix.O_EXCL
	flags := openFlags(c)
	return flags&unix.O_NOFOLLOW == 0 && (flags&makes != makes || flags&unix.O_PATH != 0)
}

// openNotes is what an open comes to beside the verdict.
func openNotes(c policy.CallText, path string, info os.FileInfo) []asked {
	flags := openFlags(c)
	switch {
	case c.Entry.Canonical == "openat2":
		return []asked{{note: "the flags of openat2 are in memory: taken for O_RDONLY"}}
	case info != nil && info.Mode()&os.ModeSymlink != 0 && flags&unix.O_NOFOLLOW != 0 && flags&unix.O_PATH == 0:
		return []asked{{note: path + " is a symbolic link, and O_NOFOLLOW has the kernel answer ELOOP"}}
	}
	return nil
}

func openFlags(c policy.CallText) uint64 {
	if c.Entry.Canonical == "creat" {
		return unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC
	}
	if p, ok := c.Entry.Param("flags"); ok {
		return p.Value(&c.Args)
	}
	return 0
}

// askProgram asks about running a program, and what the kernel executes for it: a
// script's interpreter, an ELF program's loader.
func askProgram(plan *compile.Plan, path string) []asked {
	b := plan.Sections()
	list, last := []asked{{what: "run " + path, verdict: b.Program(path)}}, path
	for i, e := range launch.ExecutedIn(unix.AT_FDCWD, path) {
		if why := unexecutable(b, e); why != "" {
			v := policy.Verdict{Action: policy.Deny, Errno: uint16(unix.EACCES), Section: policy.Exec}
			return append(list, asked{what: "run " + e.Path, verdict: v, by: "callgate: " + why})
		}
		if i == 0 {
			continue
		}
		if last = e.Path; e.Relative {
			return append(list, askInterpreter(b, e)...)
		}
		list = append(list, askInterpreter(b, e)...)
	}
	if why := unreadable(last); why != nil {
		list = append(list, asked{note: fmt.Sprintf("whether %s is a script, and what runs it then, is not known here: %v", last, why)})
	}
	return list
}

// unexecutable says why a file is not executed whatever the rules say, "" if it may be.
func unexecutable(b *policy.Sections, e launch.Executable) string {
	switch {
	case !b.Has(policy.Exec):
	case e.Relative:
		return "an interpreter that begins at the working folder is another file in each"
	case !e.Loads && slices.Contains(launch.Loaders(), e.Path):
		return "the dynamic loader would run any file that can be read"
	}
	return ""
}

// askInterpreter asks about what is executed for another file. A loader that is permitted
// goes without saying.
func askInterpreter(b *policy.Sections, e launch.Executable) []asked {
	if e.Relative {
		return []asked{{section: policy.Files, what: "read " + e.Path + ", which runs it", unknown: "the working folder is the program's"}}
	}
	read := asked{what: "read " + e.Path + ", which runs it", verdict: b.File(e.Path, policy.Read)}
	if slices.Contains(launch.Loaders(), e.Path) {
		if read.verdict.Action.Permits() {
			return nil
		}
		return []asked{read}
	}
	return []asked{read, {what: "run " + e.Path + ", which runs it", verdict: b.Program(e.Path)}}
}

// unreadable is why a file cannot be read here, nil if it can.
func unreadable(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // it could be a FIFO
	if pathErr, ok := err.(*os.PathError); ok {
		return pathErr.Err
	}
	if err == nil {
		f.Close()
	}
	return err
}

// canonical is where a name leads from here, the last link followed or not.
func canonical(name string, follow bool) string {
	at, err := host.Place("", nil)
	if err != nil {
		return name
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(at.Dir, name)
	}
	if follow {
		to, _ := at.Links(name)
		return to
	}
	folder, _ := at.Links(filepath.Dir(name))
	return filepath.Join(folder, filepath.Base(name))
}
