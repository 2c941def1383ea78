package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAtOnce(t *testing.T) {
	var done, now, most atomic.Int64
	err := atOnce(3, 20, func() error {
		defer now.Add(-1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		done.Add(1)
		return nil
	})
	if err != nil || done.Load() != 20 || most.Load() > 3 {
		t.Errorf("%d were done, %d at once, %v", done.Load(), most.Load(), err)
	}
	if err := atOnce(2, 5, func() error { return errors.New("broken") }); err == nil || err.Error() != "broken" {
		t.Errorf("what fails gives %v", err)
	}
}

func TestJudged(t *testing.T) {
	said := `[{"status":"Accepted","exitStatus":0}]`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, said) }))
	defer srv.Close()
	if err := judged(srv.Client(), srv.URL, nil); err != nil {
		t.Error(err)
	}
	for _, said = range []string{`[{"status":"Time Limit Exceeded"}]`, `[]`, `{"error":"no"}`} {
		if err := judged(srv.Client(), srv.URL, nil); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%s gives %v", said, err)
		}
	}
}

// TestDaemons: what there is not is left out, with the reason, and what does not
// start is not tried twice.
func TestDaemons(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	tools := &tools{dir: t.TempDir(), callgate: t.TempDir() + "/callgate", daemons: map[string]started{}}
	if _, err := tools.toJudge(); !errors.As(err, new(absent)) || !strings.Contains(err.Error(), "-go-judge") {
		t.Errorf("without a go-judge: %v", err)
	}
	if _, err := tools.toCallgated("builtin:default"); !errors.As(err, new(absent)) {
		t.Errorf("without a callgated: %v", err)
	}
	if len(tools.daemons) != 2 {
		t.Errorf("%v", tools.daemons)
	}
	d := &daemon{files: t.TempDir()}
	d.stop()
	if _, err := os.Stat(d.files); err == nil {
		t.Error("a daemon's folder is left")
	}
}
