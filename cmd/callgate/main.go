// Callgate runs a command that its user does not trust and decides every
// system call that matters by a policy.
//
// One file holds one subcommand; what they share is in failure.go (errors and
// exit statuses) and policies.go (finding and loading policies); supervise*.go is
// the process that callgated starts for a job. Nothing here does what a caller of
// the packages would have to write again.
package main

import (
	"io"
	"os"

	"callgate/supervisor/attack"

	"github.com/spf13/cobra"
)

func main() { os.Exit(Main()) }

// Main is the whole program but for the exit: it runs the command line of
// os.Args and gives the exit status.
func Main() int {
	if len(os.Args) == 2 && os.Args[1] == "supervise" { // by callgated: see supervise.go
		if err := supervise(); err != nil {
			return report(os.Stderr, ownFailure(err))
		}
		return 0
	}
	if len(os.Args) > 1 && os.Args[1] == attack.Command { // by callgate doctor --attack
		if err := attack.Main(os.Args[2:]); err != nil {
			return report(os.Stderr, ownFailure(err))
		}
		return 0
	}
	if len(os.Args) == 2 && os.Args[1] == askCommand { // by callgate run: see ask.go
		status, err := askAtTerminal()
		if err != nil {
			return report(os.Stderr, ownFailure(err))
		}
		return status
	}
	root := newRoot()
	if err := root.Execute(); err != nil {
		return report(os.Stderr, err)
	}
	return 0
}

// newRoot builds the command tree. Man pages and completions are made of it
// too (man_test.go, completion.go).
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "callgate",
		Short: "Run a command under a policy of system calls",
		Long: `Callgate runs a command that you do not trust and decides every system call
that matters by a policy: the kernel what it can, callgate, tracing, the rest.`,
		Example: `  callgate run -- ./thing
  callgate run -p builtin:build -- make test`,
		Args:          noCommand,
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRunE: noEmptyFlags,
	}
	asked := root.Flags().Bool("version", false, "print the version")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *asked {
			_, err := io.WriteString(cmd.OutOrStdout(), versionText())
			return err
		}
		return cmd.Help()
	}
	root.SuggestionsMinimumDistance = 2 // letters
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpFunc(showHelp)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.AddCommand(newRun())
	if len(os.Args) < 2 || os.Args[1] != "run" { // a start builds what it needs
		root.AddCommand(newLearn(), newCheck(), newTest(), newExplain(), newConvert(), newSyscalls(), newDoctor(), newVersion(), newCompletion())
		addJobCommands(root)
	}
	return root
}

// noCommand refuses words that are no subcommand, naming the nearest one.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := usagef("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 && len(args[0]) > cmd.SuggestionsMinimumDistance {
		f.hint = "did you mean " + near[0] + "?"
	} else {
		f.hint = "to run a program: callgate run -- " + shellWord(args[0])
	}
	return f
}
