package policy

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"repo/.git", "repo/a/b", "repo/own", "plain/below", "inner/nested/.git"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{FileName, "repo/" + FileName, "repo/own/" + FileName, "plain/" + FileName, "inner/" + FileName} {
		if err := os.WriteFile(filepath.Join(top, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{
		"repo":         "repo/" + FileName,
		"repo/a/b":     "repo/" + FileName,
		"repo/own":     "repo/own/" + FileName,
		"plain":        "plain/" + FileName,
		"plain/below":  "", // no repository: what is above is someone else's
		"inner/nested": "", // and what is above a repository's root too
	} {
		got, err := Find(filepath.Join(top, dir))
		if want != "" {
			want = filepath.Join(top, want)
		}
		if got != want || err != nil {
			t.Errorf("Find(%s) = %q, %v, want %q", dir, got, err, want)
		}
	}
}
