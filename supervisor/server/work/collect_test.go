package work

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestCollectBounds: neither many empty files nor their names get past the quota.
func TestCollectBounds(t *testing.T) {
	dir := t.TempDir()
	for n := range 100 {
		name := filepath.Join(dir, fmt.Sprintf("%03d-%s", n, strings.Repeat("x", 200)))
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tarred bytes.Buffer
	if err := f.Collect(t.Context(), &tarred, []string{"**"}, 64<<10); err != nil {
		t.Fatal(err)
	}
	if n := tarred.Len(); n > 80<<10 {
		t.Errorf("%d bytes, with a quota of 65536", n)
	}
	var list []client.Collected
	if err := Collected(&tarred, func(c client.Collected, _ io.Reader) bool { list = append(list, c); return false }); err != nil {
		t.Fatal(err)
	}
	if n := len(list); n < 10 || n > 50 || !strings.Contains(list[n-1].Missing, "all that comes after it") || list[n-2].Missing != "" {
		t.Errorf("%d files, the last %+v", n, list[n-1])
	}
}

// TestCollectEnds: when its time is up, what was collected until then is there.
func TestCollectEnds(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var tarred bytes.Buffer
	if err := f.Collect(ctx, &first{&tarred, func() { cancel(enough) }}, []string{"**"}, 64<<10); !errors.Is(err, enough) {
		t.Errorf("%v, not %v", err, enough)
	}
	got := ""
	if err := Collected(&tarred, func(c client.Collected, _ io.Reader) bool { got += c.Path; return false }); err != nil || got != "a" {
		t.Errorf("collected: %q, %v", got, err)
	}
}

// first does something when it is written to.
type first struct {
	io.Writer
	do func()
}

func (f *first) Write(p []byte) (int, error) {
	f.do()
	return f.Writer.Write(p)
}
