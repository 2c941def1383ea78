package policy

import (
	"slices"
	"strings"
	"testing"
)

// TestCheckCeiling: a rule that restricts, and begins with what the ceiling does not set itself, is
// told; what permits then permits less, and is not.
func TestCheckCeiling(t *testing.T) {
	for text, want := range map[string]string{
		"files: [{deny: $DATA/x}]":                                                "c.yaml:2:16: in a ceiling $DATA is not set, so that this deny rule cannot be held; jobs' own variables have no say there: write the path, or have the policy say `environment: { set: { DATA: /PATH } }`",
		"files: [{ask: /srv/$DATA}]":                                              "c.yaml:2:15: in a ceiling $DATA is not set, so that this ask rule cannot be held",
		"exec: [{deny: [/x, $DATA]}]":                                             "c.yaml:2:20: in a ceiling $DATA is not set",
		"files: [{write: $DATA}, {deny: [$PWD, \"~\", ./x]}]":                     "",
		"network: [{deny: 'unix:$DATA/s'}]":                                       "c.yaml:2:18: in a ceiling $DATA is not set",
		"files: [{deny: $DATA}]\nenvironment: {keep: [DATA]}":                     "c.yaml:2:16: in a ceiling $DATA is not set",
		"files: [{deny: $DATA}]\nenvironment: {set: {DATA: /srv}}":                "",
		"files: [{deny: $DATA}]\nenvironment: {set: {DATA: srv}}":                 "c.yaml:2:16: in a ceiling $DATA is no absolute path",
		"files: [{deny: $DATA/$MORE}]\nenvironment: {set: {DATA: /srv}}":          "c.yaml:2:16: in a ceiling $MORE is not set, so that this deny rule cannot be held; jobs' own variables have no say there: write the path, or have the policy say `environment: { set: { MORE: /PATH } }`",
		"files: [{deny: $TMPDIR/x}]":                                              "c.yaml:2:16: in a ceiling $TMPDIR is not set, so that this deny rule cannot be held; have the policy say `environment: { private-tmp: true }`",
		"files: [{deny: $TMPDIR/x}]\nenvironment: {private-tmp: true}":            "",
		"files: [{deny: $TMPDIR/x}, {deny: $A}]\nenvironment: {set: {TMPDIR: /}}": "c.yaml:2:35: in a ceiling $A",
	} {
		p, err := (&Loader{}).Parse("c.yaml", []byte("callgate: 1\n"+text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		p.Ceiling = true
		err = CheckCeiling(Set{p}, nil)
		if err == nil != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		at := home
		at.Env = append(slices.Clone(home.Env), "TMPDIR=/tmp/own")
		if _, bound := (Set{p}).Bind(at); err == nil && bound != nil {
			t.Errorf("%s: no job could be started: %v", text, bound)
		}
	}
}

// TestCheckCeilingBeside: a job's other policies set nothing in a ceiling, and may give it a private
// TMPDIR there.
func TestCheckCeilingBeside(t *testing.T) {
	beside, err := (&Loader{}).Parse("b.yaml", []byte("callgate: 1\nenvironment: {private-tmp: true, set: {DATA: /srv}}"))
	if err != nil {
		t.Fatal(err)
	}
	for text, holds := range map[string]bool{"$TMPDIR/x": true, "$DATA": false} {
		p, err := (&Loader{}).Parse("c.yaml", []byte("callgate: 1\nfiles: [{deny: "+text+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		p.Ceiling = true
		at := home
		at.Env = append(slices.Clone(home.Env), "TMPDIR=/tmp/own", "DATA=/srv")
		_, bound := (Set{beside, p}).Bind(at)
		if err := CheckCeiling(Set{p}, Set{beside}); err == nil != holds || bound == nil != holds {
			t.Errorf("%s: %v, and a job: %v", text, err, bound)
		}
	}
}
