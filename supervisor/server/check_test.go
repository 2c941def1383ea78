package server

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestWeight: a request whose record would be large is refused, and told where.
func TestWeight(t *testing.T) {
	many := map[string]string{}
	for len(many) <= labelsMost {
		many["l"+strings.Repeat("x", len(many))] = ""
	}
	for field, req := range map[string]client.Request{
		"/argv/1":          {Argv: []string{"true", strings.Repeat("x", stringMost+1)}},
		"/argv/0":          {Argv: []string{strings.Repeat("x", 10<<20)}},
		"/argv/7":          {Argv: slices.Repeat([]string{strings.Repeat("x", stringMost)}, 20)},
		"/env":             {Argv: []string{"true"}, Env: map[string]string{"A": strings.Repeat("x", stringMost)}},
		"/labels":          {Argv: []string{"true"}, Labels: many},
		"/requires/a":      {Argv: []string{"true"}, Requires: map[string]string{"a": strings.Repeat("x", labelMost+1)}},
		"/policies":        {Argv: []string{"true"}, Policies: make([]client.Policy, listMost+1)},
		"/policies/0/name": {Argv: []string{"true"}, Policies: []client.Policy{{Name: strings.Repeat("x", nameMost+1)}}},
		"/folder":          {Argv: []string{"true"}, Folder: "/" + strings.Repeat("x", nameMost)},
		"/collect/0":       {Argv: []string{"true"}, Collect: []string{strings.Repeat("x", nameMost+1)}},
	} {
		var p *client.Problem
		if err := check(&req); !errors.As(err, &p) || p.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if err := check(&client.Request{Argv: slices.Repeat([]string{strings.Repeat("x", stringMost)}, 7)}); err != nil {
		t.Error(err)
	}
}

// TestStdin: no input is dropped without a word.
func TestStdin(t *testing.T) {
	text, binary := client.Content{Text: "a"}, client.Content{Base64: []byte{1}}
	for _, tt := range []struct {
		in   client.Stdin
		good bool
	}{
		{client.Stdin{Open: true}, true}, {client.Stdin{Content: text}, true}, {client.Stdin{Content: binary}, true}, {client.Stdin{}, true},
		{client.Stdin{Content: text, Open: true}, false}, {client.Stdin{Content: binary, Open: true}, false},
		{client.Stdin{Content: client.Content{Text: "a", Base64: []byte{1}}}, false},
	} {
		err := check(&client.Request{Argv: []string{"cat"}, Stdin: &tt.in})
		var p *client.Problem
		if tt.good != (err == nil) || err != nil && (!errors.As(err, &p) || p.Field != "/stdin") {
			t.Errorf("%+v: %v", tt.in, err)
		}
	}
}

// TestLeastLimits: a limit with which no command starts is refused when it is asked for.
func TestLeastLimits(t *testing.T) {
	for field, l := range map[string]client.Limits{
		"/limits/memory_bytes": {MemoryBytes: 1<<20 - 1}, "/limits/open_files": {OpenFiles: 3}, "": {MemoryBytes: 1 << 20, OpenFiles: 4, FileBytes: 1},
	} {
		err := check(&client.Request{Argv: []string{"true"}, Limits: &l})
		var p *client.Problem
		if (field == "") != (err == nil) || err != nil && (!errors.As(err, &p) || p.Field != field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestHead: what is kept in memory of a command is little, and shows that it is.
func TestHead(t *testing.T) {
	for _, tt := range []struct {
		argv, want []string
		cut        bool
	}{
		{[]string{"echo", "a"}, []string{"echo", "a"}, false},
		{[]string{"echo", "abcdefgh"}, []string{"echo", "abcd..."}, true},
		{[]string{"echo", "abcé", "x"}, []string{"echo", "abc..."}, true},
		{[]string{"abcdefghijk"}, []string{"abcdefghi..."}, true},
	} {
		if got, cut := head(tt.argv, 10); !slices.Equal(got, tt.want) || cut != tt.cut {
			t.Errorf("%q: got %q %v, want %q", tt.argv, got, cut, tt.want)
		}
	}
}
