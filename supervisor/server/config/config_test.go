package config

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	c, err := Parse("/etc/callgated/config.yaml", []byte(`callgated: 1
state: data
host: a.b
slots: 4
policies: {ci: ci.yaml}
default: [ci]
ceiling: [builtin:base]
limits: {output: 1MiB, wall-time: 10m}
quotas: {"@staff": {running: 3}}
dead-after: 5s
socket-mode: 0660
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/etc/callgated/data" || c.Policies["ci"] != "/etc/callgated/ci.yaml" || c.Host != "a-b" || c.Mode != 0o660 {
		t.Errorf("%+v", c)
	}
	if c.Limits.Output != 1<<20 || time.Duration(c.Limits.WallTime) != 10*time.Minute || c.Limits.Audit == 0 || c.Quotas["@staff"].Running != 3 {
		t.Errorf("%+v", c)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                         "begins with callgated: 1",
		"slots: 3\n":                               "begins with callgated: 1",
		"callgated: 1\nsocet: a\n":                 `c.yaml:2: unknown key "socet"; did you mean "socket"?`,
		"callgated: 1\nslots: 1\nslots: 2\n":       `c.yaml:3: mapping key "slots" already defined`,
		"callgated: 1\nslots: many\n":              "c.yaml:2:",
		"callgated: 1\nreserve: 3 apples\n":        `c.yaml:2: "3 apples" is no size; write 64MiB`,
		"callgated: 1\nkeep: forever\n":            `c.yaml:2: "forever" is no time`,
		"callgated: 1\nstop: dead\nslots: 0\n":     "c.yaml: slots: 0: from 1 to 10000\nc.yaml: stop:",
		"callgated: 1\nceiling: [site]\n":          `"site" is neither builtin:NAME nor one of policies`,
		"callgated: 1\nlimits: {out: 3}\n":         `unknown key "out"`,
		"callgated: 1\npolicies: {'a/b': c.yaml}":  "policies:",
		"callgated: 1\nlimits: {processes: -1}\n":  "limits: processes: -1: 0 or more",
		"callgated: 1\nlimits: {inodes: -1}\n":     "limits: inodes: -1: 0 or more",
		"callgated: 1\nquota: {queued: -1}\n":      "quota: queued: -1: 0 or more",
		"callgated: 1\nquotas: {ci: {stored: -1}}": "quotas: ci: stored: -1: 0 or more",
	} {
		if _, err := Parse("c.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %s", text, err, want)
		}
	}
}
