package learn

import (
	"strings"

	"callgate/policy"
)

// Place is where a command was learned from, and where the policy is to lie. Paths are
// absolute, canonical and clean; "" is none.
type Place struct {
	Dir  string // the policy's folder: what is beneath is written relative to it
	Work string // the command's working folder: $PWD where it is not beneath Dir
	Home string // ~
	Tmp  string // the run's own temporary folder: $TMPDIR
	// Wide are folders that hold more than a rule should be on for what is in them: those
	// above secrets, the home folder, the root. No rule is on one of them, or on a folder
	// of the root's, for the sake of what is beneath.
	Wide []string
	// Shared are temporary folders of all users, where programs make names that differ
	// from run to run.
	Shared []string
}

// start is what a spelling begins with: a folder and how it is written.
type start struct{ folder, text string }

// starts are tried in turn.
func (at *Place) starts() []start {
	list := []start{{at.Tmp, "$TMPDIR"}}
	if beneath(at.Work, at.Dir) && at.Dir != "/" && !beneath(at.Home, at.Dir) {
		list = append(list, start{at.Dir, "."})
	} else if at.Work != "/" && !beneath(at.Home, at.Work) {
		list = append(list, start{at.Work, "$PWD"})
	}
	return append(list, start{at.Home, "~"})
}

// spell is a path as a pattern that stands for itself alone; glob has its components of
// digits stand for any number.
func (at *Place) spell(path string, link, glob bool) string {
	text, rest := "", path
	for _, s := range at.starts() {
		if s.folder != "" && s.folder != "/" && beneath(path, s.folder) {
			text, rest = s.text, strings.TrimPrefix(path, s.folder)
			break
		}
	}
	for name := range strings.SplitSeq(strings.Trim(rest, "/"), "/") {
		switch {
		case name == "":
		case glob && digits(name):
			text += "/[0-9]*"
		default:
			text += "/" + policy.Escape(name)
		}
	}
	switch {
	case text == "":
		return "/"
	case link:
		return policy.Unfollowed(text)
	}
	return text
}

// own says whether a path is beneath a folder that is the command's to work in.
func (at *Place) own(path string) bool {
	for _, s := range at.starts()[:2] {
		if s.text != "~" && s.folder != "" && beneath(path, s.folder) {
			return true
		}
	}
	return false
}

// within says the same of a folder that is not itself one of those: what is directly in
// them is what a person keeps there.
func (at *Place) within(folder string) bool {
	return at.own(folder) && folder != at.Dir && folder != at.Work
}

// wide says whether no rule should be on a folder for the sake of what is beneath.
func (at *Place) wide(folder string) bool {
	switch parent := parentOf(folder); {
	case folder == "/", parent == "/home":
		return true
	case parent == "/":
		switch folder {
		case "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt":
			return false
		}
		return !at.shared(folder)
	}
	if folder == at.Home || above(folder, at.Home) || above(folder, at.Work) || above(folder, at.Dir) {
		return true
	}
	for _, w := range at.Wide {
		if folder == w {
			return true
		}
	}
	return false
}

// cache is the folder of a program's own beneath ~/.cache that a path is deeper in, if a
// rule may be on that; else "".
func (at *Place) cache(path string) string {
	rest, ok := strings.CutPrefix(path, at.Home+"/.cache/")
	name, _, deeper := strings.Cut(rest, "/")
	folder := at.Home + "/.cache/" + name
	if at.Home == "" || !ok || !deeper || at.wide(folder) || at.own(path) {
		return ""
	}
	return folder
}

func (at *Place) shared(folder string) bool {
	for _, s := range at.Shared {
		if folder == s {
			return true
		}
	}
	return false
}

// beneath says whether a path is a folder or in it.
func beneath(path, folder string) bool {
	return path != "" && folder != "" && (path == folder || above(folder, path))
}

// above says whether a folder has a path beneath it.
func above(folder, path string) bool {
	return folder != "" && path != folder && strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

func digits(name string) bool { return name != "" && strings.Trim(name, "0123456789") == "" }
