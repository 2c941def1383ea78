package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
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

// TestNetworkExamples: under each policy with sockets that a user may copy, curl reaches what
// the policy says, and nothing of it is told. libc's own sockets stay base's matter, and quiet.
func TestNetworkExamples(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	t.Cleanup(server.Close)
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ports := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	found := 0
	for _, file := range append(files, "../../README.md", "../../docs/policy.md") {
		for _, policy := range examplesIn(t, file) {
			found++
			policy = ports.ReplaceAllString(policy, server.Listener.Addr().String())
			got := trial{policy: policy, flags: []string{"--ask", "/bin/true"}}.run(t, lookPath(t, "curl"), "-sS", "--noproxy", "*", server.URL)
			if got.status != 0 || got.stdout != "hello" || got.stderr != "" {
				t.Errorf("%s has\n%s\nunder which curl comes to %v", file, policy, got)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d examples were found", found)
	}
}

// examplesIn are the policies in a text, indented or in comments, that permit sockets.
func examplesIn(t *testing.T, file string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile(`(?m)^#? {4,}callgate: 1\n(#? {4,}.*\n)+`).FindAllString(string(text), -1) {
		indent := block[:strings.Index(block, "callgate")]
		block = strings.ReplaceAll("\n"+block, "\n"+indent, "\n")
		if strings.Contains(block, "socket") && strings.Contains(block, "\nextends: ") {
			found = append(found, block)
		}
	}
	return found
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
