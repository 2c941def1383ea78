package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestMayMove(t *testing.T) {
	const usual = "files: [{deny: ['~/.ssh', '**/.env']}, {read: /}, {write: [./build, /tmp, /tmp/x/y]}]"
	for _, tt := range []struct {
		policy, from, to string
		want             bool
	}{
		{"", "/a", "/b", true},
		{"syscalls: []", "/a", "/b", true},
		{"files: []", "/a", "/b", true},
		{usual, "/tmp/a", "/tmp/b", true},
		{usual, "/etc/p/build/a", "/tmp/b", true},
		{usual, "/tmp/a", "/srv/b", false},
		{usual, "/srv/a", "/tmp/b", false},
		{usual, "/home/u/.ssh", "/tmp/b", false},
		{usual, "/home/u", "/tmp/b", false},
		{usual, "/tmp/b", "/home/u", false},
		{usual, "/tmp/.env", "/tmp/b", false},
		{usual, "/tmp/b", "/tmp/.env", false},
		// What only depends on names beneath moves along; what begins above does not, and
		// nothing is made beneath it.
		{"files: [{deny: '**/a/b'}, {write: /}]", "/x", "/y", true},
		{"files: [{deny: '**/a/b'}, {write: /}]", "/a", "/y", false},
		{"files: [{deny: '**/a/b'}, {write: /}]", "/y", "/a", false},
		{"files: [{read: /w/hooks}, {deny: /w/hooks}, {write: /}]", "/y", "/w", false},
		{"files: [{read: /w/hooks}, {deny: /w/hooks}, {write: /}]", "/y/w", "/y/v", true},
		{"files: [{ask: /w/hooks}, {write: /}]", "/y", "/w", false},
		{"files: [{read: /w/hooks}, {deny: [/w/hooks, /v/hooks]}, {write: /}]", "/v", "/w", false},
		{"files: [{deny: '/x/**/b'}, {write: /}]", "/x/c", "/x/d", true},
		{"files: [{deny: '/x/**/b'}, {write: /}]", "/x/c", "/d", false},
		{"files: [{write: '/x/*/out'}]", "/x/a", "/x/b", true},
		{"files: [{write: '/x/*/out'}]", "/x/a", "/y/b", false},
		{"files: [{write: '/x/*/out'}]", "/y/a", "/x/b", false},
		// Each policy must agree, and each section.
		{"exec: [{allow: /usr}]", "/a", "/usr/b", false},
		{"exec: [{allow: /usr}]", "/usr/b", "/a", true},
		{"network: [{connect: 'unix:/run/*'}]", "/a", "/run", false},
		{"network: [{connect: 'unix:/run/*'}]", "/run", "/a", true},
		{"network: [{deny: 'unix:/a'}, {connect: AF_UNIX}, {deny: 'unix:/b'}]", "/a", "/b", false},
		// What somebody is asked about is not to be had without.
		{"files: [{ask: /a}, {write: /}]", "/a/b", "/c", false},
		{"files: [{ask: /a}, {write: /}]", "/c", "/a/b", true},
		{"files: [{ask: /a}, {write: /}]", "/a/b", "/a/c", true},
		{"files: [{ask: /a}, {ask: /b}]", "/a/b", "/b/a", false},
		{"default: ask\nfiles: [{write: /b}]", "/a", "/c", true},
		{"default: ask\nfiles: [{write: /b}]", "/a", "/b/c", false},
		{usual, "a", "/tmp", false},
		{usual, "", "", false},
	} {
		if got := bind(t, tt.policy).MayMove(tt.from, tt.to); got != tt.want {
			t.Errorf("%s\n%s to %s: %v", tt.policy, tt.from, tt.to, got)
		}
	}
}

// FuzzMayMove: where a folder may move, no name beneath gets freer, and none that may be
// written comes to where it may not be.
func FuzzMayMove(f *testing.F) {
	fuzzOrTry(f, 3000, func(t *testing.T, r *rand.Rand) {
		set := Set{policyOf(t, randomRules(r, r.IntN(2) == 0), randomAction(r))}
		if r.IntN(4) == 0 {
			set = append(set, policyOf(t, randomRules(r, false), randomAction(r)))
		}
		s, err := set.Bind(Place{})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			from, to := randomPath(r, 4, nameWords...), randomPath(r, 4, nameWords...)
			if !s.MayMove(from, to) {
				continue
			}
			for range 30 {
				beneath := "/" + pick(r, nameWords...) + strings.TrimSuffix(randomPath(r, 3, nameWords...), "/")
				under := func(dir string) string { return strings.TrimSuffix(dir, "/") + beneath }
				for a := Look; a <= Write; a++ {
					was, is := s.File(under(from), a), s.File(under(to), a)
					if is.Action.Permits() && was.Action.Restricts() && (is.Action != Ask || was.Action != Ask) {
						t.Fatalf("%s to %s: %v %s is %v, was %v\n%s", from, to, a, beneath, is, was, set[0])
					}
					if a == Write && was.Action.Permits() && !is.Action.Permits() {
						t.Fatalf("%s to %s: %s is made where %v says no\n%s", from, to, beneath, is, set[0])
					}
				}
			}
		}
	})
}

// TestMayMoveIsOftenTrue: a proof that never succeeds proves nothing.
func TestMayMoveIsOftenTrue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	may, free := 0, 0
	for range 2000 {
		s, err := Set{policyOf(t, randomRules(r, true), Deny)}.Bind(Place{})
		if err != nil {
			t.Fatal(err)
		}
		from, to := randomPath(r, 4, nameWords...), randomPath(r, 4, nameWords...)
		if gainless(s, from, to) {
			free++
			if s.MayMove(from, to) {
				may++
			}
		}
	}
	if may*4 < free*3 {
		t.Errorf("%d of %d harmless renames", may, free)
	}
	t.Logf("%d of %d harmless renames", may, free)
}

// gainless tries all names beneath, three deep.
func gainless(s *Sections, from, to string) bool {
	names := []string{""}
	for range 3 {
		var next []string
		for _, n := range names {
			for _, w := range nameWords[:5] {
				next = append(next, fmt.Sprintf("%s/%s", n, w))
			}
		}
		names = next
		for _, n := range names {
			for a := Look; a <= Write; a++ {
				if s.File(strings.TrimSuffix(to, "/")+n, a).Action.Permits() && !s.File(strings.TrimSuffix(from, "/")+n, a).Action.Permits() {
					return false
				}
			}
		}
	}
	return true
}
