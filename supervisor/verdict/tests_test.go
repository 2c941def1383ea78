package verdict_test

import (
	"testing"
	"testing/fstest"

	"callgate/policy"
	"callgate/supervisor/verdict"
)

// TestShippedPolicies runs the tests that they come with. What the machine's user has set
// is to make no difference.
func TestShippedPolicies(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	l := loader()
	for _, name := range l.Builtins() {
		results, err := verdict.Tests(l, name, []string{"PATH=/usr/bin:/bin"})
		if err != nil {
			t.Fatal(err)
		}
		if len(results) < 4 {
			t.Errorf("%s has %d tests", name, len(results))
		}
		for _, r := range results {
			if !r.Passed {
				t.Errorf("%v: %s: expected %s, found %v %s", r.Test.Pos, r.Test.Text, r.Test.Expected(), r.Answer.Verdict, r.Answer.Unknown)
			}
		}
	}
}

// TestTestsThatCannotBeTried: nothing passes, and it is said why.
func TestTestsThatCannotBeTried(t *testing.T) {
	l := &policy.Loader{Builtin: fstest.MapFS{
		"none.yaml":  {Data: []byte("callgate: 1\n")},
		"bad.yaml":   {Data: []byte("callgate: 1\ntests: [{call: getpid, expect: allow}, {call: opnat, expect: allow}]\n")},
		"bound.yaml": {Data: []byte("callgate: 1\nfiles: [{deny: $NONE}]\ntests: [{call: getpid, expect: allow}]\n")},
		"guard.yaml": {Data: []byte("callgate: 1\n")}, "guard-names.yaml": {Data: []byte("callgate: 1\n")},
	}}
	for name, want := range map[string]string{
		"none":    "",
		"bad":     `builtin:bad:2:47: unknown system call "opnat"; did you mean "openat"?`,
		"bound":   "builtin:bound:2:16: $NONE is not set, so that this deny rule cannot be held",
		"missing": `builtin:missing: there is no policy "builtin:missing"; expected builtin:bad, builtin:bound, builtin:guard-names, builtin:guard or builtin:none`,
	} {
		results, err := verdict.Tests(l, "builtin:"+name, nil)
		if results != nil || (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
}
