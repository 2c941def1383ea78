package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlantedLink: a link that a command has made, where a rule names what was not there,
// does not lead the rule anywhere when it runs again.
func TestPlantedLink(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	must(t, os.Mkdir(filepath.Join(dir, "secret"), 0o777))
	writeFile(t, filepath.Join(dir, "secret/f"), "secret")
	policy := strings.ReplaceAll("callgate: 1\ndefault: allow\nfiles:\n  - write: [DIR/build, /dev/null, /dev/tty]\n  - deny: DIR/secret\n  - read: /\n  - deny: \"**\"\n", "DIR", dir)
	for _, link := range []string{"ln -s secret build", "mkdir build; ln -s ../secret build/sub; ln -s build/sub build/f"} {
		must(t, os.RemoveAll(filepath.Join(dir, "build")))
		trial{policy: policy, dir: dir}.run(t, "sh", "-c", link).want(t, 0, "")
		got := trial{policy: policy, dir: dir}.run(t, "sh", "-c", "echo x >build/f; cat build/sub/f build/f/f")
		if text, err := os.ReadFile(filepath.Join(dir, "secret/f")); err != nil || string(text) != "secret" || strings.Contains(got.stdout, "secret") {
			t.Errorf("after %s: %q, %v: %v", link, text, err, got)
		}
		if strings.HasPrefix(link, "ln") && !strings.Contains(got.stderr, "policy.yaml:4:13: a symbolic link leads \""+dir+"/build\" to \""+dir+"/secret\", and is not followed") {
			t.Error(got)
		}
	}
}
