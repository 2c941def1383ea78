package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

// logsFlags are what `callgate logs` is told.
type logsFlags struct {
	socket                              string
	after                               uint64
	follow, stdout, stderr, audit, json bool
	earlier                             bool
}

func newLogs() *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs [flags] JOB",
		Short: "Print what a job of callgated's wrote",
		Long: `Print a job's standard output on standard output, and its standard error on
standard error. --audit prints the audit log instead, and --json all of it as
callgated tells it, in order, with an offset at which --after goes on.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("logs takes one job")
			}
			return someJobs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.logs(cmd.OutOrStdout(), args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on until the job has ended")
	flags.BoolVar(&f.stdout, "stdout", false, "only standard output")
	flags.BoolVar(&f.stderr, "stderr", false, "only standard error")
	flags.BoolVar(&f.audit, "audit", false, "the audit log, a line an event")
	flags.BoolVar(&f.earlier, "earlier", false, "that of attempts that were lost too, with a line after each")
	flags.Uint64Var(&f.after, "after", 0, "only what came after `OFFSET`")
	jsonFlag(cmd, &f.json)
	daemonFlag(cmd, &f.socket)
	cmd.MarkFlagsMutuallyExclusive("stdout", "stderr", "audit")
	cmd.ValidArgsFunction = completeJobs(&f.socket)
	return cmd
}

func (f *logsFlags) kinds() []client.EventKind {
	switch {
	case f.stdout:
		return []client.EventKind{client.StdoutEvent}
	case f.stderr:
		return []client.EventKind{client.StderrEvent}
	case f.audit:
		return []client.EventKind{client.AuditEvent}
	case f.json:
		return nil
	}
	return []client.EventKind{client.StdoutEvent, client.StderrEvent}
}

func (f *logsFlags) logs(w io.Writer, id string) error {
	q := client.EventQuery{After: f.after, Follow: f.follow, Earlier: f.earlier, Kinds: f.kinds()}
	for e, err := range client.New(f.socket).Events(context.Background(), id, q) {
		if err != nil {
			return jobFailure("logs", id, err)
		}
		if err := f.show(w, e); err != nil {
			return err
		}
	}
	return nil
}

func (f *logsFlags) show(w io.Writer, e *client.Event) error {
	if f.json {
		return json.NewEncoder(w).Encode(e)
	}
	var err error
	switch e.Kind {
	case client.StdoutEvent:
		_, err = w.Write(e.Bytes())
	case client.StderrEvent:
		_, err = os.Stderr.Write(e.Bytes())
	case client.AuditEvent:
		_, err = fmt.Fprintf(w, "%s\n", e.Audit)
	case client.LostEvent:
		tellLost(e.Lost)
	case client.StateEvent:
		if text := f.attempt(e); text != "" {
			say(os.Stderr, text)
		}
	}
	return err
}

// attempt says that an attempt ends here which was lost; "" where none does.
func (f *logsFlags) attempt(e *client.Event) string {
	if !f.earlier || e.Job == nil || e.Job.State != client.Queued {
		return ""
	}
	for _, at := range e.Job.Earlier {
		if at.Attempt == e.Attempt {
			return fmt.Sprintf("attempt %d, on %s, was lost: %s; what follows is the next one's", at.Attempt, at.Host, at.Message)
		}
	}
	return ""
}

// tellLost says that something is missing here.
func tellLost(lost *client.Lost) {
	unit := "bytes"
	if lost.Kind == client.AuditEvent {
		unit = "events"
	}
	say(os.Stderr, fmt.Sprintf("%d %s of %s are missing here: they were over a limit", lost.Count, unit, lost.Kind))
}
