package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestHelpFitsOneScreen(t *testing.T) {
	root := newRoot()
	root.InitDefaultHelpFlag()
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		var out bytes.Buffer
		cmd.InitDefaultHelpFlag()
		writeHelp(&out, cmd)
		fitsOneScreen(t, cmd.CommandPath()+" --help", out.String())
		for topic := range topics(cmd) {
			out.Reset()
			if err := writeTopic(&out, cmd, topic); err != nil {
				t.Error(err)
			}
			fitsOneScreen(t, "help "+cmd.Name()+" "+topic, out.String())
		}
	}
}

func fitsOneScreen(t *testing.T, what, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > 23 { // the 24th is the prompt
		t.Errorf("%s has %d lines", what, len(lines))
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > columns {
			t.Errorf("%s has a line of %d columns: %q", what, n, line)
		}
	}
}

// A flag of a topic is in its help alone, and works like any other.
func TestTopics(t *testing.T) {
	var f struct{ plain, more string }
	cmd := &cobra.Command{Use: "try"}
	cmd.Flags().StringVar(&f.plain, "plain", "", "what everybody needs")
	addTopic(cmd, "rare", "what few need", func(flags *pflag.FlagSet) { flags.StringVar(&f.more, "more", "", "more of it") })
	newRoot().AddCommand(cmd)
	var help, topic bytes.Buffer
	writeHelp(&help, cmd)
	if err := writeTopic(&topic, cmd, "rare"); err != nil {
		t.Error(err)
	}
	if text := help.String(); !strings.Contains(text, "--plain") || strings.Contains(text, "--more") || !strings.Contains(text, "  rare     what few need\n") {
		t.Error(text)
	}
	if text := topic.String(); strings.Contains(text, "--plain") || !strings.Contains(text, "--more string   more of it\n") {
		t.Error(text)
	}
	if err := writeTopic(&topic, cmd, "raer"); err == nil {
		t.Error("there is no such topic")
	}
	if err := cmd.ParseFlags([]string{"--more", "x"}); err != nil || f.more != "x" {
		t.Error(f.more, err)
	}
}
