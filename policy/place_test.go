package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestExpand: what a person writes of a place means there what it does in patterns.
func TestExpand(t *testing.T) {
	at := Place{Dir: "/build", Home: "/home/me", Env: []string{"A=/a", "B=b"}}
	for name, want := range map[string]string{
		"/x": "/x", "x/~": "x/~", "": "", "~": "/home/me", "~/.ssh": "/home/me/.ssh", "./~": "./~", "$A/x": "/a/x", "${A}b": "/ab", "$PWD/x": "/build/x",
		"$B/x": "b/x", "x/$A": "x/$A",
	} {
		if got, why := at.Expand(name); got != want || why != "" {
			t.Errorf("%s is %s, %s; want %s", name, got, why, want)
		}
	}
	for name, want := range map[string]string{"~you/x": "the own home", "$C/x": "$C is not set", "$/x": "no variable"} {
		if got, why := at.Expand(name); got != "" || !strings.Contains(why, want) {
			t.Errorf("%s is %s, %s", name, got, why)
		}
	}
	if _, why := (Place{}).Expand("~/x"); why != unknownHome {
		t.Errorf("without a home: %s", why)
	}
}

// TestVariables: what a policy makes of a variable leaves what another permits and denies as it is.
func TestVariables(t *testing.T) {
	const host = `files: [{deny: $KEYS}, {write: $A}, {read: /}]`
	caller := []string{"A=/caller", "KEYS=/keys"}
	for _, tt := range []struct{ first, second, denied, written string }{
		{host, `environment: {set: {A: /other}}`, "/other/x", "/caller/x"},
		{`environment: {set: {A: /other}}`, host, "/other/x", "/caller/x"},
		{host + "\nenvironment: {set: {A: /own}}", `environment: {set: {A: /other}}`, "/other/x", "/own/x"},
		{`environment: {set: {A: /other}}`, host + "\nenvironment: {set: {A: /own}}", "/other/x", "/own/x"},
		{host + "\nenvironment: {keep: [KEYS]}", `environment: {set: {A: /other}}`, "/other/x", ""},
		{host, `environment: {keep: []}`, "/keys", "/caller/x"},
		{host, `environment: {set: {KEYS: /other}}`, "/keys", "/caller/x"},
	} {
		set := Set{parse(t, tt.first), parse(t, tt.second)}
		s, err := set.Bind(Place{Dir: "/build", Env: set.Environ(slices.Clone(caller)), Caller: caller})
		if err != nil {
			t.Errorf("%s, %s: %v", tt.first, tt.second, err)
			continue
		}
		if s.File(tt.denied, Write).Action.Permits() || tt.denied == "/keys" && s.File(tt.denied, Read).Action.Permits() {
			t.Errorf("%s, %s: %s is permitted", tt.first, tt.second, tt.denied)
		}
		if tt.written != "" && !s.File(tt.written, Write).Action.Permits() {
			t.Errorf("%s, %s: %s is denied", tt.first, tt.second, tt.written)
		}
	}
	// The command line has the last word.
	set := Set{parse(t, host), parse(t, `environment: {set: {A: /other}}`)}
	s, err := set.Bind(Place{Dir: "/build", Env: []string{"A=/line", "KEYS=/keys"}, Caller: caller})
	if err != nil || !s.File("/line/x", Write).Action.Permits() || s.File("/caller/x", Write).Action.Permits() {
		t.Errorf("a variable of the command line: %v", err)
	}
}
