package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

// psFlags are what `callgate ps` is told.
type psFlags struct {
	socket, user, host, state string
	labels                    []string
	all, json                 bool
}

func newPs() *cobra.Command {
	var f psFlags
	cmd := &cobra.Command{
		Use:   "ps [flags] [JOB]...",
		Short: "List callgated's jobs",
		Long: `List the jobs of callgated that are queued or running, or those that are named,
the newest first. --json prints all that is known of each, a line a job.`,
		Example: `  callgate ps --all --label ci=42
  callgate ps --json | jq -r 'select(.usage.denied > 0).id'`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.ps(cmd.OutOrStdout(), args) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.all, "all", "a", false, "list ended jobs too")
	flags.StringVar(&f.state, "state", "", "only jobs in `STATE`: queued, running, ended")
	flags.StringVar(&f.user, "user", "", "only jobs of `USER`")
	flags.StringVar(&f.host, "host", "", "only jobs of `HOST`")
	flags.StringArrayVar(&f.labels, "label", nil, "only jobs with this label, `KEY[=VALUE]`")
	jsonFlag(cmd, &f.json)
	daemonFlag(cmd, &f.socket)
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"queued", "running", "ended"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.ValidArgsFunction = completeJobs(&f.socket)
	return cmd
}

func (f *psFlags) ps(w io.Writer, ids []string) error {
	c, table := client.New(f.socket), newJobTable(w)
	show := func(job *client.Job) error {
		if f.json {
			return json.NewEncoder(w).Encode(job)
		}
		return table.row(job)
	}
	var err error
	if len(ids) > 0 {
		err = forEach("ps", ids, func(id string) error {
			job, err := c.Inspect(context.Background(), id)
			if err != nil {
				return err
			}
			return show(job)
		})
	} else {
		err = remoteFailure(f.list(c, show))
	}
	if flushed := table.flush(); err == nil {
		err = flushed
	}
	return err
}

// list shows page after page. Jobs that come or end meanwhile may be missed.
func (f *psFlags) list(c *client.Client, show func(*client.Job) error) error {
	q := client.Query{State: client.State(f.state), User: f.user, Host: f.host, Labels: f.labels, Limit: 1000}
	for {
		page, err := c.List(context.Background(), q)
		if err != nil {
			return err
		}
		for i := range page.Jobs {
			job := &page.Jobs[i]
			if job.State == client.Ended && !f.all && f.state == "" {
				continue
			}
			if err := show(job); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.Page = page.Next
	}
}

// jobTable is a table of jobs for people.
type jobTable struct {
	w     *tabwriter.Writer
	begun bool
}

func newJobTable(w io.Writer) *jobTable {
	return &jobTable{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
}

func (t *jobTable) row(job *client.Job) error {
	if !t.begun {
		t.begun = true
		if _, err := fmt.Fprintln(t.w, "JOB\tUSER\tSTATE\tAGE\tTIME\tDENIED\tCOMMAND"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", job.ID, printable(job.User), stateWords(job),
		formatSeconds(time.Since(job.Submitted).Seconds()), formatSeconds(wallSeconds(job)), job.Usage.Denied+job.Usage.Killed, printable(commandLine(job)))
	return err
}

func (t *jobTable) flush() error { return t.w.Flush() }

// wallSeconds is how long a job has run, or had.
func wallSeconds(job *client.Job) float64 {
	if job.State == client.Running && !job.Started.IsZero() {
		return time.Since(job.Started).Seconds()
	}
	return job.Usage.WallSeconds
}

// stateWords are a job's state, and of an ended one how it ended.
func stateWords(job *client.Job) string {
	r := job.Result
	if job.State != client.Ended || r == nil {
		return string(job.State)
	}
	switch r.Cause {
	case client.ByExit:
		return fmt.Sprintf("exited %d", r.Status)
	case client.BySignal:
		return r.Signal
	case client.ByLimit:
		return "limit " + strings.TrimSuffix(strings.TrimSuffix(r.Limit, "_seconds"), "_bytes")
	}
	return string(r.Cause)
}
