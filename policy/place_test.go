package policy

import (
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
