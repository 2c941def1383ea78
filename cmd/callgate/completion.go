package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func oneShell(_ *cobra.Command, args []string) error {
	var f *failure
	switch {
	case len(args) == 0:
		f = usagef("no shell named")
	case len(args) > 1:
		f = usagef("one shell is meant, and there is %q too", args[1])
	case !slices.Contains(shells, args[0]):
		f = usagef("there are no completions for %q", args[0])
	default:
		return nil
	}
	f.hint = "callgate completion " + strings.Join(shells, "|")
	return f
}

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes callgate's command lines",
		Long: `Print a script that completes callgate's command lines in that shell.

Install it where the shell looks for such scripts, or read it at once:
    source <(callgate completion bash)`,
		ValidArgs: shells,
		Args:      oneShell,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			default:
				return root.GenPowerShellCompletionWithDesc(out)
			}
		},
	}
}
