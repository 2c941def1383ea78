package launch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// model is the language's word on files, for policies whose rules are exact:
// plain paths that permit, and a default of deny.
type model [][]policy.BoundRule

// may says whether every policy has a rule that permits the access.
func (m model) may(a policy.Access, path string) bool {
	for _, rules := range m {
		if !slices.ContainsFunc(rules, func(r policy.BoundRule) bool {
			return r.Access >= a && slices.ContainsFunc(r.Paths, func(p policy.BoundPath) bool {
				return path == p.Path || strings.HasPrefix(path, p.Path+"/")
			})
		}) {
			return false
		}
	}
	return true
}

// change says whether a name may be removed, renamed or replaced.
func (m model) change(path string) bool {
	return m.may(policy.Write, path) && m.may(policy.Write, filepath.Dir(path))
}

// place says whether a name may be made, or replaced if it is there.
func (m model) place(path string) bool {
	if look(path) == nil {
		return m.change(path)
	}
	return m.may(policy.Write, path)
}

// sample is one operation and whether the model permits it.
type sample struct {
	name string
	do   func() error
	want bool
}

var randomNames = []string{"a", "b", "c"}

// randomPath is a name up to three folders deep.
func randomPath(r *rand.Rand, dir string) string {
	for range 1 + r.IntN(3) {
		dir += "/" + randomNames[r.IntN(len(randomNames))]
	}
	return dir
}

func randomSample(r *rand.Rand, m model, dir string) sample {
	p, q := randomPath(r, dir), randomPath(r, dir)
	reads, writes := m.may(policy.Read, p), m.may(policy.Write, p)
	one := func(name string, want bool, do func(string) error) sample {
		return sample{name + " " + p, func() error { return do(p) }, want}
	}
	two := func(name string, want bool, flags uint) sample {
		return sample{name + " " + p + " " + q, func() error { return unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, q, flags) }, want}
	}
	switch r.IntN(18) {
	case 0, 1:
		return one("read", reads, open(p, unix.O_RDONLY).doPath)
	case 2:
		return one("list", reads, list)
	case 3:
		return one("write", writes, open(p, unix.O_WRONLY).doPath)
	case 4, 5:
		return one("make", writes, open(p, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR).doPath)
	case 6, 7:
		return one("mkdir", writes, mkdir)
	case 8:
		return one("truncate", writes, truncate)
	case 9:
		return one("symlink", writes, symlink)
	case 10:
		return one("unlink", m.change(p), unix.Unlink)
	case 11:
		return one("rmdir", m.change(p), unix.Rmdir)
	case 12, 14, 15:
		return sample{"link " + p + " " + q, func() error { return unix.Link(p, q) }, writes && m.may(policy.Write, q)}
	case 13:
		return two("exchange", m.change(p) && m.change(q), unix.RENAME_EXCHANGE)
	}
	return two("rename", m.change(p) && m.place(q), 0)
}

func (c try) doPath(string) error { return c.do() }

// randomRules are some rules on names of the tree that are there, as all that
// may be written must be for rulesets to be exact.
func randomRules(r *rand.Rand, dir string) (rules []policy.BoundRule) {
	for range 1 + r.IntN(4) {
		path, access := randomPath(r, dir), policy.Read+policy.Access(r.IntN(2))
		if access == policy.Read || Look(path) != compile.Missing {
			rules = append(rules, permit(access, path))
		}
	}
	if r.IntN(3) == 0 {
		rules = append(rules, permit(policy.Read, dir))
	}
	if r.IntN(2) == 0 {
		rules = append(rules, permit(policy.Write, dir+"/a", dir+"/b"))
	}
	return rules
}

// TestRandomRules: for rules that a ruleset holds exactly, the kernel's verdict
// on each of many operations, one after the other on one tree, is the model's.
func TestRandomRules(t *testing.T) {
	seed := uint64(os.Getpid())
	tried := map[string]int{} // by operation and verdict
	for n := range 300 {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		uid := users()[n%len(users())]
		dir := openFolder(t, uid)
		plant(t, dir, uid, "a/", "b/")
		for range 25 {
			p := strings.TrimPrefix(randomPath(r, dir), dir+"/")
			_, err := os.Lstat(filepath.Join(dir, p))
			if parent := Look(filepath.Dir(filepath.Join(dir, p))); err == nil || parent != compile.Folder {
				continue
			}
			plant(t, dir, uid, p+[]string{"", "/", "/"}[r.IntN(3)])
		}
		var m model
		for range 1 + r.IntN(3) {
			m = append(m, randomRules(r, dir))
		}
		l := compile.Confine(compile.Bound{Files: denyElse(m...)}, hostOf(t))
		if !l.Files.Exact {
			t.Fatalf("seed %d, %d: %+v", seed, n, l.Files)
		}
		confined(t, uid, dir, &l.Ruleset, func() {
			var log []string
			for range 200 {
				s := randomSample(r, m, dir)
				err := s.do()
				log = append(log, fmt.Sprintf("%s: %v", s.name, err))
				permitted, judged := judge(err)
				if judged {
					name, _, _ := strings.Cut(s.name, " ")
					tried[fmt.Sprint(name, " ", permitted)]++
				}
				if judged && permitted != s.want {
					t.Errorf("seed %d, %d, user %d: the kernel: %v, the model: %v\n%s\n%+v\n%+v", seed, n, uid, permitted, s.want, strings.Join(log, "\n"), m, l.Ruleset.Paths)
					return
				}
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Log(tried)
	for _, name := range []string{"read", "list", "write", "make", "mkdir", "truncate", "symlink", "unlink", "rmdir", "link", "exchange", "rename"} {
		for _, permitted := range []bool{true, false} {
			if tried[fmt.Sprint(name, " ", permitted)] < 3 {
				t.Errorf("%s was hardly tried: %v", name, tried)
			}
		}
	}
}

// judge tells a verdict from operations that could not be done at all.
func judge(err error) (permitted, judged bool) {
	switch verdict := (try{do: func() error { return err }}).verdict(); verdict {
	case "y", "n":
		return verdict == "y", true
	}
	return false, false
}
