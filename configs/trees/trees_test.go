package trees

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"callgate/configs"
	"callgate/policy"
)

var update = flag.Bool("update", false, "write the trees anew")

// TestUpToDate fails for a tree that is not its policy's.
func TestUpToDate(t *testing.T) {
	entries, err := configs.Builtin.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := configs.Builtin.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		want, err := policy.AppendTree(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		file := strings.TrimSuffix(e.Name(), ".yaml") + ".tree"
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := Files.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what is in %s (error %v); to make it anew: go test ./configs/trees -update", file, e.Name(), err)
		}
	}
}

// TestTreesSayTheSame: a policy is the same whether its tree or its text is
// read. The trees are those of the folder, which -update may just have written.
func TestTreesSayTheSame(t *testing.T) {
	text := &policy.Loader{Builtin: configs.Builtin}
	tree := &policy.Loader{Builtin: configs.Builtin, Trees: os.DirFS(".")}
	for _, name := range text.Builtins() {
		want, err := text.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tree.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: as a tree it says something else", name)
		}
	}
}
