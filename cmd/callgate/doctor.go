package main

import (
	"fmt"
	"io"

	"callgate/supervisor/host"

	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var f attackFlags
	cmd := &cobra.Command{
		Use:   "doctor [--attack [-p POLICY]... [NAME]...]",
		Short: "Say what this host offers, or attack a policy's sandbox",
		Long: `Try what a sandbox can use of this host's kernel, and say what is there, what
is not, and what that means. What callgate cannot run without is marked *. The
exit status is 0 if commands can be run here, 1 if not.

With --attack: try to break out of a sandbox under the policy, as run would use
it, harmlessly: all targets are decoys. A line for each attack says whether the
sandbox held and by what, or why there was nothing to try. 0 if it held
everywhere, 1 if something broke out, 125 if callgate failed.`,
		Example: `  callgate doctor --attack -p builtin:ci
  callgate doctor --attack race-name race-link --tries 20000`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.attack {
				return nil
			}
			return noArguments(cmd, args)
		},
		ValidArgsFunction: f.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.attack {
				return f.run(cmd.OutOrStdout(), args)
			}
			if err := f.alone(cmd); err != nil {
				return err
			}
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
	f.flags(cmd)
	return cmd
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
