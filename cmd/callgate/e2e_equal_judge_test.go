package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

// The reference of TestEqual: it follows names on a tree that nobody changes, and
// asks the rules. It knows nothing of how callgate does either.

// follower follows names as path_resolution(7) has it.
type follower struct {
	root  string // "" but for RESOLVE_IN_ROOT
	cwd   string
	held  []string // by descriptors from firstHeld on
	links int
}

// firstHeld is the number of a case's first descriptor.
const firstHeld = 100

// ending is what becomes of a name's last component.
type ending uint8

const (
	followed ending = iota
	kept            // a link is followed if a slash comes after it
	entered         // a link is never followed: the name itself is meant
)

// end is where a name leads: the path of what is there or would be made.
type end struct {
	path  string
	there bool
}

// follow follows a name that begins at the folder base.
func (f *follower) follow(base, name string, last ending) (end, unix.Errno) {
	if name == "" {
		return end{}, unix.ENOENT
	}
	at := end{base, true}
	if name[0] == '/' {
		at.path = "/" + strings.TrimPrefix(f.root, "/")
	}
	parts := strings.Split(strings.TrimLeft(name, "/"), "/")
	for i := 0; i < len(parts); i++ {
		rest := parts[i+1:]
		final, slash := strings.Join(rest, "") == "", len(rest) > 0
		if !f.isFolder(at) {
			return end{}, missingOr(at, unix.ENOTDIR)
		}
		switch parts[i] {
		case "", ".":
			continue
		case "..":
			if at.path != f.root {
				at.path = filepath.Dir(at.path)
			}
			continue
		}
		next := end{filepath.Join(at.path, parts[i]), false}
		target, isLink, errno := f.look(&next)
		switch {
		case errno != 0:
			return end{}, errno
		case isLink && final && (last == entered || last == kept && !slash):
		case isLink:
			if f.links++; f.links > 40 {
				return end{}, unix.ELOOP
			}
			if next, errno = f.jump(at.path, parts[i], target); errno != 0 {
				return end{}, errno
			}
		}
		at = next
		if final && last == entered {
			return at, 0
		}
		if final && slash && at.there && !f.isFolder(at) {
			return end{}, unix.ENOTDIR
		}
		if final {
			return at, 0
		}
	}
	return at, 0
}

func missingOr(at end, errno unix.Errno) unix.Errno {
	if !at.there {
		return unix.ENOENT
	}
	return errno
}

// look says what a path is. Links of /proc/self lead to the object itself.
func (f *follower) look(at *end) (target string, isLink bool, errno unix.Errno) {
	if rest, ok := strings.CutPrefix(at.path, "/proc/self"); ok {
		at.there = true
		switch {
		case rest == "" || rest == "/fd":
			return "", false, 0
		case rest == "/cwd":
			return f.cwd, true, 0
		}
		for i, held := range f.held {
			if rest == "/fd/"+itoa(firstHeld+i) {
				return held, true, 0
			}
		}
		at.there = false
		return "", false, 0
	}
	info, err := os.Lstat(at.path)
	if err != nil {
		return "", false, 0
	}
	at.there = true
	if info.Mode()&os.ModeSymlink != 0 {
		target, _ = os.Readlink(at.path)
		return target, true, 0
	}
	return "", false, 0
}

// jump is where a link leads.
func (f *follower) jump(folder, name, target string) (end, unix.Errno) {
	if strings.HasPrefix(folder, "/proc/self") {
		return end{target, true}, 0
	}
	return f.follow(folder, target, followed)
}

func (f *follower) isFolder(at end) bool {
	if at.path == "/proc/self" || at.path == "/proc/self/fd" {
		return true
	}
	info, err := os.Lstat(at.path)
	return err == nil && info.IsDir()
}

// ask is one question to the rules.
type ask struct {
	path   string
	access policy.Access
}

// expected is what a case may come to beside what it comes to bare: only that if
// there is nothing else.
type expected struct {
	denials []unix.Errno // one of these, with nothing changed
	must    bool         // not what it comes to bare, unless that is an error
	// refusals are how callgate answers what it does not do at all.
	refusals []unix.Errno
	// errno is for names that lead nowhere; if more is wrong the kernel may find
	// one of the others first.
	errno  unix.Errno
	others []unix.Errno
	gone   bool // a name that is to be there is missing
	scoped bool // its flags may have it lead nowhere
}

// judge asks the rules all that a case's call means to files.
func (c *eqCase) judge(rules *policy.Sections) (e expected) {
	asks, move, hidden := c.asks()
	for _, q := range asks {
		if v := rules.File(q.path, q.access); !v.Action.Permits() {
			e.must, e.denials = true, append(e.denials, unix.Errno(v.Errno))
		}
	}
	for _, path := range hidden {
		if v := rules.File(path, policy.Look); !v.Action.Permits() {
			e.denials = append(e.denials, unix.Errno(v.Errno))
		}
	}
	e.errno, e.others = c.errno, []unix.Errno{unix.EINVAL, unix.EBADF, unix.EPERM}
	if c.resolve != 0 {
		e.others = append(e.others, unix.ELOOP, unix.EXDEV)
		e.scoped = true
	}
	if c.uses[0].folderToMake(c) != "" {
		e.errno = unix.EISDIR
	}
	if c.resolve&unix.RESOLVE_NO_SYMLINKS != 0 && e.errno == 0 {
		e.errno = unix.ELOOP
	}
	if c.call.entry.Name == "fspick" {
		e.refusals = append(e.refusals, unix.EPERM) // it takes CAP_SYS_ADMIN, which root gives up
	}
	for i := range c.uses {
		at, errno := c.uses[i].find(c)
		e.gone = e.gone || errno == 0 && !at.there && !slices.Contains([]string{"make", "link", "take"}, c.uses[i].does)
	}
	for _, m := range move {
		if !rules.MayMove(m[0], m[1]) {
			e.must, e.denials = true, append(e.denials, unix.EXDEV)
		}
	}
	if c.resolve&^unix.RESOLVE_NO_SYMLINKS != 0 && (c.resolve == unix.RESOLVE_NO_XDEV || strings.Contains(c.uses[0].name, "proc")) {
		e.refusals = append(e.refusals, unix.ENOSYS) // for links of proc, and what may be some
	}
	return e
}

// asks are the questions, the moves of folders, and the names that lead nowhere,
// as they read.
func (c *eqCase) asks() (asks []ask, moves [][2]string, hidden []string) {
	var found []end
	for i := range c.uses {
		u := &c.uses[i]
		if itself := u.folderToMake(c); itself != "" {
			hidden = append(hidden, itself)
		}
		at, errno := u.find(c)
		if errno != 0 {
			c.errno = errno
			return asks, nil, append(hidden, u.reads(c))
		}
		found = append(found, at)
		if c.resolve != 0 { // it may lead nowhere yet
			hidden = append(hidden, u.reads(c))
		}
		if u.held && u.does == "look" {
			continue
		}
		asks = append(asks, ask{at.path, c.access(u, at)})
		if u.does == "remove" || u.does == "move" || u.does == "take" && at.there {
			asks = append(asks, ask{filepath.Dir(at.path), policy.Write})
		}
	}
	if len(found) == 2 && c.uses[0].does == "move" {
		f := follower{}
		if f.isFolder(found[0]) {
			moves = append(moves, [2]string{found[0].path, found[1].path})
		}
		if c.exchange && f.isFolder(found[1]) {
			moves = append(moves, [2]string{found[1].path, found[0].path})
		}
	}
	return asks, moves, hidden
}

// folderToMake is the path, its last component not followed, of what an open with
// O_CREAT calls a folder: it makes none, and opens none so (EISDIR).
func (u *eqUse) folderToMake(c *eqCase) string {
	if u.does != "open" || c.flags&unix.O_CREAT == 0 || !strings.HasSuffix(u.name, "/") {
		return ""
	}
	f := c.follower(u)
	at, _ := f.follow(u.base, u.name, entered)
	return at.path
}

// reads is what the name is as text.
func (u *eqUse) reads(c *eqCase) string {
	if strings.HasPrefix(u.name, "/") && c.resolve&unix.RESOLVE_IN_ROOT == 0 {
		return filepath.Clean(u.name)
	}
	return filepath.Join(u.base, u.name)
}

// find is where a use leads.
func (u *eqUse) find(c *eqCase) (end, unix.Errno) {
	if u.held {
		return end{u.base, true}, 0
	}
	f := c.follower(u)
	return f.follow(u.base, u.name, u.last)
}

func (c *eqCase) follower(u *eqUse) follower {
	f := follower{cwd: c.cwd, held: c.held}
	if c.resolve&unix.RESOLVE_IN_ROOT != 0 {
		f.root = u.base
	}
	return f
}

// access is what the section `files` asks of a use.
func (c *eqCase) access(u *eqUse, at end) policy.Access {
	switch u.does {
	case "look":
		return policy.Look
	case "run", "watch":
		return policy.Read
	case "open":
		return openNeeds(c.flags, at.there)
	}
	return policy.Write
}

func openNeeds(flags int, there bool) policy.Access {
	switch {
	case flags&unix.O_PATH != 0:
		return policy.Look
	case flags&unix.O_ACCMODE != unix.O_RDONLY, flags&unix.O_TRUNC != 0, flags&unix.O_TMPFILE == unix.O_TMPFILE:
		return policy.Write
	case flags&unix.O_CREAT != 0 && !there:
		return policy.Write
	}
	return policy.Read
}
