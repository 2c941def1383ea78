package handover

import (
	"bytes"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestReadResult: what was written is read, and what callgate does not write is
// not taken from whoever wrote it.
func TestReadResult(t *testing.T) {
	var file bytes.Buffer
	want := &Result{Ran: true, Result: client.Result{Cause: client.BySignal, Status: 137, Signal: "SIGKILL", Message: strings.Repeat("é", 20000)}}
	if err := WriteResult(&file, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResult(&file)
	if err != nil || len(got.Message) > maxMessage+3 || got.Signal != want.Signal || !got.Ran {
		t.Errorf("%.200v, %v", got, err)
	}
	for text, whole := range map[string]bool{
		`{"cause":"exit","status":0}`: true,
		`{"cause":"exit","status":0,"message":"` + strings.Repeat("m", 60000) + `"}`:   true,
		`{"cause":"exit","status":0,"message":"` + strings.Repeat("m", 9000000) + `"}`: false,
		strings.Repeat("\x00", MaxResult*2):                                            false,
		`{"cause":"lost","status":0}`:                                                  false,
		`{"cause":"","status":0}`:                                                      false,
		`{"cause":"exit","status":256}`:                                                false,
		`{"cause":"exit","status":-1}`:                                                 false,
		`{"cause":"signal","signal":"SIGNONE"}`:                                        false,
		`{"cause":"limit","limit":"<b>"}`:                                              false,
		`{"cause":"exit","StdoutBytes":-1}`:                                            false,
		`{"cause":"exit","Usage":{"processes":-5}}`:                                    false,
		`{"cause":"exit","Usage":{"wall_seconds":-0.5}}`:                               false,
	} {
		r, err := ReadResult(strings.NewReader(text + "\n"))
		if (r != nil) != whole || (err == nil) != whole || whole && len(r.Message) > maxMessage+3 {
			t.Errorf("%.60s: %.100v, %v", text, r, err)
		}
	}
	if r, err := ReadResult(strings.NewReader(`{"cause":"exit"`)); r != nil || err != nil {
		t.Errorf("half a result: %v, %v", r, err)
	}
}
