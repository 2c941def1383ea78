package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

// TestPolicyPage keeps docs/man/callgate-policy.5 equal to docs/policy.md. After a change:
// go test ./cmd/callgate -run PolicyPage -update
func TestPolicyPage(t *testing.T) {
	file := filepath.Join(manFolder, "callgate-policy.5")
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	page := policyPage(string(text))
	if *update {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, page) {
		t.Errorf("%s is stale (%v): go test ./cmd/callgate -run PolicyPage -update", file, err)
	}
}

var (
	heading = regexp.MustCompile(`(?m)^##`)
	link    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	tables  = regexp.MustCompile(`(?m)(^\|.*\n)+`)
	bar     = regexp.MustCompile(`[^\\]\|`)
)

// policyPage is the document as a man page: its second level of headings becomes the
// first, of links the text remains, and tables, which no terminal is wide enough for,
// become lists.
func policyPage(text string) []byte {
	_, body, _ := strings.Cut(text, "\n")
	body = link.ReplaceAllString(heading.ReplaceAllString(body, "#"), "$1")
	body = tables.ReplaceAllStringFunc(body, list)
	return md2man.Render([]byte("% CALLGATE-POLICY 5 \"\" \"callgate " + version + "\" Callgate\n" +
		"# NAME\n\ncallgate-policy - the language of callgate's policies\n\n# DESCRIPTION\n\n" + body +
		"\n# SEE ALSO\n\n**callgate**(1), **callgate-check**(1), **callgate-explain**(1), **callgate-learn**(1), **seccomp**(2)\n"))
}

// list is a table's rows with the first column as terms. Columns beyond the second are
// named.
func list(table string) string {
	rows := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	var b strings.Builder
	head := cells(rows[0])
	for _, row := range rows[2:] {
		row := cells(row)
		b.WriteString(row[0] + "\n: " + row[1])
		for i, cell := range row[2:] {
			b.WriteString("; " + head[i+2] + ": " + cell)
		}
		b.WriteString("\n\n")
	}
	return b.String()
}

// cells are a row's texts, in which a bar is escaped.
func cells(row string) (list []string) {
	row = strings.TrimPrefix(row, "|")
	for at := bar.FindStringIndex(row); at != nil; at = bar.FindStringIndex(row) {
		list = append(list, strings.ReplaceAll(strings.TrimSpace(row[:at[1]-1]), `\|`, "|"))
		row = row[at[1]:]
	}
	return list
}
