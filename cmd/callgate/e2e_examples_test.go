package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestExamples runs what the examples for CI have a runner do, in a repository whose tests
// reach for what they must not have; then with a policy by which a pull request would
// permit itself everything.
func TestExamples(t *testing.T) {
	const examples = "../../configs/examples/"
	own, err := os.ReadFile(examples + "callgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for runner, audit := range map[string]string{"github-actions.yaml": "audit.ndjson", "gitlab-ci.yaml": "checkout/audit.ndjson"} {
		for policy, token := range map[string]string{string(own): "no token\n", "callgate: 1\ndefault: allow\n": "secret\n"} {
			outside := openFolder(t)
			repository := filepath.Join(outside, "checkout")
			if err := os.MkdirAll(filepath.Join(repository, "deploy"), 0o777); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(repository, ".callgate.yaml"), policy)
			writeFile(t, filepath.Join(repository, "deploy", "token"), "secret\n")
			writeFile(t, filepath.Join(repository, "Makefile"), "test:\n"+
				"\t@cat deploy/token || echo no token\n"+
				"\t@echo >../planted || echo not planted\n"+
				"\t@echo $$JOB_TOKEN >built; cat built\n")
			tr := trial{bare: true, dir: repository, env: []string{"JOB_TOKEN=secret", "RUNNER_TEMP=" + outside, "CI_BUILDS_DIR=" + outside, "CI_JOB_ID=1"}}
			out := tr.run(t, "sh", "-euc", commandsOf(t, examples+runner))
			if want := token + "not planted\n\n"; out.status != 0 || !strings.Contains(out.stdout, want) { // make in make says more around it
				t.Errorf("%s: status %d, printed %q, not %q; %s", runner, out.status, out.stdout, want, out.stderr)
			}
			if log, err := os.ReadFile(filepath.Join(outside, audit)); err != nil || !strings.Contains(string(log), "/planted") {
				t.Errorf("%s: the audit log does not tell what was denied: %v, %s", runner, err, log)
			}
		}
	}
}

// commandsOf are the commands of an example's job, in their order.
func commandsOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var example struct {
		Jobs struct { // GitHub's
			Test struct{ Steps []struct{ Run string } }
		}
		Test struct { // GitLab's
			Script []string
			After  []string `yaml:"after_script"`
		}
	}
	if err := yaml.Unmarshal(text, &example); err != nil {
		t.Fatal(err)
	}
	commands := append(example.Test.Script, example.Test.After...)
	for _, step := range example.Jobs.Test.Steps {
		commands = append(commands, step.Run)
	}
	return strings.Join(commands, "\n")
}
