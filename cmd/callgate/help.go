package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// newHelp is `callgate help COMMAND`, for those who write it that way.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Print a command's help",
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				names = append(names, c.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(cmd.Root(), args)
			}
			return found.Help()
		},
	}
}

// showHelp prints a command's help, which fits one screen of 24 lines by 80
// columns (help_test.go). It is written out because the first use of
// text/template costs more than the rest of callgate's start.
func showHelp(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) }

func writeHelp(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "usage: %s\n\n", usageLine(cmd))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintln(w, text)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintln(w)
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.GroupID == "" {
				fmt.Fprintf(w, "  %-11s %s\n", c.Name(), c.Short)
			}
		}
		writeGroups(w, cmd)
	}
	if flags := cmd.LocalFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(w, "\n%s", flags)
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
}

// writeGroups has a line for each group of commands: their names alone.
func writeGroups(w io.Writer, cmd *cobra.Command) {
	for _, g := range cmd.Groups() {
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() && c.GroupID == g.ID {
				names = append(names, c.Name())
			}
		}
		fmt.Fprintf(w, "\n%s: %s\n", g.Title, strings.Join(names, ", "))
	}
}

// usageLine is how a command is called, on one line.
func usageLine(cmd *cobra.Command) string {
	if cmd.HasParent() {
		return cmd.Parent().CommandPath() + " " + cmd.Use
	}
	return cmd.Name() + " COMMAND [flags] [arguments]"
}
