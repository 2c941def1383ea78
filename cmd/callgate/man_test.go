package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/man anew")

const manFolder = "../../docs/man"

var escape = strings.NewReplacer(`\`, `\e`, "-", `\-`)

// TestManPages keeps docs/man/*.1 equal to what the commands say of
// themselves. After a change: go test ./cmd/callgate -run ManPages -update
func TestManPages(t *testing.T) {
	root := newRoot()
	want := map[string]bool{}
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		want[name] = true
		file, page := filepath.Join(manFolder, name), manPage(t, cmd)
		if *update {
			if err := os.WriteFile(file, page, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, page) {
			t.Errorf("%s is stale (%v): go test ./cmd/callgate -run ManPages -update", file, err)
		}
	}
	have, err := filepath.Glob(manFolder + "/*.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range have {
		if !want[filepath.Base(file)] {
			t.Errorf("%s is of no command", file)
		}
	}
}

// manPage is a command's page in man(7)'s macros.
func manPage(t *testing.T, cmd *cobra.Command) []byte {
	var b bytes.Buffer
	cmd.InitDefaultHelpFlag()
	title := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %q 1 \"\" \"callgate %s\" \"Callgate\"\n", strings.ToUpper(title), version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(title), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(usageLine(cmd)))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(cmp.Or(cmd.Long, cmd.Short+".")))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(&b, ".SH COMMANDS\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(title+"-"+c.Name()), roff(c.Short))
			}
		}
	}
	fmt.Fprint(&b, ".SH OPTIONS\n")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { b.WriteString(manFlag(f)) })
	if cmd.Name() == "run" {
		b.WriteString(exitStatuses(t) + runSections)
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", escape.Replace(cmd.Example))
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", seeAlso(cmd))
	return b.Bytes()
}

// exitStatuses is the section on those of run, as docs/exit-status.md has them.
func exitStatuses(t *testing.T) string {
	text, err := os.ReadFile("../../docs/exit-status.md")
	if err != nil {
		t.Fatal(err)
	}
	section := ".SH EXIT STATUS\n"
	rows := strings.Split(tables.FindString(string(text)), "\n")
	for _, row := range rows[2 : len(rows)-1] {
		row := cells(strings.ReplaceAll(row, "`", ""))
		section += fmt.Sprintf(".TP\n.B %s\n%s\n", roff(row[0]), roff(row[1]))
	}
	return section
}

// runSections are what the page of run has beside what its help says.
const runSections = `.SH ENVIRONMENT
.TP
.B PATH
where a command without a slash in its name is looked up
.TP
.B HOME
what ~ stands for in policies
.TP
.B TMPDIR
where a private temporary folder is made, which the command has as its TMPDIR; else /tmp
.TP
.B CALLGATE_SOCKET
the socket of callgated, for \-\-remote
.SH FILES
.TP
.B .callgate.yaml
the policy where none is named
.TP
.B $XDG_CACHE_HOME/callgate, ~/.cache/callgate
filters that were compiled; it may be removed
.TP
.B /run/callgated/callgated.sock
the socket of callgated, for \-\-remote
`

func manFlag(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	arg, text := pflag.UnquoteUsage(f)
	if arg != "" {
		name += " " + arg
	}
	if !slices.Contains([]string{"", "0", "false", "[]"}, f.DefValue) { // what pflag takes for no default
		text += " (default " + f.DefValue + ")"
	}
	return fmt.Sprintf(".TP\n.B %s\n%s\n", roff(name), roff(text))
}

func seeAlso(cmd *cobra.Command) string {
	pages := []string{".BR callgate\\-policy (5),", ".BR seccomp (2),", ".BR ptrace (2)"}
	if cmd.HasParent() {
		pages = append([]string{".BR callgate (1),"}, pages...)
	}
	return strings.Join(pages, "\n")
}

// roff protects what roff would take as its own: hyphens, backslashes, and
// dots or quotes at the start of a line. Blank lines begin paragraphs, and
// indented ones stay as they are.
func roff(text string) string {
	lines := strings.Split(escape.Replace(text), "\n")
	for i, line := range lines {
		switch {
		case line == "":
			lines[i] = ".PP"
		case line[0] == '.' || line[0] == '\'':
			lines[i] = `\&` + line
		case line[0] == ' ':
			lines[i] = ".br\n" + line
		}
	}
	return strings.Join(lines, "\n")
}
