package policy

import (
	"strings"
	"sync"

	"callgate/policy/abi"
)

// Use is one file that a call names, and what the call does to it.
type Use struct {
	Path  int8 // the parameter with the name; -1: the descriptor Dir is the file
	Dir   int8 // the parameter with the folder that a relative name begins at; -1: the working folder
	Flags int8 // the parameter with AT_* flags, -1 if the call has none
	Verb  Verb
	link  linkRule
}

// Verb is what a call does to a file that it names.
type Verb uint8

const (
	Looks   Verb = iota + 1 // asks about it, or goes there
	Opens                   // for what its flags say
	Changes                 // its metadata or, by truncate, its content
	Makes                   // a new name, which is no symbolic link
	Binds                   // a socket's new name
	Links                   // a new name, which can lead elsewhere: of a symbolic or a hard link
	Removes                 // the name
	Moves                   // the name, to that of the call's next use
	Takes                   // the name of what it moves
	Shares                  // what is to get a second name, that of the call's next use
	Runs                    // as a program
	Talks                   // to the socket of that name
	Watches                 // what others do with it, and with what is in it
)

// Names says whether the verb changes which names there are so that a path that
// was looked at may lead elsewhere afterwards.
func (v Verb) Names() bool { return v == Links || v >= Removes && v <= Takes }

// Access is what the section `files` asks for a verb, but Opens, whose flags
// say.
func (v Verb) Access() Access {
	switch v {
	case Looks:
		return Look
	case Runs, Watches:
		return Read
	}
	return Write
}

// linkRule says whether a last symbolic link is followed.
type linkRule uint8

const (
	follow   linkRule = iota
	keep              // the link itself is meant
	byFlag            // followed unless AT_SYMLINK_NOFOLLOW
	byFollow          // followed if AT_SYMLINK_FOLLOW
)

// Bits of AT_* flags (linux/fcntl.h), the same in every ABI.
const (
	atNoFollow  = 0x100
	atFollow    = 0x400
	atEmptyPath = 0x1000
)

// useTable says what calls do to the files that they name: the verbs, one for
// each parameter that is a path, "-" for one that names nothing; then how a last
// symbolic link is taken, if it is not followed. Calls that have no path here
// act on a descriptor that can be had without the right to change its file.
//
// What calls do to names that lead to other machines or to the kernel's own
// (mq_open, memfd_create) is not here, nor is what only a mount changes: that is
// closed as a whole (builtin:guard-names).
const useTable = `
opens:       open openat openat2 creat
looks:       stat access faccessat statfs chdir chroot getxattr listxattr uselib quotactl swapoff
looks keep:  lstat readlink readlinkat lgetxattr llistxattr
looks flag:  newfstatat statx faccessat2 fanotify_mark getxattrat listxattrat file_getattr open_tree fspick
looks at:    name_to_handle_at
watches:     inotify_add_watch
changes:     truncate chmod fchmodat chown utime utimes futimesat setxattr removexattr acct swapon
changes keep: lchown lsetxattr lremovexattr
changes flag: fchmodat2 fchownat utimensat setxattrat removexattrat file_setattr
changes:     fchmod fchown fsetxattr fremovexattr
makes keep:  mkdir mkdirat mknod mknodat
-,links keep: symlink symlinkat
removes keep: unlink unlinkat rmdir
moves,takes keep: rename renameat renameat2
shares,links at: linkat
shares,links keep: link
runs:        execve
runs flag:   execveat
`

var useWords = [...]string{Looks: "looks", Opens: "opens", Changes: "changes", Makes: "makes", Binds: "binds", Links: "links",
	Removes: "removes", Moves: "moves", Takes: "takes", Shares: "shares", Runs: "runs", Talks: "talks", Watches: "watches"}

// String is what the verb does, in the third person.
func (v Verb) String() string {
	if int(v) < len(useWords) {
		return useWords[v]
	}
	return ""
}

// usage is one call's line of useTable.
type usage struct {
	verbs [2]Verb
	link  linkRule
}

var usages = sync.OnceValue(func() map[string]usage {
	m := make(map[string]usage, 128)
	for line := range strings.Lines(useTable) {
		head, calls, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		words, link, _ := strings.Cut(head, " ")
		u := usage{link: map[string]linkRule{"": follow, "keep": keep, "flag": byFlag, "at": byFollow}[link]}
		for i, word := range strings.Split(words, ",") {
			for v, have := range useWords {
				if word == have {
					u.verbs[i] = Verb(v)
				}
			}
		}
		for call := range strings.FieldsSeq(calls) {
			m[call] = u
		}
	}
	return m
})

// UsesOf gives the files that calls of an entry name. It allocates; the answer
// is the same every time.
func UsesOf(s *abi.Syscall) []Use {
	u, ok := usages()[s.Canonical]
	if !ok {
		return nil
	}
	flags := int8(-1)
	if u.link == byFlag || u.link == byFollow || u.verbs[0] == Removes {
		flags = flagsOf(s)
	}
	var uses []Use
	paths := 0
	for i := range s.Params {
		if s.Params[i].Kind != abi.Path || paths == len(u.verbs) {
			continue
		}
		verb := u.verbs[paths]
		paths++
		if verb == 0 {
			continue
		}
		use := Use{Path: int8(i), Dir: -1, Flags: flags, Verb: verb, link: u.link}
		if i > 0 && s.Params[i-1].Kind == abi.DirFD {
			use.Dir = int8(i - 1)
		}
		if verb == Links && u.link == byFollow {
			use.link, use.Flags = keep, -1 // linkat's flags are about the old name
		}
		uses = append(uses, use)
	}
	if paths == 0 {
		uses = []Use{{Path: -1, Dir: 0, Flags: -1, Verb: u.verbs[0]}}
	}
	return uses
}

// flagsOf finds the parameter with AT_* flags, by the names that the man pages
// have for it.
func flagsOf(s *abi.Syscall) int8 {
	for i := range s.Params {
		if n := s.Params[i].Name; n == "flags" || n == "at_flags" {
			return int8(i)
		}
	}
	return -1
}

// Follows says whether a last symbolic link is followed, in a call with these
// argument registers. Of an open that is for its flags to say.
func (u *Use) Follows(s *abi.Syscall, args *[6]uint64) bool {
	switch u.link {
	case keep:
		return false
	case byFlag:
		return u.flags(s, args)&atNoFollow == 0
	case byFollow:
		return u.flags(s, args)&atFollow != 0
	}
	return true
}

// Empty says whether an empty name, or none, stands for the descriptor Dir.
func (u *Use) Empty(s *abi.Syscall, args *[6]uint64) bool {
	switch {
	case u.Dir < 0:
		return false
	case s.Canonical == "readlinkat": // readlink(2): since Linux 2.6.39
		return true
	}
	return u.Verb != Removes && u.flags(s, args)&atEmptyPath != 0
}

func (u *Use) flags(s *abi.Syscall, args *[6]uint64) uint64 {
	if u.Flags < 0 {
		return 0
	}
	return s.Params[u.Flags].Value(args)
}

// Bits of open(2)'s flags, of asm-generic/fcntl.h; the ones that differ between
// ABIs are O_DIRECTORY and O_NOFOLLOW, which arm64 has elsewhere.
const (
	openAccess  = 0o3
	openCreate  = 0o100
	openTrunc   = 0o1000
	openPath    = 0o10000000
	openTmpfile = 0o20000000
)

// OpenAccess is what an open with these flags does to a file that is there or,
// where there is false, that it would make.
func OpenAccess(flags uint64, there bool) Access {
	switch {
	case flags&openPath != 0:
		return Look
	case flags&(openTrunc|openTmpfile) != 0, flags&openAccess != 0, flags&openCreate != 0 && !there:
		return Write
	}
	return Read
}
