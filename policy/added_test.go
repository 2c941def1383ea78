package policy

import (
	"strings"
	"testing"
)

func loadAdded(t *testing.T, text string, added ...Added) (*Policy, error) {
	t.Helper()
	l := Loader{ReadFile: func(string) ([]byte, error) { return []byte("callgate: 1\n" + text), nil }}
	set, err := l.LoadAdded(added, "p.yaml")
	if err != nil {
		return nil, err
	}
	return set[0], nil
}

// TestLoadAdded: rules come first, in their order, and only add to the sections that are
// there.
func TestLoadAdded(t *testing.T) {
	read := Added{From: "--read", Section: Files, Verb: "read", What: "/a"}
	deny := Added{From: "--deny", Section: Files, Verb: "deny", What: "/a/b"}
	connect := Added{From: "--connect", Section: Network, Verb: "connect", What: "10.0.0.1:80"}
	bind := Added{From: "--bind", Section: Network, Verb: "bind", What: "unix:/s"}
	for _, c := range []struct {
		text  string
		added []Added
		want  string // the rules, or the mistake
	}{
		{"files: [{read: /c}]", []Added{deny, read}, `--deny deny: "/a/b"|--read read: "/a"|p.yaml:2 read: "/c"|open`},
		{"files: [{read: /c}]\nsyscalls: []", []Added{read}, `--read read: "/a"|p.yaml:2 read: "/c"`},
		{"network: []", []Added{connect}, `--connect connect: "10.0.0.1:80"|open`},
		{"network: []\nsyscalls: [{deny: socket}]", []Added{connect},
			`--connect allow: socket, args: {family: [AF_INET, AF_INET6]}|--connect allow: connect|p.yaml:3 deny: socket|--connect connect: "10.0.0.1:80"`},
		{"network: []\nsyscalls: []", []Added{bind},
			`--bind allow: socket, args: {family: AF_UNIX}|--bind allow: [bind, listen, accept, accept4]|--bind bind: "unix:/s"`},
		{"syscalls: []", []Added{read}, "--read: p.yaml has no rules on files"},
		{"default: allow\nsyscalls: []", []Added{read}, "--read: p.yaml has no rules on files"},
		{"syscalls: []", []Added{deny}, "--deny: p.yaml has no rules on files"},
		{"default: allow\nsyscalls: []", []Added{deny}, `--deny deny: "/a/b"`},
		{"files: []", []Added{connect}, "--connect: p.yaml has no rules on network"},
		{"files: []", []Added{{From: "--read", Section: Files, Verb: "read", What: "~x"}}, `--read: "~x": ~ stands for the own home only`},
		{"network: []", []Added{{From: "--connect", Section: Network, Verb: "connect", What: "::1:80"}}, "--connect: ::1:80 is an address without a port; write [::1]:80"},
		{"network: []", []Added{{From: "--bind", Section: Network, Verb: "bind", What: "[::1:80]"}}, `--bind bind: "[::1:80]"|open`},
		{"files: [", []Added{read}, "p.yaml:"},
		{"file: [/a]", []Added{read}, "p.yaml:2:1: unknown key"},
	} {
		p, err := loadAdded(t, c.text, c.added...)
		if err != nil {
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%q: %v, want %s", c.text, err, c.want)
			}
			continue
		}
		var got []string
		for sec := Syscalls; sec <= Network; sec++ {
			rules, _ := p.Section(sec)
			for _, r := range rules {
				got = append(got, r.Pos.Place()+" "+r.Text())
			}
		}
		if p.Open {
			got = append(got, "open")
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%q: %s, want %s", c.text, text, c.want)
		}
	}
}
