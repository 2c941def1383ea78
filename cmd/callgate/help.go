package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelp is `callgate help COMMAND`, for those who write it that way, and the only
// way to what a command's help has no room for: `callgate help COMMAND TOPIC`.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND [TOPIC]]",
		Short: "Print a command's help, or that of some of its flags",
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range cmd.Root().Commands() {
				names = append(names, c.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil || len(rest) > 0 && !found.HasParent():
				return noCommand(cmd.Root(), args)
			case len(rest) > 0:
				return writeTopic(cmd.OutOrStdout(), found, rest[0])
			}
			return found.Help()
		},
	}
}

// showHelp prints a command's help, which fits one screen of 24 lines by 80
// columns (help_test.go). It is written out because the first use of
// text/template costs more than the rest of callgate's start.
//
// cobra takes no error of it: where the help cannot be written, callgate ends here.
func showHelp(cmd *cobra.Command, _ []string) {
	if err := writeHelp(cmd.OutOrStdout(), cmd); err != nil {
		os.Exit(report(os.Stderr, &failure{status: ownStatus(cmd), err: err}))
	}
}

func writeHelp(out io.Writer, cmd *cobra.Command) error {
	w := bufio.NewWriter(out)
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
	if flags := topicFlags(cmd, "").FlagUsagesWrapped(columns); flags != "" {
		fmt.Fprintf(w, "\n%s", flags)
	}
	if all := topics(cmd); len(all) > 0 {
		fmt.Fprintf(w, "\nMore flags, by callgate help %s TOPIC:\n", cmd.Name())
		for _, name := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(w, "  %-8s %s\n", name, all[name])
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	return w.Flush()
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

// columns are how wide help is at most.
const columns = 80

// topicKey is the annotation of a flag that says which of its command's topics it
// belongs to, and what that is about. A command's help only names its topics.
const topicKey = "callgate-topic"

// addTopic gives a command the flags that add defines, under a topic.
func addTopic(cmd *cobra.Command, name, about string, add func(*pflag.FlagSet)) {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	add(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{topicKey: {name, about}}
		cmd.Flags().AddFlag(f)
	})
}

// topics are a command's: what each is about, by its name.
func topics(cmd *cobra.Command) map[string]string {
	all := map[string]string{}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if topic := f.Annotations[topicKey]; topic != nil {
			all[topic[0]] = topic[1]
		}
	})
	return all
}

// topicFlags are the flags of a command's topic, or those of none.
func topicFlags(cmd *cobra.Command, name string) *pflag.FlagSet {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if topic := f.Annotations[topicKey]; topic == nil && name == "" || topic != nil && topic[0] == name {
			flags.AddFlag(f)
		}
	})
	return flags
}

// writeTopic prints what the flags of a topic do.
func writeTopic(w io.Writer, cmd *cobra.Command, name string) error {
	all := topics(cmd)
	if all[name] == "" {
		f := usagef("%s has no topic %q", cmd.CommandPath(), name)
		if len(all) > 0 {
			f.hint = "its topics: " + strings.Join(slices.Sorted(maps.Keys(all)), ", ")
		}
		return f
	}
	usages := topicFlags(cmd, name).FlagUsagesWrapped(columns)
	_, err := fmt.Fprintf(w, "usage: %s\n\n%s: %s\n\n%s\n", usageLine(cmd), name, all[name], strings.TrimRight(usages, "\n"))
	return err
}
