package attack

import (
	"reflect"
	"strings"
	"testing"
)

func TestAttacksHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Attacks() {
		if a.Name == "" || strings.ContainsAny(a.Name, " \t\n") || seen[a.Name] {
			t.Errorf("%q is no name, or that of two attacks", a.Name)
		}
		if a.What == "" || a.permitted == nil || a.attempt == nil {
			t.Errorf("%s is not whole", a.Name)
		}
		seen[a.Name] = true
	}
}

func TestReadReport(t *testing.T) {
	text := "began\nfailed openat EACCES\nfailed openat EACCES\nfailed read errno 512\nfound secret-A\ndid kill\ndid kill\nkilled SIGSYS\ntries 30 7\nended\n"
	want := &Report{Began: true, Ended: true, Found: "secret-A", Did: []string{"kill"}, Killed: "SIGSYS", Tries: 30, Made: 7,
		Failed: []Failure{{"openat", "EACCES"}, {"read", "errno 512"}}}
	if got := ReadReport(text); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := ReadReport("beg"); got.Began || got.Ended || got.Said != "beg" {
		t.Errorf("a line that was cut: %+v", got)
	}
}

// TestHole: the name leads to the file by way of the folder, and is the folder's up to one
// byte, which is flipped at an address that 4 divides.
func TestHole(t *testing.T) {
	mem, err := mapMemory()
	if err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{
		"/":           "/./decoys/secret",
		"/a":          "/a/../decoys/secret",
		"/ab":         "/ab/../decoys/secret",
		"/abc/d":      "/abc/d/../../decoys/secret",
		"/abcd/ef/g/": "/abcd/ef/g/../../../decoys/secret",
	} {
		a := &attacker{mem: mem}
		address, flip := a.hole(folder, "/decoys/secret")
		flip()
		if got, _, _ := strings.Cut(string(mem.at(address, 64)), "\x00"); got != want {
			t.Errorf("%s: %q", folder, got)
		}
	}
}
