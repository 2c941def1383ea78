package compile

import (
	"testing"

	"callgate/policy"
)

// TestMemory: opens for writing stop where Landlock would let /proc/PID/mem be written, and only
// where they do not stop anyway is it asked where proc(5) is mounted.
func TestMemory(t *testing.T) {
	for text, want := range map[string]struct{ memory, asked bool }{
		"default: allow":                          {false, false},
		"files: [{read: /}]":                      {false, true},
		"files: [{read: /}, {write: /workspace}]": {true, true},
		"files: [{read: /}, {write: /tmp}]":       {false, true},
		"files: [{deny: /etc/x}, {write: /}]":     {false, false},
		"network: []":                             {true, true},
	} {
		p, err := loadText("callgate: 1\n" + text)
		if err != nil {
			t.Fatal(err)
		}
		b, err := policy.Set{p}.Bind(policy.Place{Dir: "/workspace"})
		if err != nil {
			t.Fatal(err)
		}
		asked := false
		host := fakeHost(7)
		host.Procs = func() []string { asked = true; return []string{"/proc", "/workspace/proc"} }
		if h, _ := Enforce(b, host); h.Memory != want.memory || asked != want.asked {
			t.Errorf("%s: memory %v, asked %v", text, h.Memory, asked)
		}
	}
}
