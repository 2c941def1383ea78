package work

import (
	"bytes"
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
	if err := f.Collect(&tarred, []string{"**"}, 64<<10); err != nil {
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
