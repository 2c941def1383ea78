package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestRead: nothing of a body is dropped or taken for something else, and what is wrong
// is told by its place, without a word of Go's.
func TestRead(t *testing.T) {
	for text, want := range map[string]struct{ field, detail string }{
		`{"argv":["a"],"ARGV":["b"]}`:                        {"/ARGV", "there is no such field"},
		`{"Argv":["b"]}`:                                     {"/Argv", "there is no such field"},
		`{"argv":["a"],"argv":["b"]}`:                        {"/argv", "is there twice"},
		`{"argv":["a"],"\u0061rgv":["b"]}`:                   {"/argv", "is there twice"},
		`{"env":{"A":"1","A":"2"}}`:                          {"/env/A", "is there twice"},
		`{"env":{"A":"1","a":"2"}}`:                          {},
		`{"env":{"a/b~":1}}`:                                 {"/env/a~1b~0", "expected text"},
		`{"files":[{"path":"a"},{"path":"b","Text":"c"}]}`:   {"/files/1/Text", "there is no such field"},
		`{"policies":[{"name":"a","files":{"x":[]}}]}`:       {"/policies/0/files/x", "expected text"},
		`{"argv":["echo","` + "\xff\xfe" + `"]}`:             {"", "not UTF-8"},
		`{"argv":["\ud800"]}`:                                {"", "half of a surrogate pair"},
		`{"argv":["\ud800\u0061"]}`:                          {"", "half of a surrogate pair"},
		`{"argv":["\ude00"]}`:                                {"", "half of a surrogate pair"},
		`{"argv":["\ud83d\ude00 \\ud800 \ufffd \u00e9 � "]}`: {},
		`{"limits":{"processes":0}}`:                         {"/limits/processes", "more than 0"},
		`{"limits":{"wall_seconds":0.0}}`:                    {"/limits/wall_seconds", "more than 0"},
		`{"limits":{"processes":1,"wall_seconds":1e-1}}`:     {},
		`{"limits":{"processes":1.5}}`:                       {"/limits/processes", "expected a whole number"},
		`{"limits":{"processes":1e30}}`:                      {"/limits/processes", "expected a whole number"},
		`{"limits":{"wall_seconds":"1"}}`:                    {"/limits/wall_seconds", "expected a number"},
		`{"limits":{"wall_seconds":1e999}}`:                  {"/limits/wall_seconds", "expected a number"},
		`{"limits":[]}`:                                      {"/limits", "expected an object"},
		`{"argv":"a"}`:                                       {"/argv", "expected a list"},
		`{"argv":null}`:                                      {"/argv", "expected a list"},
		`{"argv":["a",null]}`:                                {"/argv/1", "expected text"},
		`{"copy":1}`:                                         {"/copy", "expected true or false"},
		`{"stdin":{"base64":"%"}}`:                           {"/stdin/base64", "expected base64"},
		`{"stdin":{"base64":"AA==","open":false}}`:           {},
		`[]`:                               {"", "expected an object"},
		`null`:                             {"", "expected an object"},
		``:                                 {"", "not JSON"},
		`{`:                                {"", "not JSON"},
		`{} {}`:                            {"", "not JSON"},
		strings.Repeat("[", 1e6):           {"", "not JSON"},
		`{"a":` + strings.Repeat("[", 1e4): {"", "not JSON"},
		`{"argv":["a"], "retries": 1, "labels": {"a": "b"}}`: {},
	} {
		err := Read([]byte(text), new(client.Request))
		var p *client.Problem
		switch {
		case want.detail == "" && err == nil:
		case !errors.As(err, &p) || want.detail == "" || p.Field != want.field || !strings.Contains(p.Detail, want.detail):
			t.Errorf("%.100s: %v, not %v", text, err, want)
		case strings.Contains(p.Detail, "Go ") || strings.Contains(p.Detail, "client."):
			t.Errorf("%.100s: %v", text, err)
		}
	}
	var p *client.Problem
	if err := Read([]byte(`{"arg":[]}`), new(client.Request)); !errors.As(err, &p) || p.Hint != `did you mean "argv"?` {
		t.Errorf("%+v", p)
	}
}

// FuzzRead: what is taken is taken again as it was understood.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"argv":["a","\ud83d\ude00"],"env":{"A":"1"},"stdin":{"text":"x"},"limits":{"processes":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, second := client.Request{Argv: []string{}}, client.Request{}
		if Read(text, &first) != nil {
			return
		}
		once, err := json.Marshal(&first)
		if err == nil {
			err = Read(once, &second)
		}
		if twice, _ := json.Marshal(&second); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q becomes %q, then %q: %v", text, once, twice, err)
		}
	})
}
