package verdict

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// files asks about the files that a call names, as the supervisor does.
func (g *Ground) files(c policy.CallText) (list []Finding) {
	for _, u := range policy.UsesOf(c.Entry) {
		name, held, given := nameOf(c, &u)
		if !given || held && u.Verb == policy.Looks {
			continue // to look at what a descriptor holds takes no leave
		}
		name, why := g.Place.Expand(name)
		switch {
		case why != "":
			list = append(list, Finding{Section: policy.Files, What: c.Texts[u.Path], Unknown: why})
		case name == "", !filepath.IsAbs(name) && folderOf(c, &u) != unix.AT_FDCWD:
			if g.concerned(c, &u) {
				list = append(list, unknownFile(c, &u, name))
			}
		default:
			list = append(list, g.file(c, &u, name)...)
		}
	}
	return list
}

// file asks about one file, and about what else is to be permitted for it.
func (g *Ground) file(c policy.CallText, u *policy.Use, name string) []Finding {
	path := g.canonical(name, follows(c, u))
	info, missing := os.Lstat(path)
	access := u.Verb.Access()
	if u.Verb == policy.Opens {
		access = policy.OpenAccess(openFlags(c), missing == nil)
	}
	list := []Finding{{What: access.String() + " " + path, Verdict: g.Sections.File(path, access)}}
	switch {
	case u.Verb == policy.Opens:
		list = append(list, openNotes(c, path, info)...)
	case u.Verb == policy.Runs:
		list = append(list, g.program(path)...)
	case u.Verb == policy.Removes, u.Verb == policy.Moves, u.Verb == policy.Takes && missing == nil:
		dir := filepath.Dir(path)
		list = append(list, Finding{What: "write " + dir + ", whose name it is", Verdict: g.Sections.File(dir, policy.Write)})
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
func unknownFile(c policy.CallText, u *policy.Use, name string) Finding {
	fd := folderOf(c, u)
	f := Finding{Section: policy.Files, What: fmt.Sprintf("the file of descriptor %d", fd), Unknown: fmt.Sprintf("descriptor %d is the program's", fd)}
	if name != "" {
		f.What = fmt.Sprintf("%s, from the folder of descriptor %d", name, fd)
	}
	return f
}

// concerned says whether the verdict hangs on which file it is. A guard's rules are
// about opening memory for writing.
func (g *Ground) concerned(c policy.CallText, u *policy.Use) bool {
	for _, p := range g.Set {
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
func openNotes(c policy.CallText, path string, info os.FileInfo) []Finding {
	flags := openFlags(c)
	switch {
	case c.Entry.Canonical == "openat2":
		return []Finding{{Note: "the flags of openat2 are in memory: taken for O_RDONLY"}}
	case info != nil && info.Mode()&os.ModeSymlink != 0 && flags&unix.O_NOFOLLOW != 0 && flags&unix.O_PATH == 0:
		return []Finding{{Note: path + " is a symbolic link, and O_NOFOLLOW has the kernel answer ELOOP"}}
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

// program asks about running a program, and what the kernel executes for it: a
// script's interpreter, an ELF program's loader.
func (g *Ground) program(path string) []Finding {
	list, last := []Finding{{What: "run " + path, Verdict: g.Sections.Program(path)}}, path
	for i, e := range launch.ExecutedIn(unix.AT_FDCWD, path) {
		if why := e.Evades(launch.Loaders()); why != "" && g.Sections.Has(policy.Exec) {
			v := policy.Verdict{Action: policy.Deny, Errno: uint16(unix.EACCES), Section: policy.Exec}
			return append(list, Finding{What: "run " + e.Path, Verdict: v, By: "callgate: " + why})
		}
		if i == 0 {
			continue
		}
		last = e.Path
		list = append(list, interpreter(g.Sections, e)...)
		if e.Relative {
			return list
		}
	}
	if why := unreadable(last); why != nil {
		list = append(list, Finding{Note: fmt.Sprintf("whether %s is a script, and what runs it then, is not known here: %v", last, why)})
	}
	return list
}

// interpreter asks about what is executed for another file. A loader that is permitted
// goes without saying.
func interpreter(b *policy.Sections, e launch.Executable) []Finding {
	if e.Relative {
		return []Finding{{Section: policy.Files, What: "read " + e.Path + ", which runs it", Unknown: "the working folder is the program's"}}
	}
	read := Finding{What: "read " + e.Path + ", which runs it", Verdict: b.File(e.Path, policy.Read)}
	if slices.Contains(launch.Loaders(), e.Path) {
		if !read.Verdict.Action.Restricts() {
			return nil
		}
		return []Finding{read}
	}
	return []Finding{read, {What: "run " + e.Path + ", which runs it", Verdict: b.Program(e.Path)}}
}

// unreadable is why a file cannot be read here, nil if it can. What is no file is no script,
// and to open a device could do something.
func unreadable(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // it could be leased (fcntl(2))
	if err == nil {
		f.Close()
	}
	if pathErr, ok := err.(*os.PathError); ok {
		return pathErr.Err
	}
	return err
}

// canonical is where a name leads from the ground's folder, the last link followed or not.
func (g *Ground) canonical(name string, follow bool) string {
	if !filepath.IsAbs(name) {
		name = g.Place.Dir + "/" + name
	}
	path := "/"
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." { // of where a link before it leads
			path, _ = g.Place.Links(path)
			path = filepath.Dir(path)
		} else {
			path = filepath.Join(path, part)
		}
	}
	if follow {
		to, _ := g.Place.Links(path)
		return to
	}
	folder, _ := g.Place.Links(filepath.Dir(path))
	return filepath.Join(folder, filepath.Base(path))
}
