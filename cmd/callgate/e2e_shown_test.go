package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// forged is a line of callgate's that only somebody else can have made.
const forged = "callgate: all is well"

// evil is a file's name with what a terminal would obey, and a line of callgate's.
const evil = "a\x1b]0;x\r\n" + forged + "\u202e\x9b\xff.yaml"

// TestHostilePolicies: names and texts that the author of a policy, or of a folder, has
// chosen are shown on one line, and say nothing to the terminal.
func TestHostilePolicies(t *testing.T) {
	dir := openFolder(t)
	// A policy is UTF-8, and so is what it extends.
	name := strings.ReplaceAll(strings.ReplaceAll(evil, "\x9b", ""), "\xff", "")
	quoted := `"./` + strings.NewReplacer("\x1b", `\e`, "\r", `\r`, "\n", `\n`, "\u202e", `\u202e`).Replace(name) + `"`
	file := func(name, text string) {
		t.Helper()
		writeFile(t, filepath.Join(dir, name), text)
	}
	file(".callgate.yaml", "callgate: 1\nextends: "+quoted+"\n")
	file(name, "callgate: 1\nbogus: 1\n")
	file("good.yaml", "callgate: 1\nextends: "+quoted+"\n")
	denied := `"./script` + `\e]0;x\n` + forged + `"`
	file("denied.yaml", "callgate: 1\nexec:\n  - {deny: "+denied+", reason: "+denied+"}\n")
	file("warned", "callgate: 1\nfiles:\n  - {deny: "+quoted+", reason: "+quoted+"}\n  - read: ["+quoted+", /usr]\n  - write: "+quoted+"\n")
	file("lost.yaml", "callgate: 1\nextends: \"./none\\e]0;x\\n"+forged+"\"\n")
	file("words.yaml", "callgate: 1\ndefault: "+quoted+"\nsyscalls:\n  - allow: "+quoted+"\nnetwork:\n  - connect: \"\\e]0;x://x\"\n  - connect: \":\\e]0;x\"\nlimits: {memory: "+quoted+"}\n"+quoted+": 1\n")
	file("tests.yaml", "callgate: 1\nfiles: [{deny: \"**\", reason: "+denied+"}]\ntests:\n  - {call: 'open(\"\\x1b\\n"+forged+"\")', expect: allow, reason: "+denied+"}\n")
	if err := os.Rename(filepath.Join(dir, "warned"), filepath.Join(dir, evil)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"script\x1b]0;x\n" + forged, "unmarked\x1b]0;x\n" + forged} {
		file(f, "#!/no/such\x1b]0;x/shell\n")
	}
	if err := os.Chmod(filepath.Join(dir, "script\x1b]0;x\n"+forged), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{
		{"run", "--", "true"},
		{"check", ".callgate.yaml", "good.yaml", "lost.yaml", "words.yaml"},
		{"check", evil},
		{"check", evil + "x"},
		{"test", ".callgate.yaml", "good.yaml", "lost.yaml", "words.yaml", "tests.yaml", evil + "x"},
		{"explain"},
		{"explain", "-p", evil},
		{"explain", "-p", evil, `openat(0, "/x", O_RDONLY)`},
		{"explain", "-p", evil, evil},
		{"explain", "--abi", evil, "read"},
		{"run", "-p", evil, "--", "/usr/bin/false"},
		{"run", "-p", "denied.yaml", "--", "./script\x1b]0;x\n" + forged},
		{"run", "-p", evil + "x", "--", "true"},
		{"run", "-p", traceAll, "--", evil},
		{"run", "-p", traceAll, "--", "./" + evil},
		{"run", "-p", traceAll, "--", "./script\x1b]0;x\n" + forged},
		{"run", "-p", traceAll, "--", "./unmarked\x1b]0;x\n" + forged},
		{"run", "-p", traceAll, "--" + evil, "true"},
		{"run", "-p", traceAll, "-C", evil, "--", "true"},
		{"run", "-p", traceAll, "--audit", "none/" + evil, "--", "true"},
		{"run", "-p", traceAll, "--audit", "fd:" + evil, "--", "true"},
		{"run", "-p", traceAll, "--keep-fd", evil, "--", "true"},
		{"run", "-p", traceAll, "--nice", evil, "--", "true"},
		{"run", "-p", traceAll, "--grace", evil, "--", "true"},
		{"run", "-p", traceAll, "--wall-time", evil, "--", "true"},
		{"run", "-p", traceAll, "--umask", evil, "--", "true"},
		{"run", "-p", traceAll, "--user", evil, "--", "true"},
		{"run", "-p", traceAll, "--setenv", evil, "--", "true"},
		{"run", "-p", traceAll, "--isolate", evil, "--", "true"},
		{"run", "-p", traceAll, "--remote", "--socket", evil, "--", "true"},
		{"ps", "--socket", evil},
		{"syscalls", evil},
		{"completion", evil},
		{"help", evil},
		{"help", "run", evil},
		{evil},
	} {
		cmd := exec.Command(lookPath(t, "callgate"), argv...)
		cmd.Dir = dir
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err == nil && argv[0] != "explain" && argv[0] != "check" {
			t.Errorf("%q goes well: %s%s", argv, &stdout, &stderr)
		}
		for line := range strings.Lines(stderr.String()) {
			if !strings.HasPrefix(line, "callgate: ") {
				t.Errorf("%q says %q", argv, line)
			}
		}
		if stdout.Len()+stderr.Len() == 0 {
			t.Errorf("%q says nothing", argv)
		}
		for line := range strings.Lines(stdout.String() + stderr.String()) {
			if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, forged) || !utf8.ValidString(line) || strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
				t.Errorf("%q shows %q", argv, line)
			}
		}
	}
}
