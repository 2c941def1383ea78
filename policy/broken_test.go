package policy

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestBrokenPolicies has each testdata/broken/NAME.yaml give exactly the
// mistakes in NAME.golden.
func TestBrokenPolicies(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d broken policies, %v", len(files), err)
	}
	loader := &Loader{Builtin: fstest.MapFS{"default.yaml": {Data: []byte("callgate: 1\n")}, "build.yaml": {Data: []byte("callgate: 1\n")}}}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			p, err := loader.Load(file)
			var mistakes Mistakes
			if p != nil || !errors.As(err, &mistakes) {
				t.Fatalf("policy %v, error %v", p, err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/broken/", "") + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
