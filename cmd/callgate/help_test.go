package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func TestHelpFitsOneScreen(t *testing.T) {
	root := newRoot()
	root.InitDefaultHelpFlag()
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		var out bytes.Buffer
		cmd.InitDefaultHelpFlag()
		writeHelp(&out, cmd)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) > 23 { // the 24th is the prompt
			t.Errorf("%s --help has %d lines", cmd.CommandPath(), len(lines))
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > 80 {
				t.Errorf("%s --help has a line of %d columns: %q", cmd.CommandPath(), n, line)
			}
		}
	}
}
