package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestReadme runs the README's session with the daemon, line by line, and wants
// what stands there: but for ids, times and the user's name.
func TestReadme(t *testing.T) {
	t.Parallel()
	commands, want := session(t)
	h := running(t, "default: [builtin:default]\n")
	program, err := callgate()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(h.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "callgate")); err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for i, command := range commands {
		fmt.Fprintf(&script, "echo @%d\n%s\n", i, strings.ReplaceAll(command, client.DefaultSocket, "$CALLGATE_SOCKET"))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), client.SocketVariable+"="+filepath.Join(h.dir, "s"), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for i, command := range commands {
		_, got, _ := strings.Cut(string(out), fmt.Sprintf("@%d\n", i))
		got, _, _ = strings.Cut(got, "@")
		if plain(got) != plain(want[i]) {
			t.Errorf("$ %s\n%s\nis not what the README has:\n%s", command, got, want[i])
		}
	}
}

// session gives the commands of the README's section on the daemon, and what
// stands under each.
func session(t *testing.T) (commands, want []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## A daemon for many jobs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		line, code := strings.CutPrefix(line, "    ")
		if !code {
			continue
		}
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands, want = append(commands, strings.TrimSuffix(command, "\n")), append(want, "")
			continue
		}
		want[len(want)-1] += line
	}
	if len(commands) < 10 {
		t.Fatalf("the README has %d commands", len(commands))
	}
	return commands, want
}

var varying = regexp.MustCompile(`[0-9a-v]{26}  \S+|[0-9]+\.[0-9]s| +`)

// plain is output without what differs from run to run.
func plain(s string) string {
	return varying.ReplaceAllStringFunc(s, func(s string) string {
		switch {
		case strings.HasPrefix(s, " "):
			return " "
		case strings.HasSuffix(s, "s") && len(s) < 10:
			return "TIME"
		}
		return "JOB USER"
	})
}
