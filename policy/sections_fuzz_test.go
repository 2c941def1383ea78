package policy

import (
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
)

// matches is the language's own words on a pattern, as slow as they come: it
// matches what its components match, and all beneath.
func matches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return true
	case pattern[0] == "**":
		return matches(pattern[1:], name) || len(name) > 0 && matches(pattern, name[1:])
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(strings.ReplaceAll(pattern[0], "[!", "[^"), name[0])
	if err != nil {
		panic(err)
	}
	return ok && matches(pattern[1:], name[1:])
}

func components(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// ruleText is a generated rule: its verb and its patterns.
type ruleText struct {
	verb     string
	patterns []string
}

// speaks says whether the rule speaks of an access: the spec's words, apart
// from the code's tables.
func (r *ruleText) speaks(a Access) bool { return r.verb != "read" || a != Write }

// refVerdict is the action on an access, tried rule by rule.
func refVerdict(rules []ruleText, def Action, name string, a Access) Action {
	action := def
	if a == Look {
		action = Allow
	}
	for i := range rules {
		r := &rules[i]
		for _, p := range r.patterns {
			if !r.speaks(a) || !matches(components(p), components(name)) {
				continue
			}
			switch {
			case r.verb == "deny":
				return Deny
			case r.verb == "kill":
				return Kill
			case r.verb == "log" && a != Look:
				return Log
			case r.verb == "ask" && a != Look:
				return Ask
			}
			return Allow
		}
	}
	return action
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func randomPath(r *rand.Rand, most int, from ...string) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString("/" + pick(r, from...))
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

var (
	nameWords    = []string{"a", "b", "ab", "ba", "c", ".a", "é"}
	patternWords = []string{"a", "b", "ab", "c", "*", "a*", "*b", "?", "[ab]", "[!a]", "**", "**", `\a`, "*a*b*"}
)

// randomRules makes rules from few names, so that they meet.
func randomRules(r *rand.Rand, literal bool) []ruleText {
	words := patternWords
	if literal {
		words = []string{"a", "b", "ab", "ba", "c", "a", "b", "**"}
	}
	rules := make([]ruleText, r.IntN(8))
	for i := range rules {
		rules[i].verb = pick(r, "read", "write", "write", "ask", "deny", "log", "kill")
		for range 1 + r.IntN(3) {
			rules[i].patterns = append(rules[i].patterns, randomPath(r, 4, words...))
		}
	}
	return rules
}

func policyOf(t testing.TB, rules []ruleText, def Action) *Policy {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "callgate: 1\ndefault: %v\nfiles:\n", def)
	for _, r := range rules {
		fmt.Fprintf(&b, "  - %s: ['%s']\n", r.verb, strings.Join(r.patterns, "', '"))
	}
	if len(rules) == 0 {
		b.WriteString("  []\n")
	}
	p, err := (&Loader{}).Parse("/etc/p.yaml", []byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return p
}

func randomAction(r *rand.Rand) Action {
	return []Action{Allow, Log, Ask, Deny, Kill}[r.IntN(5)]
}

// fuzzOrTry runs a property on many seeds, more of them under go test -fuzz.
func fuzzOrTry(f *testing.F, tries uint64, property func(t *testing.T, r *rand.Rand)) {
	for seed := range tries {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { property(t, rand.New(rand.NewPCG(seed, 0))) })
}

// FuzzTreeIsReference: the tree gives what trying rule by rule gives, and so
// does a policy printed and loaded anew. No rule decides that Lint says never
// does.
func FuzzTreeIsReference(f *testing.F) {
	fuzzOrTry(f, 3000, func(t *testing.T, r *rand.Rand) {
		rules, def := randomRules(r, false), randomAction(r)
		p := policyOf(t, rules, def)
		again, err := (&Loader{}).Parse("/elsewhere/q.yaml", []byte(p.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, p)
		}
		a, err1 := Set{p}.Bind(Place{})
		b, err2 := Set{again}.Bind(Place{})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		dead := deadRules(p)
		for range 40 {
			name := randomPath(r, 7, nameWords...)
			for access := Look; access <= Write; access++ {
				want := refVerdict(rules, def, name, access)
				v := a.File(name, access)
				if v.Action != want {
					t.Fatalf("%v %s: got %v, want %v\n%s", access, name, v, want, p)
				}
				if v.Rule != nil && dead[v.Rule.Pos] {
					t.Fatalf("%v %s: %v never decides\n%s", access, name, v.Rule, p)
				}
				if got := b.File(name, access).Action; got != want {
					t.Fatalf("%v %s as printed: got %v, want %v\n%s", access, name, got, want, p)
				}
			}
		}
	})
}

// deadRules are the places of files rules that Lint finds never to decide.
func deadRules(p *Policy) map[Position]bool {
	l := &linter{policy: p}
	l.reachSections()
	dead := map[Position]bool{}
	for _, w := range l.found {
		dead[w.Pos] = true
	}
	return dead
}

// TestGlobIsPathMatch compares globs with path.Match on names of one
// component.
func TestGlobIsPathMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200000 {
		var glob, name strings.Builder
		for range r.IntN(7) {
			glob.WriteString(pick(r, "a", "b", "é", "*", "?", "[ab]", "[!b]", "[a-c]", `\*`, "[é-ü]", `[\]x]`, "*"))
		}
		for range r.IntN(7) {
			name.WriteString(pick(r, "a", "b", "c", "é", "ü", "*", "]", "\xff", "x"))
		}
		want, err := path.Match(strings.ReplaceAll(glob.String(), "[!", "[^"), name.String())
		if why, _ := checkGlob(glob.String()); why != "" || err != nil {
			t.Fatalf("%q: %s, %v", glob.String(), why, err)
		}
		if got := globMatch(glob.String(), name.String()); got != want {
			t.Fatalf("%q on %q: %v", glob.String(), name.String(), got)
		}
	}
}

// TestFileAllocatesNothing and costs the same for many rules as for few, told
// by its benchmark.
func TestFileAllocatesNothing(t *testing.T) {
	s := bind(t, "files: [{deny: ['**/.env', '**/a/**/b']}, {read: [/usr, '/x/*.y']}]\nexec: [{allow: /usr}]")
	if n := testing.AllocsPerRun(100, func() {
		s.File("/usr/lib/a/b/c.so", Read)
		s.File("/home/u/x", Write)
		s.Program("/usr/bin/ls")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFile(b *testing.B) {
	for _, n := range []int{10, 100, 10000} {
		var text strings.Builder
		text.WriteString("files:\n  - deny: ['**/.env', '**/.git/config']\n")
		for i := range n - 1 {
			fmt.Fprintf(&text, "  - read: /srv/data/d%d/f%d\n", i%100, i)
		}
		s := bind(b, text.String())
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.File("/srv/data/d7/f7/x/y", Read)
			}
		})
	}
}

// TestManyDeepGlobsEndSoon takes what would be exponential for a search that
// tries all ways.
func TestManyDeepGlobsEndSoon(t *testing.T) {
	s := bind(t, "files: [{read: '/"+strings.Repeat("**/a/", 100)+"b'}]")
	if v := s.File(strings.Repeat("/a", 2000), Read); v.Action != Deny {
		t.Error(v)
	}
}
