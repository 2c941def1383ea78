package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"callgate/policy/abi"
)

// TestEveryPathIsUsed: a call that takes a path is in the table, or here with the
// reason why it need not be.
func TestEveryPathIsUsed(t *testing.T) {
	without := map[string]string{
		"memfd_create":   "its name is for people",
		"mount":          "closed by builtin:guard-names",
		"umount2":        "closed by builtin:guard-names",
		"pivot_root":     "closed by builtin:guard-names",
		"move_mount":     "closed by builtin:guard-names",
		"mount_setattr":  "closed by builtin:guard-names",
		"open_tree_attr": "closed by builtin:guard-names",
		"mq_open":        "message queues have names of their own",
	}
	known := map[string]bool{}
	for _, a := range abi.Arches() {
		for s := range a.All() {
			known[s.Canonical] = true
			takes := slices.ContainsFunc(s.Params, func(p abi.Param) bool { return p.Kind == abi.Path })
			if uses := UsesOf(s); takes && len(uses) == 0 && without[s.Canonical] == "" {
				t.Errorf("%v %s takes a path that nobody looks at", a, s.Name)
			}
		}
	}
	for call := range usages() {
		if !known[call] {
			t.Errorf("there is no call %s", call)
		}
	}
}

func TestUses(t *testing.T) {
	for _, c := range []struct{ call, want string }{
		{`openat(AT_FDCWD, "a", O_RDONLY)`, "opens 1 of 0 follow"},
		{`open("a")`, "opens 0 follow"},
		{`newfstatat(3, "a", 0, AT_SYMLINK_NOFOLLOW)`, "looks 1 of 0 keep"},
		{`newfstatat(3, "", 0, AT_EMPTY_PATH)`, "looks 1 of 0 follow empty"},
		{`statx(3, "", AT_EMPTY_PATH)`, "looks 1 of 0 follow empty"},
		{`lstat("a")`, "looks 0 keep"},
		{`readlinkat(3, "")`, "looks 1 of 0 keep empty"},
		{`renameat2(3, "a", 4, "b", RENAME_EXCHANGE)`, "moves 1 of 0 keep, takes 3 of 2 keep"},
		{`linkat(3, "a", 4, "b", AT_SYMLINK_FOLLOW)`, "shares 1 of 0 follow, links 3 of 2 keep"},
		{`linkat(3, "a", 4, "b", 0)`, "shares 1 of 0 keep, links 3 of 2 keep"},
		{`symlinkat("a", 3, "b")`, "links 2 of 1 keep"},
		{`symlink("a", "b")`, "links 1 keep"},
		{`unlinkat(3, "a", AT_REMOVEDIR)`, "removes 1 of 0 keep"},
		{`fchmod(3, 0)`, "changes -1 of 0 follow"},
		{`fchownat(3, "", 0, 0, AT_EMPTY_PATH)`, "changes 1 of 0 follow empty"},
		{`i386:chown32("a", 0, 0)`, "changes 0 follow"},
		{`i386:stat64("a")`, "looks 0 follow"},
		{`execveat(3, "", 0, 0, AT_EMPTY_PATH)`, "runs 1 of 0 follow empty"},
		{`utimensat(3, NULL, 0, 0)`, "changes 1 of 0 follow"},
		{`read(0)`, ""},
	} {
		text, err := ParseCall(c.call, abi.X86_64)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, u := range UsesOf(text.Entry) {
			s := fmt.Sprintf("%v %d", u.Verb, u.Path)
			if u.Dir >= 0 {
				s += fmt.Sprintf(" of %d", u.Dir)
			}
			s += map[bool]string{true: " follow", false: " keep"}[u.Follows(text.Entry, &text.Args)]
			if u.Empty(text.Entry, &text.Args) {
				s += " empty"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %s, want %s", c.call, s, c.want)
		}
	}
}

func TestOpenAccess(t *testing.T) {
	for _, c := range []struct {
		flags uint64
		there bool
		want  Access
	}{
		{0, true, Read}, {1, true, Write}, {2, true, Write}, {3, true, Write},
		{openCreate, true, Read}, {openCreate, false, Write}, {openTrunc, true, Write},
		{openPath | 2, true, Look}, {openTmpfile | 2, true, Write},
	} {
		if got := OpenAccess(c.flags, c.there); got != c.want {
			t.Errorf("flags %#o, there %v: %v, want %v", c.flags, c.there, got, c.want)
		}
	}
}
