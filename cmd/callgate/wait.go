package main

import (
	"context"
	"encoding/json"
	"os"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

func newWait() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait [flags] JOB...",
		Short: "Wait until callgated's jobs have ended",
		Long: `Wait until all these jobs have ended. The exit status is that of the last one's
command, as callgate run gives it: 128+N if signal N ended it; 124 after a time
limit; 125 if callgate failed, or the job was lost or killed before it ran.`,
		Args: someJobs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, status := client.New(socket), 0
			err := forEach("wait", ids, func(id string) error {
				job, err := c.Wait(context.Background(), id)
				if err != nil {
					return err
				}
				status = job.Result.Status
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(job)
				}
				tellResult(job)
				return nil
			})
			if err == nil && status != 0 {
				err = &failure{status: status}
			}
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	daemonFlag(cmd, &socket)
	cmd.ValidArgsFunction = completeJobs(&socket, client.Queued, client.Running)
	return cmd
}

// tellResult says what the exit status alone does not: why a job ended that did
// not by itself.
func tellResult(job *client.Job) {
	if r := job.Result; r != nil && r.Message != "" {
		report(os.Stderr, &failure{err: eachLine(r.Message)})
	}
}
