package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/supervisor/host"
	"callgate/supervisor/server/work"

	"golang.org/x/sys/unix"
)

// reach says of a canonical name whether the command may write it, and so may have put a link there
// when it ran before; nil: it has no say.
type reach func(name string) bool

// reachUnder is what rules let the command write.
func reachUnder(rules *policy.Sections) reach {
	if rules == nil || !rules.Has(policy.Files) {
		return nil
	}
	return func(name string) bool { return rules.File(name, policy.Write).Action.Permits() }
}

// reachIn takes a folder's content for the command's to write, where its rules are not known: "" is
// this one.
func reachIn(folder string) (reach, error) {
	at, err := host.Place(folder, nil)
	if err != nil {
		return nil, err
	}
	real, _ := at.Links(at.Dir)
	return func(name string) bool { return work.Within(real, name) }, nil
}

// place is where a name is, its links followed, if the command may put another file there; else
// "". It is refused where a link leads it to what the command may not write, if the command may have
// made that link when it ran before: callgate would act for it there.
func (writes reach) place(name string) (string, error) {
	if writes == nil {
		return "", nil
	}
	here := ""
	if path.IsAbs(name) {
		here = "/" // the current folder may not be there any more
	}
	at, err := host.Place(here, nil)
	if err != nil {
		return "", err
	}
	to, through := lead(&at, name)
	switch {
	case writes(to) && !writes("/"):
		return to, nil
	case writes(to), !slices.ContainsFunc(through, writes):
		return "", nil // all that it could write it may, or it has no say
	}
	return "", fmt.Errorf("a symbolic link leads %s to %s, and is not followed: the command may have made it", printable(name), printable(to))
}

// lead follows a name as the kernel does, for which a/.. is above what a leads to, and gives the
// links on the way.
func lead(at *policy.Place, name string) (to string, through []string) {
	if to = "/"; !path.IsAbs(name) {
		to, through = at.Links(at.Dir)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			to = path.Dir(to)
			continue
		}
		next, links := at.Links(path.Join(to, part))
		to, through = next, append(through, links...)
	}
	return to, through
}

// placeHint goes with an error of place.
const placeHint = "name what it leads to, if that is meant"

// unplanted is place for a name that the command line has, where a command that ran in this folder
// may have made all that is in it.
func unplanted(name string) (string, error) {
	writes, err := reachIn("")
	if noFolder(err) != nil && path.IsAbs(name) {
		return "", nil // there is nothing in it
	}
	if err != nil {
		return "", err
	}
	to, err := writes.place(name)
	if err != nil {
		return "", &failure{status: exitUsage, err: err, hint: placeHint}
	}
	return to, nil
}

// openUnplanted opens what is so named for reading.
func openUnplanted(name string) (*os.File, error) {
	place, err := unplanted(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if err == nil && !isAt(place, file) {
		return nil, errors.Join(errors.New("another file took its place as it was opened"), file.Close())
	}
	return file, err
}

// isAt says whether the file that was opened is the one at that place, where a link could have been
// put meanwhile, on the way too.
func isAt(place string, opened *os.File) bool {
	if place == "" {
		return true
	}
	is, err := opened.Stat()
	if err != nil || !is.Mode().IsRegular() {
		return err == nil
	}
	fd, err := unix.Openat2(unix.AT_FDCWD, place, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(fd), place)
	defer file.Close()
	there, err := file.Stat()
	return err == nil && os.SameFile(is, there)
}
