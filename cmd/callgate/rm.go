package main

import (
	"context"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

func newRm() *cobra.Command {
	var socket string
	var force bool
	cmd := &cobra.Command{
		Use:   "rm [flags] JOB...",
		Short: "Remove callgated's jobs that have ended",
		Long:  `Remove jobs that have ended, with their output, audit events and files.`,
		Args:  someJobs,
		RunE: func(_ *cobra.Command, ids []string) error {
			c := client.New(socket)
			return forEach("rm", ids, func(id string) error {
				if force {
					if err := endJob(c, id); err != nil {
						return err
					}
				}
				return c.Remove(context.Background(), id)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill those that have not ended")
	daemonFlag(cmd, &socket)
	cmd.ValidArgsFunction = completeJobs(&socket, client.Ended)
	return cmd
}

// endJob kills a job and waits until it has ended.
func endJob(c *client.Client, id string) error {
	if err := c.Kill(context.Background(), id); err != nil {
		return err
	}
	_, err := c.Wait(context.Background(), id)
	return err
}
