package main

import (
	"fmt"
	"io"

	"callgate/supervisor/host"

	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host's kernel and privileges offer",
		Long: `Try what a sandbox can use of this host's kernel, and say what is there, what
is not, and what that means. What callgate cannot run without is marked *.

The exit status is 0 if commands can be run here, 1 if not.`,
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := host.Probe()
			if err := printReport(cmd.OutOrStdout(), report); err != nil {
				return err
			}
			if missing := report.Missing(); len(missing) > 0 {
				return &failure{status: exitFindings, err: fmt.Errorf("no command can be run here: %s is missing", missing[0].Name)}
			}
			return nil
		},
	}
}

// printReport gives a feature a line: its name, the answer, what it is for, and
// its version or why it is not there.
func printReport(w io.Writer, report host.Report) error {
	for _, f := range report {
		mark := " "
		if f.Required {
			mark = "*"
		}
		note := f.Use
		if f.Detail != "" {
			note += " (" + f.Detail + ")"
		}
		if _, err := fmt.Fprintf(w, "%s %-25s %-8s %s\n", mark, f.Name, f.Status, note); err != nil {
			return err
		}
	}
	return nil
}
