package main

import (
	"context"
	"strings"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newKill() *cobra.Command {
	var socket, name string
	cmd := &cobra.Command{
		Use:   "kill [flags] JOB...",
		Short: "End callgated's jobs, or send them a signal",
		Long: `End jobs: a queued one will not run, a running one is killed with every process
of it. With --signal the command of a running job gets that signal instead, and
may make of it what it will.`,
		Args: someJobs,
		RunE: func(_ *cobra.Command, ids []string) error {
			c := client.New(socket)
			return forEach("kill", ids, func(id string) error {
				if name == "" {
					return c.Kill(context.Background(), id)
				}
				return c.Signal(context.Background(), id, client.Signal{Signal: signalName(name)})
			})
		},
	}
	cmd.Flags().StringVarP(&name, "signal", "s", "", "send `SIGNAL`: TERM, SIGTERM, ...")
	daemonFlag(cmd, &socket)
	_ = cmd.RegisterFlagCompletionFunc("signal", cobra.FixedCompletions(signalNames(), cobra.ShellCompDirectiveNoFileComp))
	cmd.ValidArgsFunction = completeJobs(&socket, client.Queued, client.Running)
	return cmd
}

// signalName is a signal's full name, as kill(1) would take it.
func signalName(s string) string {
	s = strings.ToUpper(s)
	if !strings.HasPrefix(s, "SIG") {
		s = "SIG" + s
	}
	return s
}

func signalNames() (names []string) {
	for sig := unix.Signal(1); sig < 32; sig++ {
		if name := unix.SignalName(sig); name != "" {
			names = append(names, strings.TrimPrefix(name, "SIG"))
		}
	}
	return names
}
